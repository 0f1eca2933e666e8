"""The loop on a toy regression: it resumes bit for bit, stops when asked, and sees divergence."""

import contextlib
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.runs.settings import Optimizer
from asd_jax.train.loop import Diverged, Interrupted, Stage, is_finished, train
from asd_jax.train.metrics_log import MetricsLog
from asd_jax.train.optimizer import make_optimizer
from asd_jax.train.sharding import data_mesh
from asd_jax.train.state import create_state, final_variables
from asd_jax.train.step import make_step

STEPS = 12


def loss(params, state, batch, key):
    noise = jax.random.normal(key, batch["x"].shape)  # the same at the same step, resumed or not
    value = jnp.mean((batch["x"] @ params["net"]["w"] + noise - batch["y"]) ** 2)
    return value, ({"net": {}}, {"size": jnp.sum(params["net"]["w"] ** 2)})


@contextlib.contextmanager
def batches(start, at=None, what=None):
    def generate():
        for number in range(start, STEPS):
            if number == at:
                what()
            rng = np.random.default_rng(number)
            yield {"x": rng.normal(size=(8, 3)).astype("f4"), "y": np.ones((8, 3), "f4")}

    yield generate()


def run(directory, *, devices=1, at=None, what=None, rate=0.1, ema=0.0):
    optimizer = make_optimizer({"net": Optimizer("adamw", 0.1)}, STEPS)
    # Past the settings, which refuse a rate that diverges by itself.
    rates = {name: rate for name in optimizer.tunables if "rate" in name}
    optimizer = optimizer._replace(tunables={**optimizer.tunables, **rates})
    variables = {"net": {"params": {"w": jnp.eye(3)}}}
    state = create_state(jax.random.key(1), variables, optimizer, average=ema > 0)
    stage = Stage(
        name="toy",
        step=make_step(loss, optimizer, ema=ema),
        total_steps=STEPS,
        batches=lambda start: batches(start, at, what),
        batch_size=8,
        mesh=data_mesh(devices),
        epoch_steps=4,
    )
    metrics_log = MetricsLog(os.path.join(directory, "metrics.jsonl"))
    folder = os.path.join(directory, "toy")
    return train(
        stage, state, directory=folder, metrics_log=metrics_log, log_every=3, progress=False
    )


def weights(state):
    return np.asarray(final_variables(state)["net"]["params"]["w"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_resumed_is_bit_equal_to_uninterrupted(tmp_path, number):
    whole = weights(run(tmp_path / "whole"))
    with pytest.raises(Interrupted, match="toy after step 6"):
        run(tmp_path / "parts", at=5, what=lambda: os.kill(os.getpid(), number))
    assert not is_finished(str(tmp_path / "parts" / "toy"), STEPS)
    np.testing.assert_array_equal(weights(run(tmp_path / "parts")), whole)
    assert is_finished(str(tmp_path / "parts" / "toy"), STEPS)
    first, second = (
        MetricsLog(str(tmp_path / p / "metrics.jsonl")).read() for p in ("whole", "parts")
    )
    assert [e["step"] for e in second][-1] == STEPS
    assert [e["time"] for e in first] == sorted(e["time"] for e in first)
    assert all(e["epoch"] == e["step"] / 4 and e["gradient_norm"] > 0 for e in first)
    assert {e["learning_rate/net"] for e in first} == {np.float32(0.1)}
    assert second[-1]["loss"] == first[-1]["loss"]


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, Interrupted), (signal.SIGINT, KeyboardInterrupt)]
)
def test_only_a_second_ctrl_c_does_not_wait_for_the_step(tmp_path, number, error):
    with pytest.raises(error):
        run(tmp_path, at=5, what=lambda: [os.kill(os.getpid(), number) for _ in range(2)])


def test_a_stop_in_the_last_step_stops_the_run_with_the_stage_finished(tmp_path):
    whole = weights(run(tmp_path / "whole"))
    with pytest.raises(Interrupted, match=f"toy after step {STEPS}"):
        run(tmp_path / "parts", at=STEPS - 1, what=lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert is_finished(str(tmp_path / "parts" / "toy"), STEPS)
    np.testing.assert_array_equal(weights(run(tmp_path / "parts")), whole)


def test_a_finished_stage_is_not_run_again(tmp_path):
    whole = weights(run(tmp_path))

    def refuse():
        raise AssertionError("the stage ran again")

    np.testing.assert_array_equal(weights(run(tmp_path, at=0, what=refuse)), whole)


def test_eight_devices_equal_one(tmp_path):
    one, eight = run(tmp_path / "1", devices=1), run(tmp_path / "8", devices=8)
    np.testing.assert_allclose(weights(one), weights(eight), atol=1e-5)


def test_divergence_is_one_sentence_that_names_stage_and_step(tmp_path):
    with pytest.raises(Diverged, match="Stage toy diverged: its loss is nan at step 3"):
        run(tmp_path, rate=float("nan"))


def test_average_follows_the_parameters(tmp_path):
    plain, averaged = run(tmp_path / "plain"), run(tmp_path / "ema", ema=0.5)
    np.testing.assert_allclose(averaged.params["net"]["w"], plain.params["net"]["w"], rtol=1e-6)
    assert np.abs(weights(averaged) - weights(plain)).max() > 1e-4


def test_logbook_rewinds_only_its_stage_and_survives_a_cut_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    book = MetricsLog(str(path))
    for stage, step in [("a", 1), ("b", 1), ("b", 2)]:
        book.log(stage, step, loss=float("nan"))
    path.write_text(path.read_text() + '{"stage": "b", "st')
    book.rewind("b", 1)
    assert [(e["stage"], e["step"], e["loss"]) for e in book.read()] == [
        ("a", 1, None),
        ("b", 1, None),
    ]
