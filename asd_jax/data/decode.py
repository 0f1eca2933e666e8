"""One recording from any common audio file to int16 samples of one channel at one rate."""

import os
import struct
from typing import NamedTuple

import numpy as np

from asd_jax.data.samples import to_int16_counted
from asd_jax.errors import UserError

# Encodings that hold fractions of full scale; read as integers they would come out as silence.
_FLOAT_SUBTYPES = ("FLOAT", "DOUBLE", "VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II")
_FLOAT_SUBTYPES += ("MPEG_LAYER_III",)
# Lossy codecs and resamplers overshoot full scale a little: those peaks are clipped. Beyond 12 dB
# the numbers are something else (pascal, integers stored as floats), and clipping would leave a
# square wave that no one asked for.
_MAX_FLOAT_PEAK = 4.0
_SIZE_UNKNOWN = 0x7FFFF000  # data sizes from here on are what programs write into a pipe


class UnreadableError(UserError):
    """A recording that can't be used; `path` and `reason` say which and why."""

    def __init__(self, path: str, reason: str):
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self):
        return UnreadableError, (self.path, self.reason)


class Decoded(NamedTuple):
    """Samples, and what was done to get them."""

    wave: np.ndarray  # int16 [samples]
    source_rate: int  # Hz, in the file
    clipped: int  # samples beyond full scale


def read_wave(
    path: str | os.PathLike[str], *, sample_rate: int = 16000, channel: int | str = 0
) -> np.ndarray:
    """Reads wav (WAVE_FORMAT_EXTENSIBLE too), flac, ogg or mp3 as int16 `[samples]`.

    Args:
      path: the file.
      sample_rate: Hz; a file at another rate is resampled (soxr, HQ).
      channel: index of the channel to take, or 'mean' of all.

    Raises:
      UnreadableError (a UserError): no such file, not audio, cut off, no samples, samples that are
        no numbers, floating-point samples far beyond [-1, 1], or no such channel.
    """
    return decode(path, sample_rate=sample_rate, channel=channel).wave


def decode(
    path: str | os.PathLike[str],
    *,
    sample_rate: int,
    channel: int | str,
    max_seconds: float | None = None,
) -> Decoded:
    """Like `read_wave`, but tells the file's rate and stops reading after `max_seconds`."""
    name = os.fspath(path)
    if channel != "mean" and (not isinstance(channel, int) or channel < 0):
        raise UserError(f"config.data.channel is {channel!r}; it must be 0, 1, ... or 'mean'.")
    samples, rate = _read(name, channel, max_seconds)
    if rate != sample_rate:
        samples = _resample(samples, rate, sample_rate)
    if samples.dtype == np.int16:
        return Decoded(samples, rate, 0)
    wave, clipped = to_int16_counted(samples)
    return Decoded(wave, rate, clipped)


def recording_seconds(path: str | os.PathLike[str]) -> float:
    """The length of a recording from its header; raises UnreadableError."""
    import soundfile

    name = os.fspath(path)
    try:
        info = soundfile.info(name)
    except (soundfile.LibsndfileError, OSError) as error:
        raise UnreadableError(name, why_unreadable(name, error)) from error
    return info.frames / info.samplerate


def _read(name: str, channel: int | str, max_seconds: float | None) -> tuple[np.ndarray, int]:
    """One channel of a file: int16 as stored, or float32 in about [-1, 1]; and its rate in Hz."""
    import soundfile

    try:
        with soundfile.SoundFile(name) as file:
            if channel != "mean" and channel >= file.channels:
                count = f"{file.channels} channel" + "s" * (file.channels > 1)
                raise UnreadableError(name, f"it has {count}; there is no channel {channel}")
            frames = file.frames
            if max_seconds is not None:
                frames = min(frames, int(np.ceil(max_seconds * file.samplerate)) + 1)
            dtype = "float32" if file.subtype in _FLOAT_SUBTYPES else "int16"
            samples = file.read(frames, dtype=dtype, always_2d=True)
            # mp3 and ogg headers only estimate their length
            cut_off = file.format in ("WAV", "WAVEX", "FLAC") and len(samples) < frames
            rate = file.samplerate
    except (soundfile.LibsndfileError, OSError) as error:
        raise UnreadableError(name, why_unreadable(name, error)) from error
    if cut_off or _wav_bytes_missing(name):
        raise UnreadableError(name, "it is cut off: the file ends before its samples do")
    if not len(samples):
        raise UnreadableError(name, "it holds no samples")
    return _one_channel(name, samples, channel), rate


def _one_channel(name: str, samples: np.ndarray, channel: int | str) -> np.ndarray:
    if samples.dtype == np.int16:
        if channel != "mean" or samples.shape[1] == 1:
            return np.ascontiguousarray(samples[:, 0 if channel == "mean" else channel])
        return np.rint(samples.mean(axis=1, dtype=np.float64)).astype(np.int16)
    one = samples.mean(axis=1) if channel == "mean" else samples[:, channel]
    if not np.isfinite(one).all():
        raise UnreadableError(name, "it holds samples that are not numbers (NaN or infinite)")
    peak = float(np.abs(one).max())
    if peak > _MAX_FLOAT_PEAK:
        raise UnreadableError(
            name,
            f"its floating-point samples reach {peak:.4g}, where 1 is full scale; divide all "
            "recordings by one common factor",
        )
    return np.ascontiguousarray(one, np.float32)


def _resample(samples: np.ndarray, rate: int, sample_rate: int) -> np.ndarray:
    """Float32 in [-1, 1] at the new rate. In float, because soxr dithers its integer output."""
    import soxr

    if samples.dtype == np.int16:
        samples = samples.astype(np.float32) / np.float32(32768)
    return soxr.resample(samples, rate, sample_rate, quality="HQ")


def why_unreadable(name: str, error: Exception) -> str:
    """What is wrong with a file that raised `error`, in words for its owner."""
    if not os.path.exists(name):
        return "there is no such file"
    if os.path.isdir(name):
        return "it is a folder"
    if os.path.getsize(name) == 0:
        return "the file is empty"
    if not os.access(name, os.R_OK):
        return "it may not be read (permissions)"
    return f"it can't be decoded ({getattr(error, 'error_string', error)})".replace(".)", ")")


def _wav_bytes_missing(name: str) -> bool:
    """Whether a wav announces more samples than the file holds; libsndfile passes over it."""
    with open(name, "rb") as file:
        if file.read(4) != b"RIFF" or file.read(8)[4:] != b"WAVE":
            return False
        end = os.path.getsize(name)
        while len(header := file.read(8)) == 8:
            kind, size = struct.unpack("<4sI", header)
            if kind == b"data":
                return size < _SIZE_UNKNOWN and file.tell() + size > end
            file.seek(size + size % 2, os.SEEK_CUR)
    return False
