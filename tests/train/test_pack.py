"""Runs side by side on a toy regression: each is what it would be alone, and can go on alone."""

import contextlib
import os
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.runs.settings import Optimizer
from asd_jax.train.checkpoint import Checkpoints
from asd_jax.train.loop import Diverged, Interrupted, Stage, is_finished, train
from asd_jax.train.metrics_log import MetricsLog
from asd_jax.train.optimizer import make_optimizer
from asd_jax.train.pack import Member, train_pack, unstacked
from asd_jax.train.sharding import data_mesh, runs_mesh
from asd_jax.train.state import create_state, final_variables
from asd_jax.train.step import compile_packed, make_step

STEPS = 12
RATES = (0.1, 0.03, 0.1, 0.2)


def loss(params, state, batch, key):
    noise = jax.random.normal(key, batch["x"].shape)
    value = jnp.mean((batch["x"] @ params["net"]["w"] + noise - batch["y"]) ** 2)
    return value, ({"net": {}}, {"size": jnp.sum(params["net"]["w"] ** 2)})


def own_batches(seed, start):
    for number in range(start, 1000):
        rng = np.random.default_rng([seed, number])
        yield {"x": rng.normal(size=(8, 3)).astype("f4"), "y": np.ones((8, 3), "f4")}


def pieces(seed, rate, steps=STEPS):
    optimizer = make_optimizer({"net": Optimizer("adamw", 0.1)}, steps)
    # Past the settings, which refuse a rate that diverges by itself.
    rates = {name: rate for name in optimizer.tunables if "rate" in name}
    optimizer = optimizer._replace(tunables={**optimizer.tunables, **rates})
    variables = {"net": {"params": {"w": jnp.eye(3)}}}
    return make_step(loss, optimizer), create_state(jax.random.key(seed), variables, optimizer)


def alone(folder, seed, rate, steps=STEPS):
    step, state = pieces(seed, rate, steps)
    stage = Stage(
        name="toy",
        step=step,
        total_steps=steps,
        batches=lambda start: contextlib.nullcontext(own_batches(seed, start)),
        batch_size=8,
        mesh=data_mesh(1),
    )
    book = MetricsLog(os.path.join(folder, "metrics.jsonl"))
    options = {"metrics_log": book, "log_every": 3, "progress": False}
    return weights(train(stage, state, directory=os.path.join(folder, "toy"), **options))


def together(folder, rates=RATES, steps=None, at=None, what=None, save_seconds=60.0):
    steps = steps or (STEPS,) * len(rates)
    made = [
        pieces(seed, rate, own) for seed, (rate, own) in enumerate(zip(rates, steps, strict=True))
    ]
    mesh = runs_mesh(len(rates))

    def batches(start):
        ours = [own_batches(seed, start) for seed in range(len(rates))]
        for number, parts in enumerate(zip(*ours, strict=True), start):
            if number == at:
                what()
            yield jax.tree.map(lambda *leaves: np.stack(leaves), *parts)

    stage = Stage(
        name="toy",
        step=made[0][0],
        total_steps=max(steps),
        batches=lambda start: contextlib.nullcontext(batches(start)),
        batch_size=8 * len(rates),
        mesh=mesh,
        compiled=lambda: compile_packed(made[0][0], mesh),
    )
    members = []
    for seed, own in enumerate(steps):
        home = os.path.join(folder, str(seed))
        book = MetricsLog(os.path.join(home, "metrics.jsonl"))
        members.append(Member(f"run {seed}", os.path.join(home, "toy"), book, own))
    options = {"log_every": 3, "progress": False, "save_seconds": save_seconds}
    state, diverged = train_pack(stage, [state for _, state in made], members, **options)
    found = unstacked(final_variables(state), range(len(rates)))
    return [found[k]["net"]["params"]["w"] for k in range(len(rates))], diverged


def weights(state):
    return np.asarray(final_variables(state)["net"]["params"]["w"])


def test_each_run_is_what_it_would_be_alone(tmp_path):
    found, diverged = together(str(tmp_path / "pack"))
    assert not diverged
    assert runs_mesh(4).size == 4
    for seed, rate in enumerate(RATES):
        folder = str(tmp_path / "pack" / str(seed))
        np.testing.assert_allclose(found[seed], alone(str(tmp_path / "a"), seed, rate), rtol=1e-5)
        ours, theirs = (MetricsLog(f"{f}/metrics.jsonl").read() for f in (folder, tmp_path / "a"))
        assert [event["step"] for event in ours] == [1, 3, 6, 9, 12]
        np.testing.assert_allclose(
            [event["loss"] for event in ours], [event["loss"] for event in theirs], rtol=1e-5
        )
        with Checkpoints(f"{folder}/toy") as kept:
            assert kept.latest() == STEPS
        # It is finished for a run alone too, which finds the same weights.
        np.testing.assert_array_equal(alone(folder, seed, rate), found[seed])
        shutil.rmtree(tmp_path / "a")


def test_a_shorter_run_waits_for_the_longer_ones(tmp_path):
    found, _ = together(str(tmp_path / "pack"), steps=(5, 12, 12, 7))
    np.testing.assert_allclose(found[0], alone(str(tmp_path / "0"), 0, RATES[0], 5), rtol=1e-5)
    np.testing.assert_allclose(found[3], alone(str(tmp_path / "3"), 3, RATES[3], 7), rtol=1e-5)
    assert is_finished(str(tmp_path / "pack" / "0" / "toy"), 5)


def test_interrupted_and_resumed_is_bit_equal_and_one_may_go_on_alone(tmp_path):
    whole, _ = together(str(tmp_path / "whole"))
    folder = str(tmp_path / "parts")
    with pytest.raises(Interrupted, match="toy after step 6"):
        together(folder, at=5, what=lambda: os.kill(os.getpid(), signal.SIGTERM))
    np.testing.assert_allclose(alone(f"{folder}/2", 2, RATES[2]), whole[2], rtol=1e-5)
    shutil.rmtree(f"{folder}/2")
    os.makedirs(f"{folder}/2")
    again, _ = together(folder)  # one has nothing: all begin anew
    np.testing.assert_array_equal(again, whole)


def test_resumes_where_a_kill_between_two_saves_left_it(tmp_path):
    whole, _ = together(str(tmp_path / "whole"))
    folder = str(tmp_path / "parts")
    with pytest.raises(RuntimeError, match="power"):
        together(folder, at=9, what=fail, save_seconds=0.0)
    for seed in (2, 3):  # as if the last save had not come to them
        with Checkpoints(f"{folder}/{seed}/toy") as kept:
            kept.drop({kept.latest()})
    began = []
    again, _ = together(folder, at=8, what=lambda: began.append(8))
    assert began
    np.testing.assert_array_equal(again, whole)


def fail():
    raise RuntimeError("no power")


def test_one_that_diverges_is_left_behind(tmp_path):
    rates = (0.1, float("nan"), 0.1, 0.2)
    found, diverged = together(str(tmp_path / "pack"), rates)
    assert list(diverged) == [1] and "is nan at step 3" in str(diverged[1])
    np.testing.assert_allclose(found[3], alone(str(tmp_path / "3"), 3, 0.2), rtol=1e-5)
    assert not is_finished(str(tmp_path / "pack" / "1" / "toy"), STEPS)
    with pytest.raises(Diverged, match="toy diverged"):
        together(str(tmp_path / "all"), (float("nan"),) * 2)
