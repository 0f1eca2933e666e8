"""The modulation spectrum against NumPy, and what it hears."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.features import modulation

EDGES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)


def oracle(level, frames):
    """One band at a time, in loops and float64."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frames) / frames)
    found = []
    for band in level.astype(np.float64):
        padded = np.pad(band - band.mean(), frames // 2)
        starts = range(0, len(padded) - frames + 1, frames // 2)
        cut = [np.abs(np.fft.rfft(padded[i : i + frames] * window)) ** 2 for i in starts]
        power = np.mean(cut, axis=0)
        edges = [edge for edge in EDGES if edge <= frames // 2]
        means = [power[a:b].mean() / frames for a, b in itertools.pairwise(edges)]
        found.append(10 * np.log10(np.array(means) + 0.01))
    return np.array(found)


@pytest.mark.parametrize(("frames", "rates"), [(256, 13), (64, 9)])
def test_it_equals_numpy(frames, rates):
    level = np.random.default_rng(0).normal(-40, 3, (2, 3, 501)).astype(np.float32)
    found = modulation.modulation_spectrum(jnp.asarray(level), frames=frames)
    assert found.shape == (2, 3, rates)
    for one, clip in zip(level, found, strict=True):
        np.testing.assert_allclose(clip, oracle(one, frames), atol=1e-3)


def test_a_level_that_beats_has_its_rate_and_a_steady_one_none():
    time = np.arange(512)
    level = np.stack([6 * np.sin(2 * np.pi * time / 16), np.zeros(512)])[None]
    beating, steady = np.asarray(modulation.modulation_spectrum(jnp.asarray(level), frames=64))[0]
    assert beating.argmax() == 3  # bins 4 and 5 of 64: once in 16 frames
    np.testing.assert_allclose(steady, -20.0, atol=1e-3)


@pytest.mark.parametrize("rate", [1000, 4000, 8000, 22050, 44100, 48000, 96000, 192000])
def test_short_frames_have_a_bin_in_each_band(rate):
    spec = modulation.short_frames(rate)
    assert spec.n_fft >= 0.016 * rate and spec.n_mels == 32  # LogMel refuses an empty band
