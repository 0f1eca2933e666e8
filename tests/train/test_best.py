"""The best variables by validation: kept, and kept over a crash and a resume."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.runs.settings import Optimizer
from asd_jax.train.best import Best
from asd_jax.train.loop import Stage, train
from asd_jax.train.metrics_log import MetricsLog
from asd_jax.train.optimizer import make_optimizer
from asd_jax.train.sharding import data_mesh
from asd_jax.train.state import create_state, final_variables
from asd_jax.train.step import make_step

STEPS = 9


def tree(value):
    return {"net": {"w": jnp.full((2, 3), float(value))}}


def test_the_lowest_loss_is_kept_and_ties_keep_the_earlier(tmp_path):
    best = Best(str(tmp_path))
    offers = [(1, 0.9), (2, 0.5), (3, 0.7), (4, 0.5), (5, float("nan"))]
    assert [best.save_if_best(s, loss, tree(s)) for s, loss in offers] == [
        True,
        True,
        False,
        False,
        False,
    ]
    # The same again, by a process that was started anew.
    again = Best(str(tmp_path))
    assert not again.save_if_best(2, 0.5, tree(2))
    step, loss, variables = again.load_best(tree(0.0))
    assert (step, loss) == (2, 0.5)
    np.testing.assert_array_equal(variables["net"]["w"], np.full((2, 3), 2.0))


def test_a_first_loss_that_is_no_number_gives_way(tmp_path):
    best = Best(str(tmp_path))
    assert best.save_if_best(1, float("nan"), tree(1.0)) and best.save_if_best(2, 3.0, tree(2.0))
    assert best.load_best(tree(0.0))[0] == 2


def test_nothing_offered_nothing_taken(tmp_path):
    with pytest.raises(FileNotFoundError):
        Best(str(tmp_path)).load_best(tree(0.0))


def test_the_loop_evaluates_at_its_steps_and_after_the_last(tmp_path):
    def loss(params, state, batch, key):
        return jnp.mean((params["net"]["w"] - batch["x"]) ** 2), ({"net": {}}, {})

    @contextlib.contextmanager
    def batches(start):
        yield ({"x": jnp.ones((4,))} for _ in range(start, STEPS))

    best, seen = Best(str(tmp_path / "best")), []

    def evaluate(state):
        step = int(state.step)
        seen.append(step)
        value = abs(step - 8.0)  # best at step 8, not at the end
        best.save_if_best(step, value, final_variables(state))
        return {"validation_loss": value}

    optimizer = make_optimizer({"net": Optimizer("sgd", 0.1, momentum=0.0)}, STEPS)
    state = create_state(jax.random.key(0), {"net": {"params": {"w": jnp.zeros(())}}}, optimizer)
    stage = Stage(
        name="toy",
        step=make_step(loss, optimizer),
        total_steps=STEPS,
        batches=batches,
        batch_size=4,
        mesh=data_mesh(1),
        evaluate=evaluate,
        evaluate_every=4,
    )
    book = MetricsLog(str(tmp_path / "metrics.jsonl"))
    end = train(stage, state, directory=str(tmp_path / "toy"), metrics_log=book, progress=False)
    assert seen == [4, 8, 9]
    logged = {e["step"]: e["validation_loss"] for e in book.read() if "validation_loss" in e}
    assert logged == {4: 4.0, 8: 0.0, 9: 1.0}
    step, _, variables = best.load_best(final_variables(end))
    expected = 1 - 0.8**8  # gradient descent on (w - 1)^2
    assert step == 8
    np.testing.assert_allclose(variables["net"]["params"]["w"], expected, rtol=1e-5)
