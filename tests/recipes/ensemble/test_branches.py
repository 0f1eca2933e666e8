"""Which views of a clip a config asks for, and what they need."""

import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.recipes.ensemble import branches


@pytest.mark.parametrize(
    ("wanted", "variables", "views"),
    [
        (["statistics"], {"normaliser"}, ("statistics",)),
        (["spectral"], {"normaliser", "encoder"}, ("spectral",)),
        (["early_layers"], {"normaliser", "encoder"}, ("early_layers",)),
        (["temporal", "statistics"], {"normaliser", "temporal"}, ("temporal", "statistics")),
        (
            ["fusion", "statistics"],
            {"normaliser", "encoder", "temporal", "fusion"},
            ("fusion", "statistics", "temporal", "spectral"),
        ),
    ],
)
def test_a_branch_needs_its_network_and_the_fusion_both(wanted, variables, views):
    assert branches.needed(wanted) == variables
    assert branches.seen_by(wanted) == views


def test_an_early_map_keeps_its_frequencies_in_pairs():
    x = np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype(np.float32)
    found = branches.pool_early_layers(jnp.asarray(x))
    over_time = x.mean(axis=2)
    expected = [(over_time[:, k] + over_time[:, k + 1]) / 2 for k in (0, 2)]  # the fifth is alone
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), rtol=1e-5, atol=1e-6)
