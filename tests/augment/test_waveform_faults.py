"""Weak faults: their levels, their places, and that nothing else changes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.augment.waveform_faults import FAULTS, weak_fault

RATE, SAMPLES = 16000, 16000
KEYS = jax.random.split(jax.random.key(7), 40)


def noise(seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).normal(size=SAMPLES)).astype(np.float32)


def faulty(kind: str, strength_db: float, wave: np.ndarray | None = None) -> np.ndarray:
    """One clip with the fault under many keys, `[keys, samples]`, in float64."""
    wave = noise() if wave is None else wave
    return np.asarray(_compiled(kind)(KEYS, jnp.asarray(wave), strength_db), np.float64)


@functools.cache
def _compiled(kind: str):
    """One compilation a kind: the strength is traced, as a sweep traces it."""

    def fault(key, wave, strength_db):
        return weak_fault(key, wave, kind=kind, strength_db=strength_db)

    return jax.jit(jax.vmap(fault, in_axes=(0, None, None)))


def level_db(x: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.mean(x**2, axis=-1))


@pytest.mark.parametrize("gain", [1.0, 6.0])
def test_band_gain_has_its_peak_and_its_width(gain):
    ratio = np.abs(np.fft.rfft(faulty("band_gain", gain))) / np.abs(np.fft.rfft(noise()))
    hz = np.fft.rfftfreq(SAMPLES, 1 / RATE)
    change = 20 * np.log10(ratio[:, 20:-20])
    hz = hz[20:-20]
    peak = np.abs(change).max(axis=1)
    np.testing.assert_allclose(peak, gain, rtol=0.02)
    signs = np.sign(change[np.arange(40), np.abs(change).argmax(axis=1)])
    assert 5 < (signs > 0).sum() < 35
    for row in np.abs(change):
        octaves = np.log2(hz[row > 0.01 * gain][[0, -1]])
        assert 0.3 < octaves[1] - octaves[0] <= 2.05
        assert 100 * 0.95 < hz[row > 0.01 * gain][0]
    # Outside the band nothing changes.
    assert np.median(np.abs(change), axis=1).max() < gain / 2
    assert (np.abs(change) < 0.01).mean() > 0.3


@pytest.mark.parametrize("kind", ["tone", "clicks"])
@pytest.mark.parametrize("level", [-20.0, 0.0])
def test_added_sounds_have_their_level_beside_the_clip(kind, level):
    added = faulty(kind, level) - noise()
    np.testing.assert_allclose(level_db(added) - level_db(noise()), level, atol=0.05)


def test_a_tone_is_a_harmonic_comb():
    wave = noise()
    for added in (faulty("tone", 0.0) - wave)[:10]:
        spectrum = np.square(np.abs(np.fft.rfft(added * np.hanning(SAMPLES), n=4 * SAMPLES)))
        hz = np.arange(spectrum.size) * RATE / (4 * SAMPLES)
        base = hz[spectrum.argmax()]
        assert 39 < base < 801
        near = np.abs(hz[:, None] - base * np.arange(1, 9)).min(axis=1) < 6.0
        assert spectrum[near].sum() > 0.99 * spectrum.sum()
        second = np.abs(hz - 2 * base) < 3.0
        np.testing.assert_allclose(spectrum[second].max() / spectrum.max(), 0.25, rtol=0.25)


def test_clicks_are_sparse_and_periodic():
    wave = noise()
    for added in faulty("clicks", 0.0) - wave:
        crest = np.abs(added).max() / np.sqrt(np.mean(added**2))
        assert crest > 5
        envelope = np.abs(added) > 0.5 * np.abs(added).max()
        starts = np.flatnonzero(envelope)
        clicks = 1 + (np.diff(starts) > 400).sum()
        assert 1 <= clicks <= 21


@pytest.mark.parametrize("kind", list(FAULTS))
def test_no_strength_is_no_fault_and_silence_stays_finite(kind):
    nothing = 0.0 if kind == "band_gain" else -200.0
    np.testing.assert_allclose(faulty(kind, nothing), noise()[None].repeat(40, 0), atol=1e-5)
    np.testing.assert_array_equal(faulty(kind, 1.0, np.zeros(SAMPLES, np.float32)), 0.0)


@pytest.mark.parametrize("kind", list(FAULTS))
def test_a_clip_does_not_depend_on_its_neighbours(kind):
    batch = np.stack([noise(seed) for seed in range(3)])
    make = jax.jit(jax.vmap(lambda key, x: weak_fault(key, x, kind=kind, strength_db=1.0)))
    before = make(KEYS[:3], jnp.asarray(batch[:, :2000]))
    batch[:2] *= 50.0
    after = make(KEYS[:3], jnp.asarray(batch[:, :2000]))
    np.testing.assert_array_equal(before[2], after[2])
