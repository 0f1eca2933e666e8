"""A rhythm is found with its rate, and the strokes that it lacks; noise has none."""

import numpy as np
import pytest

from asd_jax.report.rhythm import find_rhythm

RATE = 16000


def strokes(rate, *, missing=(), seconds=8.0, hertz=3000.0, seed=0, height=3000.0):
    """Short rings in noise, so many a second, without those numbered in `missing`."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    wave = rng.normal(0, 200, len(time))
    for number in range(round(seconds * rate)):
        since = time - (number + 0.5) / rate
        ring = np.where(since >= 0, np.exp(-np.maximum(since, 0) / 0.01), 0.0)
        if number not in missing:
            wave += height * ring * np.sin(2 * np.pi * hertz * since)
    return np.rint(wave).astype(np.int16)


@pytest.mark.parametrize("rate", [0.6, 2.5, 5.0, 11.0])
def test_the_rate_is_found(rate):
    found = find_rhythm(strokes(rate), RATE, (2000.0, 4000.0))
    assert found is not None
    assert 1.0 / found.period == pytest.approx(rate, rel=0.02)
    assert not found.missing and found.strokes == pytest.approx(8 * rate, abs=1)


@pytest.mark.parametrize("missing", [(4,), (3, 9), (7, 8, 14)])
def test_missing_strokes_are_counted_and_placed(missing):
    found = find_rhythm(strokes(2.5, missing=missing), RATE, (2000.0, 4000.0))
    assert found is not None
    assert 1.0 / found.period == pytest.approx(2.5, rel=0.02)
    np.testing.assert_allclose(found.missing, [(k + 0.5) / 2.5 for k in missing], atol=0.08)


def test_a_rhythm_is_heard_in_its_own_band_alone():
    wave = strokes(3.0, hertz=6000.0, height=500.0)
    assert find_rhythm(wave, RATE, (5500.0, 6500.0)) is not None
    assert find_rhythm(wave, RATE, (500.0, 1500.0)) is None


@pytest.mark.parametrize("seed", range(8))
def test_noise_and_a_steady_tone_have_no_rhythm(seed):
    rng = np.random.default_rng(seed)
    noise = np.rint(rng.normal(0, 500, 5 * RATE)).astype(np.int16)
    tone = np.rint(3000 * np.sin(2 * np.pi * 440 * np.arange(5 * RATE) / RATE)).astype(np.int16)
    for wave in (noise, noise // 8 + tone):
        assert find_rhythm(wave, RATE, (200.0, 4000.0)) is None


@pytest.mark.parametrize("samples", [0, 1, 300, 700, 4000])
def test_short_and_silent_sounds_have_none(samples):
    assert find_rhythm(np.zeros(samples, np.int16), RATE, (0.0, 8000.0)) is None
    assert find_rhythm(np.ones(samples, np.int16), RATE, (9000.0, 9000.0)) is None
