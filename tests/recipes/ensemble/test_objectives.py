"""What the stages minimise: the figure that tells a collapse."""

import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.recipes.ensemble import objectives


def test_spread_is_one_for_scattered_vectors_and_zero_for_one_direction():
    x = np.random.default_rng(0).normal(size=(4000, 16)).astype(np.float32)
    assert float(objectives.spread(jnp.asarray(x))) == pytest.approx(1.0, abs=0.02)
    lengths = np.linspace(1, 9, 50, dtype=np.float32)[:, None]  # of no consequence
    assert float(objectives.spread(jnp.asarray(lengths * x[:1]))) == pytest.approx(0.0, abs=1e-3)
