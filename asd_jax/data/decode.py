"""One recording from any common audio file to int16 samples of one channel at one rate.

Whatever reads a recording reads it here. Headers are not believed: memory goes with the blocks that
are read, rates and lengths have bounds, and whatever a decoder raises becomes the file's reason.
"""

import contextlib
import functools
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int16

from asd_jax.data import containers, foreign, quality
from asd_jax.data.samples import to_int16
from asd_jax.errors import UserError
from asd_jax.naming import span

# Encodings that hold fractions of full scale; read as integers they would come out as silence.
_LOSSY = ("VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")
_FLOAT_SUBTYPES = ("FLOAT", "DOUBLE", *_LOSSY)
# Lossy codecs and resamplers overshoot full scale a little: those peaks are clipped. Beyond 12 dB
# the numbers are something else (pascal, integers stored as floats), and clipping would leave a
# square wave that no one asked for.
_MAX_FLOAT_PEAK = 4.0
_BLOCK = 1 << 22  # samples of all channels that are read at once
_PIECES = 64  # of a block: where a decoder stumbles over damage, the pieces before it are kept
_MORE = 4096  # frames
_RATES = (1000, 1_000_000)  # Hz
# More frames than any codec packs into a byte: of FLAC's constant blocks, the densest, 4096 are a
# dozen bytes.
_FRAMES_A_BYTE = 4096
_UNKNOWN_FRAMES = 2**62  # libsndfile's answer where a header does not tell
_TOLERATED = 0.01  # s that may be missing at the end: a recorder that was switched off
LONGEST = 48.0  # h


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
    rate: int  # Hz, in the file
    flags: frozenset[str] = frozenset()  # of `quality.MEANINGS`


def read_wave(
    path: str | os.PathLike[str], *, sample_rate: int = 16000, channel: int | str = 0
) -> np.ndarray:
    """Reads any of `layouts.files.AUDIO` as int16 `[samples]`.

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
    longest: float = LONGEST,
) -> Decoded:
    """Like `read_wave`, but tells the file's rate and stops reading after `max_seconds`."""
    recording = Recording(path, sample_rate=sample_rate, channel=channel, longest=longest)
    blocks = list(recording.blocks(max_seconds))
    wave = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    return Decoded(wave, recording.rate, frozenset(recording.flags))


def recording_seconds(path: str | os.PathLike[str]) -> float:
    """The length of a recording from its header, or by reading; raises UnreadableError."""
    recording = Recording(path, sample_rate=16000, channel=0)
    if seconds := recording.announced():
        return seconds
    return sum(map(len, recording.blocks())) / 16000


