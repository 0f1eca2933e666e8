"""Programs made beside the caller: order, errors, and a step that equals the jitted one."""

import threading
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.runs.settings import Optimizer
from asd_jax.train.ahead import THREAD, Ahead
from asd_jax.train.optimizer import make_optimizer
from asd_jax.train.sharding import data_mesh
from asd_jax.train.state import create_state
from asd_jax.train.step import compile_step, make_step


@pytest.fixture
def ahead():
    ahead = Ahead()
    yield ahead
    ahead.close()


class Traced:
    """Stands for a lowered program, whose compilation lasts until somebody lets it go on."""

    def __init__(self):
        self.go_on, self.compiled = threading.Event(), False

    def compile(self):
        assert self.go_on.wait(5.0)
        self.compiled = True
        return threading.current_thread().name, self


def test_the_next_program_is_traced_while_one_is_compiled_in_threads_of_their_own(ahead):
    first, second, traced = Traced(), Traced(), threading.Event()
    one = ahead.prepare(lambda: first)
    two = ahead.prepare(lambda: (traced.set(), second)[1])
    assert traced.wait(5.0) and not first.compiled
    second.go_on.set()
    assert not second.compiled  # in its turn
    first.go_on.set()
    assert [one()[1], two()[1]] == [first, second]
    assert one()[0].startswith(THREAD)


def test_an_error_in_tracing_reaches_the_one_who_waits_and_later_programs_are_made(ahead):
    right = Traced()
    right.go_on.set()
    broken, whole = ahead.prepare(lambda: 1 / 0), ahead.prepare(lambda: right)
    with pytest.raises(ZeroDivisionError):
        broken()
    assert whole()[1] is right


def test_the_threads_end_with_the_last_program(ahead):
    def threads():
        return {t for t in threading.enumerate() if t.name.startswith(THREAD)}

    before, last = threads(), Traced()
    result = ahead.prepare(lambda: last)
    ahead.close()
    with pytest.raises(RuntimeError):
        ahead.prepare(lambda: last)
    last.go_on.set()
    assert result()[1] is last
    for thread in threads() - before:
        thread.join(5.0)
    assert threads() <= before


def test_a_program_is_traced_in_the_context_of_its_caller(ahead):
    from asd_jax.models import ops

    x, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 1, 2))

    def lower():
        text = str(jax.make_jaxpr(lambda x, k: ops.depthwise(x, k, padding=(1, 1)))(x, kernel))
        return types.SimpleNamespace(compile=lambda: text)

    with ops.implementation("lax"):
        asked = ahead.prepare(lower)
    assert "conv_general_dilated" in asked()
    with ops.implementation("fast"):
        asked = ahead.prepare(lower)
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
