"""Overlapping windows of an endless waveform."""

import numpy as np
from jaxtyping import Int16

from asd_jax.errors import UserError

# As with recordings (`data/cache.py`): less than a tenth of a window at the end is left alone.
_IGNORED = 0.1
_SHORTEST = 0.5  # share of a window that a stretch of sound must last to be scored at all

Window = tuple[int, Int16[np.ndarray, " window"]]


class Windows:
    """Samples in, windows out, each with the number of its first sample in the whole stream."""

    def __init__(self, samples: int, hop: int):
        """Args: samples of a window; samples from one start to the next.

        Raises:
            UserError: a hop that is not in 1..samples.
        """
        if not 1 <= hop <= samples:
            raise UserError(
                "--hop must be above 0 and at most the length of a clip, or sound would be skipped."
            )
        self.samples, self.hop = samples, hop
        self.position = 0  # samples that came
        self._held = np.zeros(0, np.int16)  # the last ones
        self._restart()

    def push(self, new: Int16[np.ndarray, " samples"]) -> list[Window]:
        """The windows that these samples complete."""
        self._held = np.concatenate([self._held, new])
        self.position += len(new)
        found = []
        while (end := self._next + self.samples) <= self.position:
            found.append((self._next, self._from(self._next)[: self.samples]))
            self._scored = end
            self._next += self.hop
        # What the next window needs, and what one that ends with the stream would.
        self._held = self._from(max(self._begin, min(self._next, self.position - self.samples)))
        return found

    def finish(self) -> Window | None:
        """The window that ends with the last sample; None where all has been scored.

        A stretch shorter than a window is repeated to its length, as a short recording is; one
        shorter than half a window is not scored. The next sample starts a new stretch.
        """
        begin, scored, end, held = self._begin, self._scored, self.position, self._held
        self._restart()
        if scored is None:
            enough = end - begin >= _SHORTEST * self.samples
            return (begin, np.resize(held, self.samples)) if enough else None
        if end - scored <= _IGNORED * self.samples:
            return None
        return end - self.samples, held[len(held) - self.samples :]

    def _restart(self) -> None:
        self._begin = self._next = self.position
        self._scored: int | None = None  # up to where windows reach
        self._held = self._held[:0]

    def _from(self, start: int) -> Int16[np.ndarray, " samples"]:
        return self._held[start - (self.position - len(self._held)) :]
