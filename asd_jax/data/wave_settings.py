"""How a recording becomes rows of fixed length."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Int16

from asd_jax.bounds import Checked, Within

# A recording this little longer than its last window (share of a window) gets no window more: it
# would be the last one again, all but a tenth of it.
_IGNORED_REMAINDER = 0.1


@dataclasses.dataclass(frozen=True)
class WaveSettings(Checked):
    """How a recording becomes rows of fixed length.

    Attributes:
        sample_rate: in Hz; recordings at another rate are resampled.
        clip_seconds: length of a row.
        channel: of recordings with several: an index, or 'mean' of all.
        long: recordings over clip_seconds: 'cut' keeps the start, 'windows' all of it.
        hop_seconds: from window to window; 0 means clip_seconds.
        longest_hours: of a recording; longer ones are left out.
    """

    sample_rate: Annotated[int, Within(1, 10**6)] = 16000
    clip_seconds: Annotated[float, Within(0, 3600, above=True)] = 10.0
    channel: str = "0"
    long: Literal["cut", "windows"] = "cut"
    hop_seconds: Annotated[float, Within(0, 3600)] = 0.0
    longest_hours: Annotated[float, Within(0, 1e4, above=True)] = 48.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.channel != "mean" and not self.channel.isdecimal():
            self.refuse("channel", f"is {self.channel!r}; it must be 0, 1, ... or 'mean'.")
        if self.samples < 1 or self.hop_samples < 1:
            self.refuse(
                "clip_seconds",
                f"is {self.clip_seconds} and hop_seconds {self.hop_seconds}, less than a sample at "
                f"{self.sample_rate} Hz; make them longer.",
            )

    @property
    def source_channel(self) -> int | str:
        """The channel as decoding takes it: an index or 'mean'."""
        return self.channel if self.channel == "mean" else int(self.channel)

    @property
    def samples(self) -> int:
        """Samples in a row: the one place that turns seconds into a row's length."""
        return round(self.sample_rate * self.clip_seconds)

    @property
    def hop_samples(self) -> int:
        """Samples between the starts of two windows."""
        return round(self.sample_rate * (self.hop_seconds or self.clip_seconds))

    @property
    def folder(self) -> str:
        """The name of the folder for these settings, inside a cache directory."""
        cut = self.long if self.long == "cut" else f"windows{self.hop_samples}"
        return f"{self.sample_rate}hz_{self.samples}_channel_{self.channel}_{cut}"

    def starts(self, frames: int) -> list[int]:
        """First samples of the rows of a recording of `frames` samples.

        The last window is aligned to the recording's end, so that nothing of it is lost but what is
        less than a tenth of a window.
        """
        rest = frames - self.samples
        if self.long == "cut" or rest <= _IGNORED_REMAINDER * self.samples:
            return [0]
        starts = list(range(0, rest + 1, self.hop_samples))
        if rest - starts[-1] > _IGNORED_REMAINDER * self.samples:
            starts.append(rest)
        return starts

    def rows(self, wave: Int16[np.ndarray, " frames"]) -> Int16[np.ndarray, "rows samples"]:
        """The rows of a recording: cut or in windows; a short one is repeated to the full length.

        Repetition, unlike zeros, adds no silence and no edge that a detector could learn.
        """
        if len(wave) < self.samples:
            return np.resize(wave, (1, self.samples))
        starts = self.starts(len(wave))
        if len(starts) == 1:
            return wave[None, : self.samples]
        return np.stack([wave[start : start + self.samples] for start in starts])

    def windows(
        self, blocks: Iterable[Int16[np.ndarray, " samples"]]
    ) -> Iterator[tuple[int, Int16[np.ndarray, " samples"], bool]]:
        """The rows of a recording that comes in blocks, as `starts` and `rows` have them.

        Yields:
            First sample, row, and whether it is one of several.
        """
        held, position, start = np.zeros(0, np.int16), 0, 0  # `held` ends at `position`

        def row(first: int) -> Int16[np.ndarray, " samples"]:
            at = first - (position - len(held))
            return held[at : at + self.samples]

        for block in blocks:
            held = np.concatenate([held, block]) if len(held) else block
            position += len(block)
            if self.long == "cut":
                held = held[: self.samples]
                position = len(held)
            elif position > self.samples * (1 + _IGNORED_REMAINDER):
                while start + self.samples <= position:
                    yield start, row(start), True
                    start += self.hop_samples
                held = held[-max(self.samples, position - start) :]
        rest = position - self.samples
        if not start:
            yield 0, self.rows(held)[0], False
        elif rest - (start - self.hop_samples) > _IGNORED_REMAINDER * self.samples:
            yield rest, row(rest), True
