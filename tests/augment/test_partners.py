"""Which clips of a batch are mixed with which."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.augment.partners import draw_partners, group_size, neighbours, take
from asd_jax.train.sharding import data_mesh, sharded


@pytest.mark.parametrize("batch", [1, 6, 63, 64, 68, 128])
def test_everyone_is_a_partner_within_the_group(batch):
    partner = np.asarray(draw_partners(jax.random.key(0), batch))
    assert sorted(partner) == list(range(batch))
    place, size = np.arange(batch), group_size(batch)
    np.testing.assert_array_equal(partner // size, place // size)
    if size < batch:
        assert (partner != place).all()
        assert len({tuple(row % size) for row in partner.reshape(-1, size)}) > 1  # groups differ
    assert batch == 1 or (partner != draw_partners(jax.random.key(1), batch)).any()


@pytest.mark.parametrize(("batch", "wanted"), [(1, 2), (5, 7), (64, 3), (128, 0)])
def test_neighbours_are_others_of_the_group(batch, wanted):
    found = np.asarray(neighbours(jax.random.key(0), batch, wanted))
    assert found.shape == (batch, wanted)
    place, size = np.arange(batch)[:, None], group_size(batch)
    assert (found // size == place // size).all()
    assert batch == 1 or (found != place).all()
    once = found[:, : size - 1]
    assert all(len(set(row)) == len(row) for row in once)  # nobody twice before all had their turn


@pytest.mark.parametrize("batch", [6, 128])
def test_take_is_indexing(batch):
    x = jnp.asarray(np.random.default_rng(0).standard_normal((batch, 3, 2)))
    for places in (
        draw_partners(jax.random.key(0), batch),
        neighbours(jax.random.key(0), batch, 3),
    ):
        np.testing.assert_array_equal(take(x, places), x[places])


@pytest.mark.parametrize(("batch", "travels"), [(128, False), (64, False), (56, True)])
def test_devices_with_whole_groups_need_nothing_from_others(batch, travels):
    split = sharded(data_mesh(8))

    @functools.partial(jax.jit, in_shardings=(None, split), out_shardings=split)
    def mixed(key, x):
        return x + take(x, draw_partners(key, len(x)))

    x = jax.ShapeDtypeStruct((batch, 40, 30), jnp.float32)
    text = mixed.lower(jax.random.key(0), x).compile().as_text()
    large = [line for line in text.splitlines() if "40,30" in line]
    collectives = ("all-gather", "all-reduce", "all-to-all", "collective-permute")
    assert any(name in line for name in collectives for line in large) is travels
