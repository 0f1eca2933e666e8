"""Normalisers against NumPy on the concatenated frames."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.errors import UserError
from asd_jax.features.normalise import (
    Normaliser,
    collect_moments,
    fit_normaliser,
    normalise,
)

MELS, FRAMES, CHANNELS = 6, 20, 2


def features(clips: int = 12, seed: int = 0) -> np.ndarray:
    """Levels far from 0 with correlated bins, where careless float32 moments would cancel."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(MELS, MELS))
    x = np.einsum("mn,bnfc->bmfc", mix, rng.normal(size=(clips, MELS, FRAMES, CHANNELS)))
    return (x - 70.0 + 5.0 * np.arange(MELS)[:, None, None]).astype(np.float32)


def batches(x: np.ndarray, size: int):
    """Batches of one size; the last one is filled up with rubbish that is marked as padding."""
    for start in range(0, len(x), size):
        part = x[start : start + size]
        valid = np.arange(size) < len(part)
        rubbish = np.full((size - len(part), *x.shape[1:]), 1e3, np.float32)
        yield jnp.asarray(np.concatenate([part, rubbish])), jnp.asarray(valid)


@pytest.mark.parametrize("covariance", [False, True])
@pytest.mark.parametrize("size", [1, 5, 12])
def test_streamed_moments_equal_numpy(covariance, size):
    x = features()
    moments = collect_moments(batches(x, size), covariance=covariance)
    frames = x.transpose(1, 3, 0, 2).reshape(MELS, CHANNELS, -1).astype(np.float64)
    assert moments.frames == frames.shape[-1]
    np.testing.assert_allclose(moments.mean, frames.mean(-1), rtol=1e-6)
    for channel in range(CHANNELS):
        expected = np.cov(frames[:, channel], bias=True) * moments.frames
        if covariance:
            np.testing.assert_allclose(moments.scatter[channel], expected, rtol=1e-4, atol=1e-2)
        else:
            np.testing.assert_allclose(moments.scatter[:, channel], np.diag(expected), rtol=1e-5)


@pytest.mark.parametrize("covariance", [False, True])
def test_per_bin_gives_mean_0_and_spread_1(covariance):
    x = features()
    moments = collect_moments(batches(x, 5), covariance=covariance)
    y = np.asarray(normalise(jnp.asarray(x), fit_normaliser(moments, kind="per_bin")))
    np.testing.assert_allclose(y.mean(axis=(0, 2)), 0.0, atol=1e-4)
    np.testing.assert_allclose(y.std(axis=(0, 2)), 1.0, atol=1e-4)


def test_whiten_gives_the_identity_covariance_up_to_shrinkage():
    x = features()
    moments = collect_moments(batches(x, 5), covariance=True)
    y = np.asarray(
        normalise(jnp.asarray(x), fit_normaliser(moments, kind="whiten", shrinkage=1e-6))
    )
    for channel in range(CHANNELS):
        frames = y[..., channel].transpose(1, 0, 2).reshape(MELS, -1)
        np.testing.assert_allclose(np.cov(frames, bias=True), np.eye(MELS), atol=2e-3)
    # At full shrinkage only the overall scale is left: the matrix is a multiple of the identity.
    matrix = np.asarray(fit_normaliser(moments, kind="whiten", shrinkage=1.0).whitening[0])
    np.testing.assert_allclose(matrix, matrix[0, 0] * np.eye(MELS), atol=1e-6)


def test_per_clip_removes_each_clips_own_level():
    x = jnp.asarray(features())
    y = normalise(x, fit_normaliser(None, kind="per_clip"))
    np.testing.assert_allclose(y.mean(axis=(1, 2)), 0.0, atol=1e-4)
    np.testing.assert_allclose(y.std(axis=(1, 2)), 1.0, atol=1e-4)
    np.testing.assert_allclose(
        normalise(3.0 * x + 7.0, Normaliser(clip_floor=jnp.float32(0.1))), y, atol=1e-3
    )
    silent = normalise(
        jnp.full((1, MELS, FRAMES, CHANNELS), -100.0), fit_normaliser(None, kind="per_clip")
    )
    np.testing.assert_allclose(silent, 0.0, atol=1e-3)


def test_none_changes_nothing_and_a_normaliser_passes_through_jit():
    x = jnp.asarray(features())
    np.testing.assert_array_equal(normalise(x, fit_normaliser(None, kind="none")), x)
    normaliser = fit_normaliser(collect_moments(batches(features(), 4)))
    # Inside jit the multiplication and subtraction may fuse, so compare to rounding.
    np.testing.assert_allclose(
        jax.jit(normalise)(x, normaliser), normalise(x, normaliser), atol=1e-4
    )


def test_a_dead_bin_stays_at_zero():
    x = features()
    x[:, 0] = -100.0
    y = normalise(jnp.asarray(x), fit_normaliser(collect_moments(batches(x, 5))))
    np.testing.assert_allclose(y[:, 0], 0.0, atol=1e-4)
    assert np.isfinite(y).all()


def test_whitening_needs_covariances():
    with pytest.raises(UserError, match="covariance=True"):
        fit_normaliser(collect_moments(batches(features(), 5)), kind="whiten")


def test_nothing_to_learn_from_is_named():
    with pytest.raises(UserError, match="training"):
        collect_moments([])
    with pytest.raises(UserError, match="training clip"):
        fit_normaliser(None, kind="per_bin")
