"""The sorting network against NumPy's sort."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax import target
from asd_jax.features.ranking import loudest_first


@pytest.mark.parametrize("frames", [1, 2, 3, 8, 20, 65, 313])
@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_order_is_numpys(frames, platform):
    x = np.random.default_rng(frames).normal(-60.0, 10.0, size=(2, 3, frames)).astype(np.float32)
    x[0, 1] = np.round(x[0, 1] / 10.0)  # equal ones
    with target.compiling_for(platform):
        ours = jax.jit(loudest_first)(x)
    np.testing.assert_array_equal(ours, np.sort(x, axis=-1)[..., ::-1])


def test_a_gradient_goes_where_the_value_came_from():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 12)), jnp.float32)
    weights = jnp.arange(12.0)
    slope = jax.jit(jax.grad(lambda x: (loudest_first(x) @ weights).sum()))(x)
    np.testing.assert_array_equal(slope, np.argsort(np.argsort(-x, axis=-1), axis=-1))


def test_one_that_is_no_number_is_not_lost():
    x = jnp.zeros((2, 5)).at[0, 3].set(jnp.nan)
    found = np.asarray(jax.jit(loudest_first)(x))
    assert np.isnan(found[0]).any() and not np.isnan(found[1]).any()
