"""The front end against librosa, on noise, tones, silence and short clips."""

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from asd_jax import target
from asd_jax.errors import UserError
from asd_jax.features import logmel, spectrum
from asd_jax.features.logmel import (
    LogMel,
    db_to_power,
    filterbank,
    frame_times,
    mel_frequencies,
    num_frames,
    power_to_db,
    to_float,
)

log_mel = jax.jit(logmel.log_mel, static_argnames="spec")
mel_power = jax.jit(logmel.mel_power, static_argnames="spec")

SMALL = LogMel(n_fft=512, hop_length=160, n_mels=40)


def waves(samples: int, seed: int = 0) -> np.ndarray:
    """Noise, and a hum with harmonics in faint noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / 16000
    hum = sum(np.sin(2 * np.pi * 97.3 * h * time) / h for h in range(1, 9))
    noise = rng.normal(size=(2, samples))
    return np.stack([0.1 * noise[0], 0.1 * hum + 1e-3 * noise[1]]).astype(np.float32)


def librosa_levels(wave: np.ndarray, spec: LogMel) -> np.ndarray:
    """`[batch, mels, frames, 2]`: power and magnitude channel by librosa."""
    shared = dict(
        sr=spec.sample_rate,
        n_fft=spec.n_fft,
        hop_length=spec.hop_length,
        n_mels=spec.n_mels,
        pad_mode="constant",
    )
    power = librosa.feature.melspectrogram(y=wave, power=2.0, **shared)
    magnitude = librosa.feature.melspectrogram(y=wave, power=1.0, **shared)
    return np.stack(
        [
            librosa.power_to_db(power, amin=1e-10, top_db=None),
            librosa.amplitude_to_db(magnitude, amin=1e-5, top_db=None),
        ],
        axis=-1,
    )


@pytest.mark.parametrize("platform", ["cpu", "gpu", "tpu"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_fft": 1024, "hop_length": 300, "n_mels": 64},
        {"n_fft": 512, "hop_length": 512, "n_mels": 40},
    ],
)
def test_equals_librosa_over_the_top_60_db(platform, options):
    spec = LogMel(**options)
    wave = waves(16000)
    with target.compiling_for(platform):
        ours = np.asarray(jax.jit(lambda x: logmel.log_mel(x, spec=spec))(wave))
    theirs = librosa_levels(wave, spec)
    assert ours.shape == theirs.shape
    loud = theirs > theirs.max(axis=(1, 2), keepdims=True) - 60.0
    assert loud.mean() > 0.5
    assert np.abs(ours - theirs)[loud].max() < 1e-3


@pytest.mark.parametrize("n_fft,hop_length", [(512, 512), (512, 128), (512, 32), (512, 200)])
@pytest.mark.parametrize("samples", [1, 127, 512, 513, 5001])
def test_frames_cut_for_a_cpu_are_those_gathered(n_fft, hop_length, samples):
    wave = jnp.asarray(waves(samples))
    with target.compiling_for("gpu"):
        gathered = spectrum.power_by_fft(wave, n_fft=n_fft, hop_length=hop_length)
    with target.compiling_for("cpu"):
        cut = spectrum.power_by_fft(wave, n_fft=n_fft, hop_length=hop_length)
    np.testing.assert_array_equal(cut, gathered)


def test_paper_sizes():
    spec = LogMel()
    x = jax.eval_shape(
        lambda wave: log_mel(wave, spec=spec), jax.ShapeDtypeStruct((3, 160000), jnp.float32)
    )
    assert x.shape == (3, 224, 313, 2)
    assert num_frames(160000, spec) == 313
    assert not (filterbank(spec).sum(axis=1) == 0).any()


@pytest.mark.parametrize("samples", [1, 159, 5000])
def test_number_of_frames_of_any_length(samples):
    x = log_mel(jnp.ones((1, samples)), spec=SMALL)
    assert x.shape[2] == num_frames(samples, SMALL)
    assert x.shape[2] == 1 + samples // 160


def test_channels_differ_and_can_be_chosen():
    wave = jnp.asarray(waves(4000))
    both = log_mel(wave, spec=SMALL)
    for index, channel in enumerate(("power", "magnitude")):
        spec = LogMel(n_fft=512, hop_length=160, n_mels=40, channels=(channel,))
        np.testing.assert_array_equal(log_mel(wave, spec=spec)[..., 0], both[..., index])
    # Were the channels proportional, the second would carry nothing new.
    difference = np.asarray(both[..., 1] - both[..., 0])
    assert difference.std() > 0.5


def test_silence_is_the_floor_and_finite():
    x = log_mel(jnp.zeros((1, 3200)), spec=SMALL)
    np.testing.assert_allclose(x, -100.0, atol=1e-4)
    slope = jax.grad(lambda wave: log_mel(wave, spec=SMALL).sum())(jnp.zeros((1, 3200)))
    assert np.isfinite(slope).all()


def test_a_gain_adds_the_same_to_both_channels():
    wave = jnp.asarray(waves(4000))
    change = log_mel(2.0 * wave, spec=SMALL) - log_mel(wave, spec=SMALL)
    np.testing.assert_allclose(change, 20 * np.log10(2.0), atol=1e-3)


def test_mel_power_is_the_power_of_channel_0():
    wave = jnp.asarray(waves(4000))
    expected = log_mel(wave, spec=SMALL)[..., 0]
    np.testing.assert_allclose(power_to_db(mel_power(wave, spec=SMALL)), expected, atol=1e-4)
    np.testing.assert_allclose(power_to_db(db_to_power(expected)), expected, atol=1e-4)


def test_a_tone_lies_in_its_own_bin_and_a_click_in_its_own_frame():
    time = np.arange(16000) / 16000
    tone = mel_power(jnp.asarray(np.sin(2 * np.pi * 3000 * time), jnp.float32)[None], spec=LogMel())
    loudest = mel_frequencies(LogMel())[int(tone[0, :, 15].argmax())]
    assert abs(loudest - 3000) < 20
    click = jnp.zeros((1, 16000)).at[0, 8000].set(1.0)
    frame = int(mel_power(click, spec=SMALL)[0].sum(axis=0).argmax())
    assert frame_times(SMALL, 101)[frame] == pytest.approx(0.5)


def test_to_float_scales_16_bits():
    wave = to_float(jnp.array([-32768, 0, 16384, 32767], jnp.int16))
    assert wave.dtype == jnp.float32
    np.testing.assert_allclose(wave, [-1.0, 0.0, 0.5, 32767 / 32768])


def test_a_clip_does_not_depend_on_its_neighbours():
    wave = jnp.asarray(waves(4000))
    np.testing.assert_allclose(
        log_mel(wave, spec=SMALL)[1], log_mel(wave[1:], spec=SMALL)[0], atol=1e-4
    )


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"n_mels": 0}, "n_mels"),
        ({"n_fft": 1023}, "n_fft"),
        ({"hop_length": -1}, "hop_length"),
        ({"channels": ("energy",)}, "channels"),
        ({"channels": ()}, "channels"),
        ({"n_fft": 256}, "mel filters without"),
    ],
)
def test_impossible_settings_are_named(options, word):
    with pytest.raises(UserError, match=word):
        LogMel(**options)


def test_real_recordings_equal_librosa(real_recordings):
    import soundfile

    paths = sorted(real_recordings.rglob("*.wav"))[::40][:6]
    assert paths
    for path in paths:
        samples, rate = soundfile.read(path, dtype="int16", always_2d=True, frames=32000)
        wave = samples[:, 0][None]
        spec = LogMel(sample_rate=rate)
        ours = np.asarray(log_mel(to_float(jnp.asarray(wave)), spec=spec))
        theirs = librosa_levels((wave / 32768).astype(np.float32), spec)
        loud = theirs > theirs.max(axis=(1, 2), keepdims=True) - 60.0
        assert np.abs(ours - theirs)[loud].max() < 1e-3
