"""A tone at a known time and frequency is found there."""

import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.features import host
from asd_jax.features.logmel import LogMel, log_mel, mel_frequencies, to_float
from asd_jax.live.recordings import COLUMNS, where
from tests.live import machine


@pytest.mark.parametrize("spec", [LogMel(n_mels=64), LogMel(n_mels=32, n_fft=512, hop_length=160)])
def test_the_level_is_that_of_the_front_end(spec):
    wave = machine.hum(0.7)
    expected = np.asarray(log_mel(to_float(jnp.asarray(wave))[None], spec=spec))[0, ..., 0]
    np.testing.assert_allclose(host.level(wave, spec), expected, atol=2e-3)


def test_the_departure_is_the_detectors():
    detector = machine.detector()
    wave = machine.hum(seed=80)
    level = log_mel(to_float(jnp.asarray(wave))[None], spec=detector.spec)[0, ..., 0]
    shown = detector.picture(wave, 0)
    np.testing.assert_allclose(shown.spectrogram, level, atol=2e-3)
    expected = (level - detector.frame_mean[0][:, None]) / detector.frame_std[0][:, None]
    np.testing.assert_allclose(shown.deviation, expected, atol=2e-3)


@pytest.mark.parametrize("hertz", [400, 1500, 3000, 5500])
@pytest.mark.parametrize(("start", "end"), [(0.1, 0.3), (0.6, 0.85)])
@pytest.mark.parametrize("height", [300, 2000])
def test_a_tone_burst_is_found_where_it_is(hertz, start, end, height):
    detector, spec = machine.detector(), machine.detector().spec
    wave = machine.with_tone(machine.hum(seed=90), start=start, end=end, hertz=hertz, height=height)
    row = where(detector.picture(wave, 0), start=20.0)
    half_frame = spec.n_fft / 2 / spec.sample_rate  # a frame hears that much on both sides
    assert row["departs_from_s"] == pytest.approx(20 + start, abs=half_frame + 0.02)
    assert row["departs_to_s"] == pytest.approx(20 + end, abs=half_frame + 0.02)
    bins = mel_frequencies(spec)
    width = np.diff(bins)[np.abs(bins[:-1] - hertz).argmin()]
    assert hertz - 3 * width <= row["departs_from_hz"] <= hertz <= row["departs_to_hz"]
    assert row["departs_to_hz"] <= hertz + 3 * width
    assert row["departs_by"] > 2


def test_what_is_missing_is_below_zero():
    detector = machine.detector()
    wave = machine.hum(seed=91)
    wave[6000:9000] = wave[6000:9000] // 20
    row = where(detector.picture(wave, 0))
    assert row["departs_by"] < -2
    assert row["departs_from_s"] == pytest.approx(6000 / 16000, abs=0.1)
    assert row["departs_to_s"] == pytest.approx(9000 / 16000, abs=0.1)


def test_healthy_sound_departs_nowhere():
    detector = machine.detector()
    found = [where(detector.picture(machine.hum(seed=seed), 0)) for seed in range(100, 130)]
    assert all(row[column] is None for row in found for column in COLUMNS)
    assert all("Strongest deviation" not in row["why"] for row in found)
