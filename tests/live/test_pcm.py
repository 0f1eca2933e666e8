"""Bytes to samples: every format, however the bytes are cut."""

import numpy as np
import pytest
import soundfile
import soxr

from asd_jax.data.decode import read_wave
from asd_jax.errors import UserError
from asd_jax.live.pcm import BYTES, Decoder, Pcm
from tests.live import machine


def encoded(wave, sample_format):
    """int16 samples in another format, at the same level."""
    if sample_format == "s24le":
        wide = (wave.astype(np.int32) << 16).astype("<i4").view(np.uint8).reshape(-1, 4)
        return wide[:, 1:].tobytes()
    if sample_format == "s32le":
        return (wave.astype(np.int32) << 16).astype("<i4").tobytes()
    if sample_format == "u8":
        return ((wave >> 8) + 128).astype(np.uint8).tobytes()
    if sample_format == "s16le":
        return wave.astype("<i2").tobytes()
    return (wave / 32768).astype({"f32le": "<f4", "f64le": "<f8"}[sample_format]).tobytes()


def decoded(data, sizes, pcm, **options):
    decoder, parts, at = Decoder(pcm, **({"sample_rate": 16000} | options)), [], 0
    rng = np.random.default_rng(0)
    while at < len(data):
        size = int(rng.choice(sizes))
        parts.append(decoder.push(data[at : at + size]))
        at += size
    return np.concatenate([*parts, decoder.finish()])


@pytest.mark.parametrize("sample_format", BYTES)
def test_every_format_in_chunks_that_split_samples(sample_format):
    wave = machine.hum(0.2)
    expected = wave // 256 * 256 if sample_format == "u8" else wave
    data = encoded(wave, sample_format)
    for sizes in ([len(data)], [1, 3, 7, 1021]):
        got = decoded(data, sizes, Pcm(16000, sample_format))
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("channel", [0, 1, "mean"])
def test_one_channel_of_several(channel):
    left, right = machine.hum(0.1, seed=1), machine.hum(0.1, seed=2)
    data = np.stack([left, right], 1).astype("<i2").tobytes()
    got = decoded(data, [5, 64], Pcm(16000, channels=2), channel=channel)
    both = np.stack([left, right])
    expected = np.rint(both.mean(0)) if channel == "mean" else both[channel]
    np.testing.assert_allclose(got, expected, atol=0 if channel != "mean" else 1)


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_another_rate_gives_the_samples_of_a_file_of_that_rate(rate, tmp_path):
    wave = soxr.resample(machine.hum(1.3), 16000, rate).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", wave, rate)
    expected = read_wave(tmp_path / "a.wav", sample_rate=16000)
    whole = decoded(wave.tobytes(), [len(wave) * 2], Pcm(rate))
    np.testing.assert_array_equal(decoded(wave.tobytes(), [1, 3, 999], Pcm(rate)), whole)
    assert abs(len(whole) - len(expected)) <= 1
    size = min(len(whole), len(expected))
    difference = whole[:size].astype(int) - expected[:size]
    assert np.abs(difference).max() <= 2


def test_after_the_end_it_starts_anew_and_half_a_sample_is_dropped():
    decoder = Decoder(Pcm(16000), sample_rate=16000)
    wave = machine.hum(0.1)
    data = wave.tobytes()
    first = decoder.push(data + b"\x01")
    np.testing.assert_array_equal(np.concatenate([first, decoder.finish()]), wave)
    np.testing.assert_array_equal(decoder.push(data), wave)


def test_floats_that_are_no_numbers_or_too_loud():
    data = np.array([0.5, np.nan, np.inf, -np.inf, 7.0], "<f4").tobytes()
    got = Decoder(Pcm(16000, "f32le"), sample_rate=16000).push(data)
    np.testing.assert_array_equal(got, [16384, 0, 32767, -32768, 32767])


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"rate": 10}, "--rate=10"),
        ({"rate": 16000, "sample_format": "s16"}, "--sample_format=s16: known are s16le"),
        ({"rate": 16000, "channels": 0}, "--channels=0"),
    ],
)
def test_what_cannot_be_is_named(options, flag):
    with pytest.raises(UserError, match=flag):
        Pcm(**options)


def test_a_channel_that_is_not_there():
    with pytest.raises(UserError, match="listens to channel 2"):
        Decoder(Pcm(16000, channels=2), sample_rate=16000, channel=2)
    Decoder(Pcm(16000), sample_rate=16000, channel=2)  # mono is taken as it is
