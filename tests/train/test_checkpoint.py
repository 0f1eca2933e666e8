"""Checkpoints: what was saved comes back, on whatever devices, and nothing else does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from asd_jax.errors import UserError
from asd_jax.train.checkpoint import Checkpoints


def state(seed=0, width=3):
    rng = np.random.default_rng(seed)
    return {
        "step": jnp.asarray(seed, jnp.int32),
        "key": jax.random.key(seed),
        "params": {
            "a": jnp.asarray(rng.normal(size=(2, width)), jnp.float32),
            "b": jnp.asarray(rng.normal(size=(4,)), jnp.bfloat16),
            "none": jnp.zeros((0, 2)),
        },
        "flags": jnp.asarray([True, False]),
    }


def assert_equal(a, b):
    jax.tree.map(
        lambda x, y: np.testing.assert_array_equal(
            np.asarray(jax.random.key_data(x) if x.dtype == jax.random.key(0).dtype else x),
            np.asarray(jax.random.key_data(y) if y.dtype == jax.random.key(0).dtype else y),
        ),
        a,
        b,
    )
    assert jax.tree.map(lambda x: x.dtype, a) == jax.tree.map(lambda x: x.dtype, b)


def test_what_was_saved_comes_back(tmp_path):
    with Checkpoints(str(tmp_path)) as checkpoints:
        checkpoints.save(3, state(3))
        checkpoints.save(5, state(5))
        assert checkpoints.latest() == 5
        assert_equal(checkpoints.restore(5, state(0)), state(5))
    with Checkpoints(str(tmp_path)) as checkpoints:
        assert_equal(checkpoints.restore(5, state(0)), state(5))


def test_it_comes_back_to_the_devices_that_are_asked_for(tmp_path):
    mesh = jax.make_mesh((4,), ("data",), devices=jax.devices()[:4])
    everywhere = NamedSharding(mesh, PartitionSpec())
    with Checkpoints(str(tmp_path)) as checkpoints:
        checkpoints.save(1, state(1))
        like = jax.device_put(state(0), everywhere)
        again = checkpoints.restore(1, like)
    assert all(leaf.sharding == everywhere for leaf in jax.tree.leaves(again))
    assert_equal(again, state(1))


@pytest.mark.parametrize("width", [2, 4])
def test_a_state_of_another_size_is_refused(tmp_path, width):
    with Checkpoints(str(tmp_path)) as checkpoints:
        checkpoints.save(1, state(1))
        with pytest.raises(UserError, match="does not fit"):
            checkpoints.restore(1, state(0, width=width))


def test_a_state_with_another_kind_of_leaf_is_refused(tmp_path):
    with Checkpoints(str(tmp_path)) as checkpoints:
        checkpoints.save(1, state(1))
        with pytest.raises(UserError, match="does not fit"):
            checkpoints.restore(1, state(0) | {"more": jnp.zeros(3, jnp.int16)})
