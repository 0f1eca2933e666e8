"""Live sound to events: a window's score, a pause, the end."""

import datetime
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Int16

from asd_jax.data import quality
from asd_jax.errors import UserError
from asd_jax.live.alarm import Alarm, Rule
from asd_jax.live.pcm import Decoder, Pcm
from asd_jax.live.recordings import STDIN, ClipScorer, Piece, Row

_CHUNK = 1 << 16  # bytes read at once, at most
_WAITING = 64  # chunks that may wait; then the sender is held back
_LOOK = 0.2  # s between looks at whether to stop


def chunks(
    descriptor: int, *, gap: float, stopped: Callable[[], bool] = lambda: False
) -> Iterator[bytes | None]:
    """What arrives at a file descriptor, until its end or until `stopped()`.

    Args:
        descriptor: open for reading, such as that of standard input.
        gap: seconds without a byte that count as a pause.
        stopped: is asked several times a second.

    Yields:
        chunks of bytes, and None once for each pause, while it still lasts.
    """
    waiting: queue.Queue[bytes] = queue.Queue(_WAITING)
    # A thread, because `select` knows no pipes on Windows. It is not waited for: it may be blocked
    # in a read that never returns.
    threading.Thread(target=_read, args=(descriptor, waiting), daemon=True).start()
    silent = 0.0
    while not stopped():
        try:
            chunk = waiting.get(timeout=min(_LOOK, gap))
        except queue.Empty:
            before, silent = silent, silent + min(_LOOK, gap)
            if before < gap <= silent:
                yield None
            continue
        silent = 0.0
        if not chunk:
            return
        yield chunk


def _read(descriptor: int, waiting: "queue.Queue[bytes]") -> None:
    while True:
        try:
            chunk = os.read(descriptor, _CHUNK)
        except OSError:  # the other end is gone
            chunk = b""
        waiting.put(chunk)
        if not chunk:
            return


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
