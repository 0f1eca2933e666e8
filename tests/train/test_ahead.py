"""Jobs beside the caller: order, results, errors, and a step that equals the jitted one."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax import commands
from asd_jax.runs.settings import Optimizer
from asd_jax.train.ahead import Ahead, Executable
from asd_jax.train.optimizer import make_optimizer
from asd_jax.train.sharding import data_mesh
from asd_jax.train.state import create_state
from asd_jax.train.step import compile_step, make_step


@pytest.fixture
def ahead():
    ahead = Ahead()
    yield ahead
    ahead.close()


def test_jobs_run_in_order_and_not_in_the_caller(ahead):
    seen = []

    def job(number):
        seen.append(number)
        return number, threading.current_thread().name

    results = [ahead.submit(lambda n=n: job(n)) for n in range(5)]
    assert [result()[0] for result in results] == seen == list(range(5))
    assert results[0]()[1] != threading.current_thread().name


def test_an_error_reaches_the_one_who_waits_and_later_jobs_run(ahead):
    wrong, right = ahead.submit(lambda: 1 / 0), ahead.submit(lambda: "done")
    with pytest.raises(ZeroDivisionError):
        wrong()
    assert right() == "done"


def test_the_thread_ends_with_the_last_job(ahead):
    def threads():
        return [t for t in threading.enumerate() if t.name == commands.AHEAD]

    before, go_on = threads(), threading.Event()
    results = [ahead.submit(go_on.wait), ahead.submit(lambda: "last")]
    ahead.close()
    with pytest.raises(RuntimeError, match="after the last"):
        ahead.submit(lambda: None)
    (thread,) = (t for t in threads() if t not in before)
    assert thread.is_alive()  # its jobs are not done
    go_on.set()
    assert [result() for result in results] == [True, "last"]
    thread.join(5.0)
    assert not thread.is_alive()


class Stub(Executable):
    """A program whose compilation lasts until somebody lets it go on."""

    def __init__(self, error=None):
        super().__init__("stub", data_mesh(1), self.lower)
        self.traced, self.go_on = threading.Event(), threading.Event()
        self.error, self.compiled = error, False

    def lower(self):
        self.traced.set()
        if self.error:
            raise self.error

    def get(self):
        assert self.go_on.wait(5.0)
        self.compiled = True
        return self


def test_the_next_program_is_traced_while_one_is_compiled(ahead):
    first, second = Stub(), Stub()
    one, two = ahead.prepare(first), ahead.prepare(second)
    assert second.traced.wait(5.0)
    assert not first.compiled  # it is still being compiled
    first.go_on.set(), second.go_on.set()
    assert (one(), two()) == (first, second)


def test_an_error_in_tracing_reaches_the_one_who_waits(ahead):
    wrong, right = Stub(ValueError("shapes")), Stub()
    right.go_on.set()
    broken, whole = ahead.prepare(wrong), ahead.prepare(right)
    with pytest.raises(ValueError, match="shapes"):
        broken()
    assert whole() is right


def test_a_job_sees_the_context_of_its_submission(ahead):
    from asd_jax.models import ops

    x, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 1, 2))

    def traced():
        return str(jax.make_jaxpr(lambda x, k: ops.depthwise(x, k, padding=(1, 1)))(x, kernel))

    with ops.implementation("lax"):
        asked = ahead.submit(traced)
    assert "conv_general_dilated" in asked()
    with ops.implementation("fast"):
        asked = ahead.submit(traced)
    assert "conv_general_dilated" not in asked()


def test_a_step_compiled_ahead_is_the_jitted_step():
    optimizer = make_optimizer({"line": Optimizer("sgd", 0.1, momentum=0.9)}, 10)

    def loss(params, state, batch, key):
        error = batch["wave"] @ params["line"]["w"] - batch["label"]
        return jnp.mean(error**2), (state.stats, {})

    step, mesh = make_step(loss, optimizer), data_mesh(8)
    batch = {"wave": jnp.ones((8, 3)), "label": jnp.arange(8, dtype=jnp.int32)}

    def fresh():
        variables = {"line": {"params": {"w": jnp.arange(3.0)}}}
        return create_state(jax.random.key(0), variables, optimizer)

    shapes = jax.eval_shape(lambda: (fresh(), batch))
    ahead = compile_step(step, mesh).lower(*shapes).compile()
    from asd_jax.train.sharding import replicated, sharded

    placed = jax.device_put(batch, sharded(mesh))
    results = [
        run(jax.device_put(fresh(), replicated(mesh)), placed)
        for run in (ahead, compile_step(step, mesh))
    ]
    (one, first), (two, second) = results
    np.testing.assert_array_equal(first["loss"], second["loss"])
    np.testing.assert_array_equal(one.params["line"]["w"], two.params["line"]["w"])
