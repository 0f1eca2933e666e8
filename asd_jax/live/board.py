"""What the monitor page shows: written by the one who listens, read by every browser.

Beside it signs of life (`Pulse`), and figures for Prometheus (`Counts`, text exposition format
0.0.4).
"""

import base64
import collections
import dataclasses
import itertools
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Int16

from asd_jax.features import host
from asd_jax.features.logmel import LogMel, mel_frequencies
from asd_jax.files import plain
from asd_jax.live.history import History
from asd_jax.live.stream import utc
from asd_jax.naming import span
from asd_jax.report import media

_LAST = ("score", "threshold", "percentile")
_HELP = {
    "listening": ("gauge", "1 while sound comes and is judged."),
    "last_judged_timestamp_seconds": ("gauge", "When the last sound was judged."),
    "clips_total": ("counter", "Clips judged since the start."),
    "anomalous_total": ("counter", "Of those, above the threshold."),
    "alarms_total": ("counter", "Alarms raised since the start."),
    "alarm": ("gauge", "1 while the alarm is on."),
    "score": ("gauge", "Of the last clip."),
    "threshold": ("gauge", "Of the last clip."),
    "percentile": ("gauge", "Share of healthy clips with a lower score, in percent."),
}


class Counts:
    """What was counted since the start, by machine."""

    def __init__(self) -> None:
        self._machines: dict[tuple[str, str], dict[str, float]] = {}
        self._mutex = threading.Lock()  # several places count together

    def add(self, row: Mapping[str, Any]) -> None:
        """Counts a scored clip."""
        machine = (str(row["machine_type"]), str(row["machine_id"]))
        last = {name: row.get(name) for name in _LAST}
        with self._mutex:
            old = self._machines.get(machine, {})
            self._machines[machine] = {  # in one step: it is read by other threads
                "clips_total": old.get("clips_total", 0) + 1,
                "anomalous_total": old.get("anomalous_total", 0) + (row["decision"] == 1),
                "alarms_total": old.get("alarms_total", 0) + (row.get("alarm_changed") == "raised"),
                "alarm": float(bool(row.get("alarm"))),
                **{n: math.nan if value is None else float(value) for n, value in last.items()},
            }

    def text(self, *, listening: bool, judged: float | None) -> str:
        """All figures; `judged` in s since 1970."""
        machines = dict(self._machines)
        lines = []
        for name, (kind, about) in _HELP.items():
            lines += [f"# HELP asd_jax_{name} {about}", f"# TYPE asd_jax_{name} {kind}"]
            if name == "listening":
                lines.append(f"asd_jax_listening {int(listening)}")
            elif name == "last_judged_timestamp_seconds":
                lines.append(f"asd_jax_{name} {_number(math.nan if judged is None else judged)}")
            for (kind_of, number), values in machines.items():
                if name in values:
                    labels = f'machine_type="{_escape(kind_of)}",machine_id="{_escape(number)}"'
                    lines.append(f"asd_jax_{name}{{{labels}}} {_number(values[name])}")
        return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return "NaN" if math.isnan(value) else repr(float(value))


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


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


COLUMNS_A_SECOND = 10
MELS = 64
_FLOOR, _RANGE = -110.0, 110.0  # dB that a byte of the spectrogram spans
_SECONDS = 60  # of the spectrogram that are kept
_POINTS = 600  # scores that are kept
_ALARMS = 20  # alarms that are shown
_NOTES = 5


