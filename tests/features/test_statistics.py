"""Pooling over time against NumPy written from the paper's equations."""

import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.errors import UserError
from asd_jax.features.statistics import (
    REFERENCES,
    TimePooling,
    pool_time,
    reference_views,
)


def mels(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(0.5, 1e-3, size=(3, 7, 20)).astype(np.float32)


@pytest.mark.parametrize("scale", ["db", "linear"])
def test_the_mean_equals_numpy(scale):
    pooled = pool_time(jnp.asarray(mels()), settings=TimePooling(pool="mean", scale=scale))
    x = mels().astype(np.float64)
    x = 10 * np.log10(np.maximum(x, 1e-10)) if scale == "db" else x
    np.testing.assert_allclose(pooled, x.mean(-1), rtol=2e-4)


def test_literal_gwap_is_equations_7_and_8():
    mel = mels()
    y = mel.astype(np.float64).mean(-1)
    expected = y * y / y.sum(-1, keepdims=True)
    pooled = pool_time(jnp.asarray(mel), settings=TimePooling("gwap", "linear"))
    np.testing.assert_allclose(pooled, expected, rtol=1e-5)


def test_gwap_in_db_counts_from_the_floor():
    settings = TimePooling(pool="gwap", scale="db")
    mel = mels()
    y = (10 * np.log10(1 + mel.astype(np.float64) / 1e-10)).mean(-1)
    pooled = pool_time(jnp.asarray(mel), settings=settings)
    np.testing.assert_allclose(pooled, y * y / y.sum(-1, keepdims=True), rtol=1e-5)
    silent = pool_time(jnp.zeros((1, 7, 20)), settings=settings)
    np.testing.assert_array_equal(silent, 0.0)


@pytest.mark.parametrize("options", [{"pool": "median"}, {"scale": "log"}])
def test_impossible_settings_are_named(options):
    with pytest.raises(UserError, match=next(iter(options))):
        TimePooling(**options)


def test_reference_views_equal_numpy():
    mel = mels()
    level = 10 * np.log10(np.maximum(mel.astype(np.float64), 1e-10))
    ranked, weights = np.sort(level, axis=-1), 0.9 ** np.arange(20)
    loud = ranked[..., ::-1] @ (weights / weights.sum())
    power = 10 * np.log10(mel.astype(np.float64).mean(-1))
    expected = np.stack([level.mean(-1), loud, ranked[..., :12].mean(-1), power], 1)
    np.testing.assert_allclose(reference_views(jnp.asarray(mel)), expected, rtol=2e-4)
    assert REFERENCES == ("mean", "loud", "quiet", "power")
