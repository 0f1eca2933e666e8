"""How a recording becomes rows of fixed length."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Int16

from asd_jax.errors import UserError

# A recording this little longer than its last window (share of a window) gets no window more: it
# would be the last one again, all but a tenth of it.
_IGNORED_REMAINDER = 0.1


@dataclasses.dataclass(frozen=True)
class WaveSettings:
    """How a recording becomes rows of fixed length."""

    sample_rate: int = 16000  # Hz
    clip_seconds: float = 10.0
    channel: int | str = 0  # or 'mean'
    long: str = "cut"  # recordings over clip_seconds: 'cut' keeps the start, 'windows' all of it
    hop_seconds: float = 0.0  # from window to window; 0 means clip_seconds
    longest_hours: float = 48.0  # of a recording; longer ones are refused

    def __post_init__(self) -> None:
        if self.sample_rate < 1 or self.samples < 1:
            raise UserError(
                f"config.data.clip_seconds {self.clip_seconds} at config.data.sample_rate "
                f"{self.sample_rate} leaves no samples; both must be above 0."
            )
        if self.long not in ("cut", "windows"):
            raise UserError(f"config.data.long is {self.long!r}; known are 'cut', 'windows'.")
        if self.hop_seconds < 0 or self.hop_samples < 1:
            raise UserError(f"config.data.hop_seconds is {self.hop_seconds}; it must be 0 or more.")
        if self.channel != "mean" and (not isinstance(self.channel, int) or self.channel < 0):
            raise UserError(
                f"config.data.channel is {self.channel!r}; it must be 0, 1, ... or 'mean'."
            )

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
