"""The views of a clip against librosa and NumPy, and a rhythm that falters."""

import functools

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from asd_jax import target
from asd_jax.features import views
from asd_jax.features.settings import LogMel
from asd_jax.features.views import loudest_first
from tests.features.test_modulation import oracle

RATE = 16000
SPEC = LogMel(n_mels=64, sample_rate=RATE)
clip_views = jax.jit(functools.partial(views.clip_views, spec=SPEC))


def decibel(power):
    return 10 * np.log10(np.maximum(power, 1e-10))


def librosas(wave, n_fft, hop_length, n_mels):
    return librosa.feature.melspectrogram(
        y=wave, sr=RATE, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels, pad_mode="constant"
    )


def test_views_equal_librosa_and_numpy():
    rng = np.random.default_rng(0)
    wave = (rng.normal(0, 0.1, (2, 4 * RATE)) * (1 + (rng.random((2, 1)) > 0.5))).astype(np.float32)
    found = clip_views(wave)
    sizes = views.view_sizes(found.shape[1])
    assert sizes == (64, 64, 64, 32, 52) and len(sizes) == len(views.VIEWS) == len(views.WEIGHTS)
    for one, clip in zip(wave, found, strict=True):
        long, short = librosas(one, 2048, 512, 64), librosas(one, 256, 128, 32)
        ranked = np.sort(decibel(long), axis=1)
        expected = {
            "mean": decibel(long).mean(1),
            "power": decibel(long.mean(1)),
            "quiet": ranked[:, : int(0.3 * long.shape[1])].mean(1),
            "loud": np.sort(decibel(short), axis=1)[:, -int(0.1 * short.shape[1]) :].mean(1),
            "rhythm": oracle(decibel(short.reshape(4, 8, -1).mean(1)), 256).ravel(),
        }
        got = dict(zip(views.VIEWS, np.split(clip, np.cumsum(sizes)[:-1]), strict=True))
        for name, values in expected.items():
            np.testing.assert_allclose(got[name], values, atol=2e-2, err_msg=name)


def strokes(missing=()):
    """Knocks five times a second over a quiet hiss, some of them left out."""
    wave = 1e-3 * np.random.default_rng(0).normal(size=4 * RATE)
    knock = np.sin(2 * np.pi * 1500 * np.arange(800) / RATE) * np.exp(-np.arange(800) / 150)
    for k in range(20):
        if k not in missing:
            start = k * RATE // 5
            wave[start : start + 800] += 0.3 * knock
    return wave.astype(np.float32)


def test_a_missing_stroke_is_slow_fluctuation():
    found = clip_views(np.stack([strokes(), strokes(missing=(4, 9, 14))]))
    rhythm = np.asarray(found)[:, -52:].reshape(2, 4, 13)
    slow, even = rhythm[..., :4].mean((1, 2)), rhythm[..., 6:].mean((1, 2))  # 0.5 to 3 Hz
    assert slow[1] > slow[0] + 6.0
    assert abs(even[1] - even[0]) < 3.0


@pytest.mark.parametrize("samples", [512, 4096])
def test_silent_and_short_clips_are_finite(samples):
    found = clip_views(jnp.zeros((2, samples)))
    assert np.isfinite(found).all()


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
