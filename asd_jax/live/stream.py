"""Live sound to events: a window's score, a pause, the end."""

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from asd_jax.data import quality
from asd_jax.live.alarm import Alarm, Rule
from asd_jax.live.pcm import Decoder, Pcm
from asd_jax.live.recordings import STDIN, ClipScorer, Piece, Row
from asd_jax.live.windows import Windows


def utc() -> datetime.datetime:
    """The time of day."""
    return datetime.datetime.now(datetime.UTC)


class StreamScorer:
    """Scores one machine's live sound.

    The events depend on the bytes and on where pauses lie, not on how fast or in what chunks they
    came: each window is scored alone, by one program. Only `time` is the wall clock's.
    """

    def __init__(
        self,
        clip_scorer: ClipScorer,
        pcm: Pcm,
        *,
        hop: float | None = None,
        alarm: Alarm | None = None,
        clock: Callable[[], datetime.datetime] = utc,
        heard: Callable[[np.ndarray], None] = lambda wave: None,
        scored: Callable[[Row, Piece], None] = lambda row, piece: None,
    ):
        """Makes ready for the first chunk.

        Args:
            clip_scorer: judges.
            pcm: what the bytes mean.
            hop: seconds from the start of a window to that of the next; None: half a window.
            alarm: goes on from what it heard before; None for a new one.
            clock: tells the time of an event.
            heard: is given all samples, int16 at the detector's rate, as they come.
            scored: is given each window with its row.
        """
        data = clip_scorer.detector.config.data
        channel = data.source_channel
        self.rate = data.sample_rate
        self.clip_scorer = clip_scorer
        samples = clip_scorer.detector.samples
        self._decoder = Decoder(pcm, sample_rate=self.rate, channel=channel)
        self._windows = Windows(samples, samples // 2 if hop is None else round(hop * self.rate))
        self._alarm = alarm or Alarm(Rule())
        self._clock, self._heard, self._scored = clock, heard, scored
        self._count = 0
        self._flags = {"resampled"} if pcm.rate != self.rate else set()
        self._candidates = clip_scorer.candidates()

    def warm_up(self) -> None:
        """Compiles the program, so that the first window does not wait for it."""
        silence = np.zeros(self.clip_scorer.detector.samples, np.int16)
        self.clip_scorer.detector.score([("", silence, self._candidates)])

    def listen(self, chunks: Iterable[bytes | None]) -> Iterator[dict[str, Any]]:
        """The events of a stream, to its end.

        Args:
            chunks: bytes in pieces of any size; None stands for a pause in which nothing came.

        Yields:
            `{"event": "window", ...}` for each window, `gap` when a pause begins, after which
            windows start anew, `resumed` after it, and `end`.
        """
        paused = False
        for chunk in chunks:
            if chunk is None:
                yield from self._finish()
                yield self._event("gap", at_s=self._seconds())
                paused = True
                continue
            if paused:
                yield self._event("resumed", at_s=self._seconds())
                paused = False
            yield from self._take(self._decoder.push(chunk))
        yield from self._finish()
        yield self._event("end", at_s=self._seconds(), windows=self._count, alarm=self._alarm.on)

    def _take(self, samples: np.ndarray) -> Iterator[dict[str, Any]]:
        if len(samples):
            self._heard(samples)
        for start, wave in self._windows.push(samples):
            yield self._judge(start, wave)

    def _finish(self) -> Iterator[dict[str, Any]]:
        yield from self._take(self._decoder.finish())
        last = self._windows.finish()
        if last is not None:
            yield self._judge(*last)
        self._decoder.flags(self._seconds(), self._seconds())  # the next stretch begins here

    def _judge(self, start: int, wave: np.ndarray) -> dict[str, Any]:
        at = start / self.rate
        end = at + len(wave) / self.rate
        flags = quality.of_clip(wave, self.rate) | self._decoder.flags(at, end) | self._flags
        words = quality.words(flags)
        piece = Piece(f"{STDIN}#t={at:g},{end:g}", wave, self._candidates, at, words)
        (row,) = self.clip_scorer.rows([piece])
        changed = self._alarm.update(row["decision"])
        row |= {"alarm": self._alarm.on, "alarm_changed": changed}
        self._count += 1
        self._scored(row, piece)
        return self._event("window", from_s=at, to_s=end, **row)

    def _event(self, kind: str, **values: Any) -> dict[str, Any]:
        time = self._clock().isoformat(timespec="milliseconds")
        return {"event": kind, "time": time, **values}

    def _seconds(self) -> float:
        return round(self._windows.position / self.rate, 3)


def sentence(event: Mapping[str, Any]) -> str:
    """An event that is no window, in words."""
    at = f"{event['at_s']:.1f} s"
    return {
        "gap": f"No sound is coming any more, after {at} of it.",
        "resumed": "Sound is coming again.",
        "end": f"The sound ended after {at}; {event.get('windows', 0)} windows scored.",
    }[event["event"]]
