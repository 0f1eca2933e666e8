"""Decoding: every format gives the samples that went in, every broken file a reason."""

import pathlib
import pickle
import struct

import numpy as np
import pytest
import soundfile

from asd_jax.data.decode import UnreadableError, decode, read_wave, recording_seconds
from asd_jax.errors import UserError

RATE = 16000


def tone(seconds: float = 0.5, rate: int = RATE, hertz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def int16(wave: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(wave * 32768), -32768, 32767).astype(np.int16)


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize(
    ("suffix", "options", "error"),
    [
        (".wav", {"subtype": "PCM_16"}, 0),
        (".wav", {"subtype": "PCM_16", "format": "WAVEX"}, 0),
        (".wav", {"subtype": "PCM_24"}, 1),
        (".wav", {"subtype": "PCM_32"}, 1),
        (".wav", {"subtype": "PCM_U8"}, 300),
        (".wav", {"subtype": "FLOAT"}, 0),
        (".wav", {"subtype": "DOUBLE", "format": "WAVEX"}, 0),
        (".WAV", {"subtype": "FLOAT", "format": "RF64"}, 0),
        (".flac", {}, 0),
        (".ogg", {}, 3000),
    ],
)
def test_formats_and_channels(tmp_path, channels, suffix, options, error):
    waves = np.stack([int16(tone(hertz=200.0 * (k + 1))) for k in range(channels)], 1)
    path = tmp_path / f"Geräusch 1{suffix}"
    if options.get("subtype") in ("FLOAT", "DOUBLE"):
        soundfile.write(path, waves / 32768, RATE, **options)
    else:
        soundfile.write(path, waves, RATE, **options)
    for channel in range(channels):
        got = read_wave(path, sample_rate=RATE, channel=channel)
        assert got.dtype == np.int16 and got.shape == (8000,)
        assert np.abs(got.astype(int) - waves[:, channel]).max() <= error
    mean = read_wave(path, sample_rate=RATE, channel="mean")
    assert np.abs(mean - waves.mean(1)).max() <= error + 0.5001


def test_mp3(tmp_path):
    if "MP3" not in soundfile.available_formats():
        pytest.skip("this libsndfile has no mp3")
    soundfile.write(tmp_path / "a.mp3", tone(2.0), RATE)
    got = read_wave(tmp_path / "a.mp3", sample_rate=RATE)
    spectrum = np.abs(np.fft.rfft(got[:RATE]))
    assert spectrum.argmax() == 440 and abs(int(got.max()) - 16384) < 1500


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
def test_resampling(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", tone(rate=rate), rate)
    got = decode(tmp_path / "a.wav", sample_rate=RATE, channel=0)
    assert got.rate == rate and abs(len(got.wave) - 8000) <= 1
    inner = slice(800, 7200)
    assert np.abs(got.wave[inner].astype(int) - int16(tone())[inner]).max() <= 4
    again = decode(tmp_path / "a.wav", sample_rate=RATE, channel=0)
    assert np.array_equal(got.wave, again.wave)


def test_float_peaks_are_clipped_but_other_units_are_refused(tmp_path):
    soundfile.write(tmp_path / "over.wav", 2.4 * tone(), RATE, subtype="FLOAT")
    got = decode(tmp_path / "over.wav", sample_rate=RATE, channel=0)
    assert got.wave.max() == 32767 and got.wave.min() == -32768
    soundfile.write(tmp_path / "integers.wav", 20000 * tone(), RATE, subtype="FLOAT")
    with pytest.raises(UnreadableError, match=r"reach 1e\+04, where 1 is full scale"):
        read_wave(tmp_path / "integers.wav", sample_rate=RATE)


def test_reads_no_further_than_asked(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(2.0), RATE)
    got = decode(tmp_path / "a.wav", sample_rate=RATE, channel=0, max_seconds=0.5)
    assert 8000 <= len(got.wave) <= 8002
    assert recording_seconds(tmp_path / "a.wav") == 2.0


def break_wav(path: pathlib.Path, how: str) -> None:
    soundfile.write(path, int16(tone()), RATE)
    if how == "missing":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("not audio at all")
    elif how == "header only":
        path.write_bytes(path.read_bytes()[:20])
    elif how == "no samples":
        soundfile.write(path, np.zeros(0, np.int16), RATE)
    elif how == "cut off":
        path.write_bytes(path.read_bytes()[:-1000])
    elif how == "cut off flac":
        soundfile.write(path, int16(tone()), RATE, format="FLAC")
        path.write_bytes(path.read_bytes()[:-3000])
    elif how == "nan":
        soundfile.write(path, np.where(np.arange(99) == 50, np.nan, 0.1), RATE, subtype="FLOAT")
    elif how == "folder":
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("missing", "no such file"),
        ("empty", "the file is empty"),
        ("text", "can't be decoded"),
        ("header only", "can't be decoded|no samples"),
        ("no samples", "no samples"),
        ("cut off", "cut off"),
        ("cut off flac", "cut off|can't be decoded"),
        ("nan", "not numbers"),
        ("folder", "is a folder"),
    ],
)
def test_broken_files(tmp_path, how, reason):
    path = tmp_path / "broken.wav"
    break_wav(path, how)
    with pytest.raises(UnreadableError, match=reason) as error:
        read_wave(path, sample_rate=RATE)
    assert isinstance(error.value, UserError)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    assert pickle.loads(pickle.dumps(error.value)).reason == error.value.reason


def test_a_wav_written_to_a_pipe_is_not_cut_off(tmp_path):
    soundfile.write(tmp_path / "a.wav", int16(tone()), RATE)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = data[4:8] = struct.pack("<I", 0xFFFFFFFF)
    (tmp_path / "a.wav").write_bytes(data)
    assert len(read_wave(tmp_path / "a.wav", sample_rate=RATE)) == 8000


def test_channels_that_are_not_there(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((9, 2), np.int16), RATE)
    with pytest.raises(UnreadableError, match="2 channels; there is no channel 2"):
        read_wave(tmp_path / "a.wav", channel=2)
    for channel in (-1, "left", 1.0):
        with pytest.raises((UserError, TypeError, Exception), match="channel"):
            read_wave(tmp_path / "a.wav", channel=channel)


def test_real_mimii_extensible_wav(real_recordings):
    path = real_recordings / "mimii/valve/id_00/normal/00000000.wav"
    expected, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE and expected.shape == (160000, 8)
    assert np.array_equal(read_wave(path, channel=3), expected[:, 3])