class Recording:
    """A recording that is read block by block.

    Attributes:
      rate: Hz, in the file; 0 before `blocks` has begun.
      flags: of `quality.MEANINGS`, as far as it has been read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        sample_rate: int,
        channel: int | str,
        longest: float = LONGEST,
        partial: bool = False,
    ):
        """Takes the file and what is wanted of it.

        Args:
          path: the file.
          sample_rate: Hz to convert to.
          channel: index of the channel to take, or 'mean' of all.
          longest: hours; beyond them it is refused.
          partial: read one that is cut off as far as it goes, instead of refusing it.

        Raises:
          UserError: no such channel can be.
        """
        if channel != "mean" and (not isinstance(channel, int) or channel < 0):
            raise UserError(f"config.data.channel is {channel!r}; it must be 0, 1, ... or 'mean'.")
        self.name = os.fspath(path)
        self.rate = 0
        self.flags: set[str] = set()
        self._sample_rate, self._channel = sample_rate, channel
        self._longest, self._partial = 3600.0 * longest, partial
        self._low = self._high = None  # of the channel that is taken
        self._channels: quality.Channels | None = None
        self._damaged = False  # a decoder got no further

    def announced(self) -> float:
        """Seconds by the header, as far as the file bears it out; 0 where it does not tell."""
        with _guarded(self.name), self._opened() as file:
            known = file.frames < _UNKNOWN_FRAMES
            return file.frames / file.samplerate if known else 0.0

    def blocks(self, max_seconds: float | None = None) -> Iterator[Int16[np.ndarray, " samples"]]:
        """The samples at the new rate, one block at least; stops reading after `max_seconds`.

        Raises:
          UnreadableError: at the block at which the file turns out not to be readable.
        """
        with _guarded(self.name), self._opened() as file:
            self.rate = file.samplerate
            resampler = None
            stop = np.inf if max_seconds is None else int(np.ceil(max_seconds * self.rate)) + 1
            if file.subtype not in _LOSSY and file.frames < _UNKNOWN_FRAMES:
                self._bound(min(file.frames, stop))
            for samples, last in self._samples(file, stop):
                if self.rate != self._sample_rate:
                    if resampler is None:
                        resampler = _resampler(self.rate, self._sample_rate, last)
                    samples = resampler(samples, last)
                yield samples if samples.dtype == np.int16 else to_int16(samples)

    def _samples(self, file: Any, stop: float) -> Iterator[tuple[np.ndarray, bool]]:
        """Samples of one channel, int16 as stored or float32, and whether they are the last."""
        subtype = file.subtype  # which asks the library each time
        dtype = "float32" if subtype in _FLOAT_SUBTYPES else "int16"
        size, lossy = max(1, _BLOCK // file.channels), subtype in _LOSSY
        done, held = 0, None
        while True:
            left = file.frames - done
            if lossy:  # whose headers only estimate their length
                left = max(left, _MORE)
            count = int(min(size, left, stop - done))
            found = self._read(file, count, dtype, done)
            if not len(found):
                break
            done += len(found)
            self._bound(done)
            if held is not None:
                yield held, False
            held = self._looked_at(found)
        known = not lossy and file.frames < _UNKNOWN_FRAMES
        self._check_end(done, min(file.frames, stop) if known else 0)
        assert held is not None  # else it held no samples
        yield held, True

    def _bound(self, frames: float) -> None:
        if frames > self._longest * self.rate:
            raise UnreadableError(
                self.name,
                f"it is longer than {self._longest / 3600:g} h (config.data.longest_hours)",
            )

    def _read(self, file: Any, count: int, dtype: str, done: int) -> np.ndarray:
        """So many frames, or fewer at the end: of the file, or of what can be decoded of it."""
        import soundfile

        pieces, piece = [np.zeros((0, file.channels), dtype)], max(1, count // _PIECES, _MORE)
        while count > 0 and not self._damaged:
            try:
                found = file.read(min(count, piece), dtype=dtype, always_2d=True)
            except soundfile.LibsndfileError:
                if not (done := done + sum(map(len, pieces))):
                    raise
                self._damaged = True
                if not self._partial:
                    at = f"{done / file.samplerate:.1f} s"
                    raise UnreadableError(
                        self.name, f"it is damaged or cut off: nothing is read beyond {at}"
                    ) from None
                self.flags.add("cut_off")
                break
            pieces.append(found)
            count = count - len(found) if len(found) == min(count, piece) else 0
        return pieces[-1] if len(pieces) == 2 else np.concatenate(pieces)

    def _check_end(self, done: int, expected: float) -> None:
        if not done:
            raise UnreadableError(self.name, "it holds no samples")
        if expected - done > _TOLERATED * self.rate:
            self._cut_off()
        if done < quality.SHORTEST * self.rate:
            self.flags.add("short")

    def _cut_off(self) -> None:
        if not self._partial:
            raise UnreadableError(self.name, "it is cut off: the file ends before its samples do")
        self.flags.add("cut_off")

    def _looked_at(self, samples: np.ndarray) -> np.ndarray:
        """One channel of a block, of which is noted what is wrong with it."""
        one = _one_channel(self.name, samples, self._channel)
        scale = 1 if one.dtype == np.int16 else 32768
        low, high = float(one.min()) * scale, float(one.max()) * scale
        self._low = low if self._low is None else min(low, self._low)
        self._high = high if self._high is None else max(high, self._high)
        still = quality.no_waveform(self._low, self._high)
        self.flags = self.flags - {"silent", "constant", "dead_channel", "antiphase"} | still
        if (low <= -32768 or high >= 32767) and quality.is_clipped(one, 32767 / scale):
            self.flags.add("clipped")
        if samples.shape[1] > 1:
            new = quality.Channels.of(samples, one if self._channel == "mean" else None)
            self._channels = self._channels + new if self._channels else new
            self.flags |= self._channels.flags
        return one

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        """The file as libsndfile reads it, checked against its bytes."""
        import soundfile

        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(self._decoder(self.name))
            except soundfile.LibsndfileError as error:
                kind = foreign.ending(self.name)
                if kind not in foreign.DEMUXERS and not (
                    kind in foreign.OTHERS and foreign.ffmpeg()
                ):
                    raise
                try:
                    copy = stack.enter_context(foreign.converted(self.name, self._longest))
                except RuntimeError:
                    if kind in foreign.OTHERS:
                        raise error from None  # of the reader that knows it best
                    raise
                file = stack.enter_context(self._decoder(copy))
            self._check(file)
            yield file

    @contextlib.contextmanager
    def _decoder(self, name: str) -> Iterator[Any]:
        with open(_regular(name), "rb", buffering=0) as raw:
            sound = containers.find_sound(raw)
            self._bytes = raw.seek(0, os.SEEK_END)
            raw.seek(0)
            source: Any = raw.fileno()  # names need not be text
            if sound and (sound.unfinished or sound.wrapped):
                self.flags.add("unfinished")
            if sound and sound.repairs:
                source = containers.Repaired(raw, sound.repairs)
            elif os.name == "nt":
                source = name
            with _forward()(source, closefd=False) as file:
                if sound and sound.missing:
                    of_all = sound.missing / max(sound.available, 1)
                    if of_all * file.frames > _TOLERATED * file.samplerate:
                        self._cut_off()
                    else:
                        self.flags.add("unfinished")
                yield file

    def _check(self, file: Any) -> None:
        if not _RATES[0] <= file.samplerate <= _RATES[1]:
            raise UnreadableError(
                self.name, f"its header says {file.samplerate} Hz; 1 kHz to 1 MHz can be"
            )
        if _FRAMES_A_BYTE * self._bytes < file.frames < _UNKNOWN_FRAMES:
            announced = span(file.frames / file.samplerate)
            raise UnreadableError(
                self.name,
                f"its header announces {announced}, more than its {self._bytes} bytes can hold",
            )
        if self._channel != "mean" and self._channel >= file.channels:
            count = f"{file.channels} channel" + "s" * (file.channels > 1)
            raise UnreadableError(self.name, f"it has {count}; there is no channel {self._channel}")


@contextlib.contextmanager
def _guarded(name: str) -> Iterator[None]:
    """Turns whatever a decoder raises into the reason of this one file."""
    try:
        yield
    except UnreadableError:
        raise
    except Exception as error:  # MemoryError, ValueError and RuntimeError too, of forged headers
        raise UnreadableError(name, why_unreadable(name, error)) from error


def _regular(name: str) -> int:
    """A descriptor of a regular file: anything else might never end, or never begin."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(name, flags)
    if not stat.S_ISREG(mode := os.fstat(descriptor).st_mode):
        os.close(descriptor)
        what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise UnreadableError(name, f"it is {what}")
    return descriptor


