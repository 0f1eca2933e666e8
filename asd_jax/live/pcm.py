"""Raw PCM bytes, in chunks of any size, to int16 samples of one channel at the detector's rate."""

import collections
import dataclasses
import functools
import math
import operator

import numpy as np
from jaxtyping import Int16

from asd_jax.data import quality
from asd_jax.data.samples import to_int16
from asd_jax.errors import UserError

# Bytes a sample of ffmpeg's raw formats; arecord calls them S16_LE, S24_3LE, S32_LE, FLOAT_LE, U8.
BYTES = {"s16le": 2, "s24le": 3, "s32le": 4, "f32le": 4, "f64le": 8, "u8": 1}
_TYPES = {"s32le": "<i4", "f32le": "<f4", "f64le": "<f8", "u8": "u1"}
_BLOCKS = 10  # blocks a second that are resampled, and looked at, at once


@dataclasses.dataclass(frozen=True)
class Pcm:
    """What the bytes of a stream mean; it checks itself.

    Attributes:
        rate: samples a second of each channel, Hz.
        sample_format: a key of `BYTES`.
        channels: interleaved channels.

    Raises:
        UserError: naming the flag that cannot be.
    """

    rate: int
    sample_format: str = "s16le"
    channels: int = 1

    def __post_init__(self) -> None:
        if self.sample_format not in BYTES:
            known = ", ".join(BYTES)
            raise UserError(f"--sample_format={self.sample_format}: known are {known}.")
        if not 1000 <= self.rate <= 1_000_000:
            raise UserError(f"--rate={self.rate}: give the stream's samples a second, as 16000.")
        if not 1 <= self.channels <= 64:
            raise UserError(f"--channels={self.channels}: give 1 to 64.")

    @property
    def frame(self) -> int:
        """Bytes of one sample of all channels."""
        return BYTES[self.sample_format] * self.channels


class Decoder:
    """Chunks in, samples out. The samples depend on the bytes alone, not on how they were cut."""

    def __init__(self, pcm: Pcm, *, sample_rate: int, channel: int | str = 0):
        """Args: the stream; the rate in Hz to convert to; the channel to take, or 'mean'.

        Raises:
            UserError: the stream has no such channel. A mono stream has been reduced already, and
                is taken as it is.
        """
        if isinstance(channel, int) and 1 < pcm.channels <= channel:
            raise UserError(
                f"--channels={pcm.channels}: the detector listens to channel {channel} "
                "(counted from 0); send that one alone, with --channels=1."
            )
        self._pcm = pcm
        self._rate = sample_rate
        self._channel = channel if pcm.channels > 1 else 0
        self._look = _Look(pcm, mixed=self._channel == "mean")
        self._restart()

    def push(self, chunk: bytes) -> Int16[np.ndarray, " samples"]:
        """The samples that a chunk completes."""
        self._bytes += chunk
        step = self._block * self._pcm.frame
        whole = len(self._bytes) // step * step
        taken, self._bytes = bytes(self._bytes[:whole]), self._bytes[whole:]
        if self._resampler is None:
            return self._convert(taken)
        parts = [self._convert(taken[i : i + step]) for i in range(0, whole, step)]
        return np.concatenate([np.zeros(0, np.int16), *parts])

    def finish(self) -> Int16[np.ndarray, " samples"]:
        """The samples still held back; a sample cut in two is dropped. Then all starts anew."""
        whole = len(self._bytes) // self._pcm.frame * self._pcm.frame
        last = self._convert(bytes(self._bytes[:whole]), last=True)
        self._restart()
        return last

    def flags(self, begin: float, end: float) -> set[str]:
        """What the channels show from `begin` to `end`, in seconds of all that came.

        What lies before `begin` is forgotten.
        """
        return self._look.flags(begin, end)

    def _restart(self) -> None:
        self._bytes = bytearray()
        self._resampler = None
        # Without a resampler every sample goes on at once; with one, blocks of one length keep its
        # arithmetic independent of the chunks.
        self._block = 1
        if self._pcm.rate != self._rate:
            import soxr

            self._block = self._pcm.rate // _BLOCKS
            self._resampler = soxr.ResampleStream(
                self._pcm.rate, self._rate, 1, dtype="float32", quality="HQ"
            )

    def _convert(self, data: bytes, last: bool = False) -> Int16[np.ndarray, " samples"]:
        channel, plain = self._channel, self._pcm.sample_format == "s16le"
        values = np.frombuffer(data, "<i2") if plain else _floats(data, self._pcm.sample_format)
        frames = values.reshape(-1, self._pcm.channels)
        self._look.push(frames)
        if plain and self._resampler is None and isinstance(channel, int):
            return frames[:, channel].astype(np.int16)
        one = frames[:, channel] if isinstance(channel, int) else frames.mean(axis=1)
        one = np.ascontiguousarray(one / 2.0**15 if plain else one, np.float32)
        if self._resampler is not None:
            one = self._resampler.resample_chunk(one, last=last)
        return to_int16(one)


class _Look:
    """What the channels of a stream show, by blocks that do not depend on the chunks."""

    def __init__(self, pcm: Pcm, *, mixed: bool):
        self._pcm, self._mixed = pcm, mixed
        self._size = pcm.rate // _BLOCKS  # frames
        self._held = np.zeros((0, pcm.channels), np.int16)
        self._blocks: collections.deque[quality.Channels] = collections.deque()
        self._first = 0  # number of the first block that is remembered

    def push(self, frames: np.ndarray) -> None:
        if self._pcm.channels == 1:
            return
        frames = np.concatenate([self._held, frames])
        whole = len(frames) // self._size * self._size
        for block in frames[:whole].reshape(-1, self._size, self._pcm.channels):
            mean = block.mean(axis=1) if self._mixed else None
            self._blocks.append(quality.Channels.of(block, mean))
        self._held = frames[whole:]

    def flags(self, begin: float, end: float) -> set[str]:
        blocks = self._pcm.rate / self._size  # a second
        first, last = math.ceil(round(begin * blocks, 6)), math.floor(round(end * blocks, 6))
        while self._blocks and self._first < first:
            self._blocks.popleft()
            self._first += 1
        inside = list(self._blocks)[: max(last - self._first, 0)]
        return functools.reduce(operator.add, inside).flags if inside else set()


def _floats(data: bytes, sample_format: str) -> np.ndarray:
    """Samples with full scale at 1; what is no number counts as silence."""
    if sample_format == "s24le":
        parts = np.frombuffer(data, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(parts), 4), np.uint8)
        wide[:, 1:] = parts  # into the upper bytes, so that the sign comes out right
        return wide.view("<i4")[:, 0] / 2.0**31
    samples = np.frombuffer(data, _TYPES[sample_format])
    if sample_format == "u8":
        return (samples.astype(np.float64) - 128.0) / 128.0
    if samples.dtype.kind == "f":
        return np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=1.0, neginf=-1.0)
    return samples / 2.0 ** (8 * samples.itemsize - 1)