class Board:
    """The last minute of sound as a picture, the last scores, alarms and notes. Thread-safe."""

    def __init__(
        self, sample_rate: int, pulse: Pulse | None = None, history: History | None = None
    ):
        """Args: of the sound, in Hz; tells whether sound still comes; what was heard before."""
        self.sample_rate = sample_rate
        self.pulse = pulse or Pulse()
        self.history = history or History()
        self.counts = Counts()
        self.drift: list[str] = []  # sentences
        self.scored: Callable[[Mapping[str, Any]], None] = lambda row: None  # is told of each
        self._spec = display(sample_rate)
        self._lock = threading.Lock()
        self._pending = np.zeros(0, np.int16)
        self._columns: collections.deque[bytes] = collections.deque(
            maxlen=_SECONDS * COLUMNS_A_SECOND
        )
        self._drawn = 0  # columns since the start
        self._points = collections.deque(self.history.recent(_POINTS), maxlen=_POINTS)
        self.pulse.judged = self.history.judged()
        self._notes: collections.deque[dict[str, str]] = collections.deque(maxlen=_NOTES)
        self._version = 0
        self._paused = False  # else a page would say that all is well when the microphone is dead

    def hear(self, samples: Int16[np.ndarray, " samples"]) -> None:
        """Adds sound to the picture."""
        with self._lock:
            self._pending = np.concatenate([self._pending, samples])
            level = host.running_level(self._pending, self._spec)
            self._columns.extend(as_bytes(level))
            self._drawn += level.shape[1]
            self._pending = self._pending[level.shape[1] * self._spec.hop_length :]

    def score(self, row: Mapping[str, Any], sound: Int16[np.ndarray, " samples"]) -> None:
        """Adds a scored clip, and an alarm with its sound where the row raised one."""
        self.pulse.judge()
        with self._lock:
            point = {key: value for key, value in row.items() if not key.startswith("score_")}
            raised = row.get("alarm_changed") == "raised"
            kept = media.wav(sound, self.sample_rate) if raised else None
            self._points.append(plain(point) | {"id": self.history.add(point, kept)})
            self._version += 1
        self.counts.add(row)
        self.scored(row)

    def note(self, sentence: str, *, paused: bool | None = None) -> None:
        """Adds a sentence for whoever looks; `paused` says whether sound has stopped coming."""
        with self._lock:
            self._paused = self._paused if paused is None else paused
            self._notes.append({"time": utc().isoformat(timespec="seconds"), "text": sentence})
            self._version += 1

    def touch(self) -> None:
        """Lets every page look anew at what was changed beside the board."""
        with self._lock:
            self._version += 1

    def sound(self, alarm: int) -> bytes | None:
        """The wav file of an alarm; None if there is none any more."""
        return self.history.sound(alarm)

    def state(self, drawn: int = 0, version: int = -1) -> dict[str, Any]:
        """What a page that has `drawn` columns and the scores of `version` does not have yet.

        `columns` is base64 of `MELS` bytes a column, low frequencies first. A `drawn` beyond what
        was ever drawn is that of a page that outlived a restart: it gets all.
        """
        with self._lock:
            missing = self._drawn - drawn if 0 <= drawn <= self._drawn else len(self._columns)
            skipped = len(self._columns) - min(missing, len(self._columns))
            new = b"".join(itertools.islice(self._columns, skipped, None))
            state = {
                "drawn": self._drawn,
                "columns": base64.b64encode(new).decode("ascii"),
                "version": self._version,
                "drift": self.drift,
                **self.health(),
            }
            if version != self._version:
                state["points"] = list(self._points)
                state["alarms"] = self.history.alarms(_ALARMS)
                state["notes"] = list(self._notes)
            return state

    def brief(self) -> dict[str, Any]:
        """What one line says of it: `health`, and `last`, a score (one with an alarm, if any)."""
        with self._lock:
            latest = {(p["machine_type"], p["machine_id"]): p for p in self._points}
            found = [point for point in latest.values() if point.get("alarm")]
            last = found[0] if found else self._points[-1] if self._points else None
            return {**self.health(), "last": last}

    def health(self) -> dict[str, Any]:
        """Whether sound comes (`paused`: none), why not, when one was judged and how long ago."""
        lost = self.pulse.lost()
        why = lost or (self._notes[-1]["text"] if self._paused and self._notes else "")
        judged = self.pulse.judged
        age = None if judged is None else round(time.time() - judged)
        return {"paused": bool(self._paused or lost), "why": why, "judged": judged, "age_s": age}


@dataclasses.dataclass(frozen=True)
class Place:
    """One of several microphones or machines on a page.

    Attributes:
        name: what it is called.
        source: where its sound comes from, in words.
        board: what was heard.
    """

    name: str
    source: str
    board: Board


def display(sample_rate: int) -> LogMel:
    """The front end of the page's pictures."""
    return LogMel(
        sample_rate=sample_rate,
        n_mels=MELS,
        n_fft=2048 if sample_rate <= 24000 else 4096,
        hop_length=sample_rate // COLUMNS_A_SECOND,
        channels=("power",),
    )


def as_bytes(level: np.ndarray) -> list[bytes]:
    """Columns of levels in dB, `[mels, frames]`, as bytes."""
    shown = np.clip((level - _FLOOR) / _RANGE, 0.0, 1.0)
    return [column.tobytes() for column in np.rint(shown.T * 255).astype(np.uint8)]


def frequencies(sample_rate: int) -> list[float]:
    """The centre of each row of the picture in Hz, lowest first."""
    return [round(float(f), 1) for f in mel_frequencies(display(sample_rate))]
