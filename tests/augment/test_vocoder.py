"""The pitch shift that keeps the tempo, against librosa's and against what it promises."""

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from asd_jax.augment import vocoder
from asd_jax.augment.vocoder import AT_A_TIME
from asd_jax.augment.waveform import WaveformAugment, augment_waveform, pitch_shift
from asd_jax.errors import UserError

RATE = 16000
change_pitch = jax.jit(vocoder.change_pitch)  # for any ratio: one program for a length of clip


def tones(seconds=2.0, partials=(220.0, 700.0, 1500.0, 2400.0)):
    t = np.arange(round(seconds * RATE)) / RATE
    return sum(np.sin(2 * np.pi * f * t + k) / (k + 1) for k, f in enumerate(partials)).astype("f4")


def peaks(x, number):
    """The frequencies of the highest peaks, Hz, rising; the ends of the clip left out."""
    x = np.asarray(x)[RATE // 4 : -RATE // 4]
    power = np.abs(np.fft.rfft(x * np.hanning(len(x))))
    found = []
    for _ in range(number):
        k = int(np.argmax(power))
        found.append(k * RATE / len(x))
        power[max(0, k - 40) : k + 40] = 0.0
    return np.sort(found)


@pytest.mark.parametrize("semitones", [-20.0, -4.0, -1.0, 3.0, 7.0])
def test_every_peak_moves_by_the_ratio_as_librosas_does(semitones):
    x = tones()
    ours = change_pitch(jnp.asarray(x), 2.0 ** (semitones / 12))
    theirs = librosa.effects.pitch_shift(x, sr=RATE, n_steps=semitones)
    expected = np.array([220.0, 700.0, 1500.0, 2400.0]) * 2.0 ** (semitones / 12)
    np.testing.assert_allclose(peaks(ours, 4), expected, rtol=0.005, atol=2.0)
    np.testing.assert_allclose(peaks(ours, 4), peaks(theirs, 4), rtol=0.01, atol=3.0)
    inner = slice(RATE // 4, -RATE // 4)
    level = [20 * np.log10(np.std(np.asarray(y)[inner])) for y in (x, ours)]
    assert abs(level[0] - level[1]) < 1.0


@pytest.mark.parametrize("semitones", [-20.0, -4.0, 4.0])
def test_the_spectral_centroid_of_noise_moves_as_librosas_does(semitones):
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.normal(size=2 * RATE))
    spectrum[np.fft.rfftfreq(2 * RATE, 1 / RATE) > 3000.0] = 0.0
    x = np.fft.irfft(spectrum).astype("f4")
    ours = np.asarray(change_pitch(jnp.asarray(x), 2.0 ** (semitones / 12)))
    theirs = librosa.effects.pitch_shift(x, sr=RATE, n_steps=semitones)
    centroid = [librosa.feature.spectral_centroid(y=y, sr=RATE).mean() for y in (ours, theirs)]
    assert centroid[0] == pytest.approx(centroid[1], rel=0.08)


@pytest.mark.parametrize("semitones", [-7.0, 5.0])
def test_beats_stay_where_they_are_in_time(semitones):
    t = np.arange(2 * RATE) / RATE
    beats = np.arange(0.25, 2.0, 0.25)
    x = sum(np.exp(-(((t - b) / 0.02) ** 2)) * np.sin(2 * np.pi * 800 * t) for b in beats)
    ours = np.asarray(change_pitch(jnp.asarray(x, jnp.float32), 2.0 ** (semitones / 12)))
    for b in beats[:-1]:
        near = np.abs(t - b) < 0.1
        middle = np.sum(t[near] * ours[near] ** 2) / np.sum(ours[near] ** 2)
        assert middle == pytest.approx(b, abs=0.02)  # a frame of 0.13 s smears the beat


def test_no_shift_changes_nothing_and_silence_stays_silent():
    x = jnp.asarray(tones())
    np.testing.assert_allclose(change_pitch(x, 1.0)[4000:-4000], x[4000:-4000], atol=0.02)
    assert not np.any(np.asarray(change_pitch(jnp.zeros(5000), 1.3)))


def test_it_is_traced_and_vmapped_with_the_ratio():
    x = jnp.asarray(tones(0.5))
    ratios = jnp.array([0.5, 1.0, 1.7])
    many = jax.jit(jax.vmap(vocoder.change_pitch, (None, 0)))(x, ratios)
    for k, ratio in enumerate((0.5, 1.0, 1.7)):
        np.testing.assert_allclose(many[k], change_pitch(x, ratio), atol=5e-3)


def test_a_batch_that_is_no_multiple_of_a_part_and_of_other_clips():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(AT_A_TIME + 3, 3000)), jnp.float32)
    many = jax.jit(jax.vmap(vocoder.change_pitch, (0, None)))(x, 0.8)
    for k in (0, AT_A_TIME, AT_A_TIME + 2):
        np.testing.assert_allclose(many[k], change_pitch(x[k], 0.8), atol=5e-3)


def test_the_setting_chooses_it():
    x, key = jnp.asarray(tones(0.5)), jax.random.key(0)
    kept = pitch_shift(key, x, semitones=(-5.0, -5.0), pitch="tempo")
    np.testing.assert_allclose(kept, change_pitch(x, 2.0 ** (-5 / 12)), atol=5e-3)
    settings = WaveformAugment(("pitch_shift",), 1.0, semitones=(-5.0, -5.0), pitch="tempo")
    np.testing.assert_allclose(
        augment_waveform(key, x, settings=settings, hop_length=512), kept, atol=5e-3
    )
    with pytest.raises(UserError, match=r"WaveformAugment\.pitch is .pace..*tempo"):
        WaveformAugment(pitch="pace")