@functools.cache
def _forward() -> type:
    """A `soundfile.SoundFile` that only reads on: to seek fails in a FLAC of unknown length."""
    import soundfile

    class Forward(soundfile.SoundFile):
        def seekable(self) -> bool:
            return False

    return Forward


def _one_channel(name: str, samples: np.ndarray, channel: int | str) -> np.ndarray:
    if samples.dtype == np.int16:
        if isinstance(channel, int) or samples.shape[1] == 1:
            return np.ascontiguousarray(samples[:, channel if isinstance(channel, int) else 0])
        return np.rint(samples.mean(axis=1, dtype=np.float64)).astype(np.int16)
    with np.errstate(over="ignore", invalid="ignore"):  # said below
        one = samples[:, channel] if isinstance(channel, int) else samples.mean(axis=1)
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


def _resampler(
    rate: int, sample_rate: int, whole: bool
) -> Callable[[np.ndarray, bool], np.ndarray]:
    """Resamples blocks to float32 in [-1, 1]; in float, for soxr dithers integers.

    Args:
      rate: of the blocks, Hz.
      sample_rate: Hz to convert to.
      whole: the first block is all there is.
    """
    import soxr

    stream = None if whole else soxr.ResampleStream(rate, sample_rate, 1, "float32", "HQ")

    def resampled(samples: np.ndarray, last: bool) -> np.ndarray:
        if samples.dtype == np.int16:
            samples = samples.astype(np.float32) / np.float32(32768)
        if stream is None:
            return soxr.resample(samples, rate, sample_rate, quality="HQ")
        return stream.resample_chunk(samples, last=last)

    return resampled


def why_unreadable(name: str, error: Exception) -> str:
    """Explains to the owner of a file why reading it raised `error`."""
    if not os.path.exists(name):
        return "there is no such file"
    if os.path.isdir(name):
        return "it is a folder"
    if os.path.getsize(name) == 0:
        return "the file is empty"
    if not os.access(name, os.R_OK):
        return "it may not be read (permissions)"
    detail = getattr(error, "error_string", None) or str(error) or type(error).__name__
    if "internal error" in detail.lower():  # that of libsndfile is the header's fault
        detail = "its header makes no sense"
    return f"it can't be decoded ({' '.join(detail.split())})".replace(".)", ")")
