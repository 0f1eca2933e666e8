"""Whether sound still comes and is still judged: what a calm page must never hide."""

import time
from collections.abc import Callable

from asd_jax.naming import span

HUNG = 60.0  # s without a sign of the one who listens


class Pulse:
    """Signs of life of the one who listens; `lost` says what is wrong.

    Attributes:
        judged: when the last sound was judged, in s since 1970; None where none was.
    """

    def __init__(self, expect_every: float = 0.0, *, clock: Callable[[], float] = time.time):
        """Args: s within which a sound must have been judged, 0 for no bound; the clock, in s."""
        self.judged: float | None = None
        self._expect, self._clock = expect_every, clock
        self._start = clock()
        self._beat: float | None = None
        self._wrong = ""

    def beat(self, wrong: str = "") -> None:
        """The listener is alive; `wrong` is a sentence on why it hears nothing, '' if it could."""
        self._beat, self._wrong = self._clock(), wrong

    def judge(self) -> None:
        """A sound was judged just now."""
        self.judged = self._clock()
        self._beat, self._wrong = self.judged, ""

    def lost(self) -> str:
        """Why nothing is heard, as a sentence; '' where all is well."""
        now = self._clock()
        if self._beat is not None and now - self._beat > HUNG:
            return f"Listening hangs: no sign of it for {span(now - self._beat)}."
        if self._wrong:
            return self._wrong
        quiet = now - max(self._start, self.judged or 0.0)
        if self._expect and quiet > self._expect:
            return f"No new sound for {span(quiet)}; one is expected every {span(self._expect)}."
        return ""
