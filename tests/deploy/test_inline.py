"""A program evaluated operation by operation gives what it gave, in fewer and simpler ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.deploy import inline


def names(function, *arguments):
    return [e.primitive.name for e in jax.make_jaxpr(function)(*arguments).jaxpr.eqns]


def evaluated(function, x):
    closed = jax.make_jaxpr(function)(x)
    return lambda *arguments: inline.evaluate(closed, *arguments)


@pytest.mark.parametrize("sides", [((0, 0), (2, 1)), ((1, 0), (0, 3)), ((0, 0), (0, 0))])
def test_pads_become_concatenations(sides):
    x = jnp.arange(6.0).reshape(2, 3)
    run = evaluated(lambda x: jnp.pad(x, sides, constant_values=7.0), x)
    np.testing.assert_array_equal(run(x)[0], np.pad(x, sides, constant_values=7.0))
    assert "pad" not in names(run, x)


def test_a_pad_that_cuts_stays_one():
    x = jnp.arange(6.0)
    run = evaluated(lambda x: jax.lax.pad(x, 0.0, [(-1, 2, 1)]), x)
    np.testing.assert_array_equal(run(x)[0], jax.lax.pad(x, 0.0, [(-1, 2, 1)]))


def test_calls_are_inlined_and_nothing_is_computed_twice_or_in_vain():
    @jax.jit
    def half(x):
        return jnp.sin(x) / 2.0

    def function(x):
        jnp.cos(x)
        return half(x) + jnp.sin(x) + jax.nn.relu(x) * half(x)

    x = jnp.linspace(-1.0, 1.0, 5)
    run = evaluated(function, x)
    np.testing.assert_allclose(run(x)[0], function(x), rtol=1e-6)
    found = names(run, x)
    assert found.count("sin") == 1 and found.count("div") == 1
    assert not {"cos", "jit", "pjit", "custom_jvp_call"} & set(found)


def test_operations_that_differ_in_a_number_alone_stay_two():
    x = jnp.arange(3.0)
    run = evaluated(lambda x: (x * 2.0) + (x * 3.0) + x[:, None].sum(0) + x[:, None].sum(1), x)
    np.testing.assert_allclose(run(x)[0], 2 * x + 3 * x + x.sum() + x)
