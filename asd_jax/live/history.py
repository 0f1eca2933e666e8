"""What was heard, in one SQLite file: scores, alarms with their sound, recordings that are done.

A monitor that is started anew goes on where the last one ended.
"""

import contextlib
import copy
import datetime
import hashlib
import json
import os
import sqlite3
import statistics
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from asd_jax.errors import UserError
from asd_jax.files import hold, plain, why
from asd_jax.live.watcher import State

DAYS = 28  # of the trend
KEPT_DAYS = 400  # of scores
KEPT_SOUNDS = 200  # of alarms
_BUCKET = 1800  # s: hours begin at the half hour too, as in India
_SCHEMA = """
CREATE TABLE IF NOT EXISTS scores (
  id INTEGER PRIMARY KEY AUTOINCREMENT, recorded REAL, judged REAL, detector TEXT,
  machine_type TEXT, machine_id TEXT, path TEXT, score REAL, threshold REAL, percentile REAL,
  decision INTEGER, quality TEXT, alarm INTEGER, alarm_changed TEXT, place TEXT DEFAULT '');
CREATE INDEX IF NOT EXISTS by_time ON scores (detector, recorded);
CREATE TABLE IF NOT EXISTS alarms (id INTEGER PRIMARY KEY, row TEXT, sound BLOB);
CREATE TABLE IF NOT EXISTS done (path TEXT PRIMARY KEY, size INTEGER, changed INTEGER);
CREATE TABLE IF NOT EXISTS fine (alarm INTEGER PRIMARY KEY);
"""
_COLUMNS = ("machine_type", "machine_id", "path", "score", "threshold", "percentile", "decision")
_COLUMNS += ("quality", "alarm", "alarm_changed")
_FINE = "SELECT scores.* FROM scores JOIN fine ON fine.alarm = id WHERE detector = ?"


class History:
    """One file of it. Thread-safe; of one process at a time."""

    def __init__(self, path: str = ":memory:", detector: str = ""):
        """Opens or begins it.

        Args:
            path: of the file; ':memory:' ends with the program.
            detector: a name of the detector's content: only scores of the same one are compared.

        Raises:
            UserError: it can't be written, is no history, or another monitor writes it.
        """
        self.detector, self.place = detector, ""
        self._mutex = threading.Lock()
        with _told(path):
            self._held = None if path == ":memory:" else hold(path + ".lock")
            self._base = sqlite3.connect(path, check_same_thread=False)
            self._base.row_factory = sqlite3.Row
            self._base.executescript(_SCHEMA)
            known = [row["name"] for row in self._base.execute("PRAGMA table_info(scores)")]
            if "place" not in known:  # of a monitor that listened to one place
                self._base.execute("ALTER TABLE scores ADD COLUMN place TEXT DEFAULT ''")
            old = time.time() - KEPT_DAYS * 86400
            with self._base:
                gone = "recorded < ? AND id NOT IN (SELECT alarm FROM fine)"
                self._base.execute(f"DELETE FROM scores WHERE {gone}", (old,))

    def of(self, place: str) -> "History":
        """The part of it that is of one of several microphones, in the same file."""
        part = copy.copy(self)
        part.place = place
        return part

    def add(self, row: Mapping[str, Any], sound: bytes | None = None) -> int:
        """Adds a scored clip, an alarm too where there is a sound; returns its number.

        Args:
            row: of the clip; its `time`, in ISO form, is that of the recording.
            sound: the wav file of an alarm.
        """
        said = plain(row)
        values = [_seconds(said["time"]), time.time(), self.detector, self.place]
        values += [said.get(column) for column in _COLUMNS]
        marks = ", ".join("?" * len(values))
        names = ", ".join(("recorded", "judged", "detector", "place", *_COLUMNS))
        with self._mutex, self._base:
            command = f"INSERT INTO scores ({names}) VALUES ({marks})"
            number = self._base.execute(command, values).lastrowid or 0
            if sound is not None:
                command = "INSERT INTO alarms VALUES (?, ?, ?)"
                self._base.execute(command, (number, json.dumps(said | {"id": number}), sound))
                kept = f"SELECT id FROM alarms ORDER BY id DESC LIMIT {KEPT_SOUNDS}"
                self._base.execute(f"UPDATE alarms SET sound = NULL WHERE id NOT IN ({kept})")
        return number

    def recent(self, most: int) -> list[dict[str, Any]]:
        """The last scores of this detector, oldest first, in the columns that the page shows."""
        found = self._all(
            "SELECT * FROM scores WHERE detector = ? AND place = ? ORDER BY id DESC LIMIT ?",
            self.detector,
            self.place,
            most,
        )
        return [
            {column: row[column] for column in ("id", *_COLUMNS)}
            | {"time": _iso(row["recorded"]), "alarm": bool(row["alarm"])}
            for row in reversed(found)
        ]

    def judged(self) -> float | None:
        """When the last sound was judged, in s since 1970."""
        command = "SELECT max(judged) AS last FROM scores WHERE place = ?"
        return self._all(command, self.place)[0]["last"]

    def alarms(self, most: int) -> list[dict[str, Any]]:
        """The last alarms, newest first; `fine` says that one was answered so."""
        found = self._all(
            "SELECT row, fine.alarm IS NOT NULL AS fine FROM alarms LEFT JOIN scores USING (id) "
            "LEFT JOIN fine ON fine.alarm = id WHERE coalesce(place, '') = ? "
            "ORDER BY id DESC LIMIT ?",
            self.place,
            most,
        )
        return [json.loads(row["row"]) | {"fine": bool(row["fine"])} for row in found]

    def of_detector(self, alarm: int) -> dict[str, Any] | None:
        """The score of an alarm of this detector; None where there is none."""
        found = self._all(
            "SELECT scores.* FROM scores JOIN alarms USING (id) WHERE id = ? AND detector = ?",
            alarm,
            self.detector,
        )
        return dict(found[0]) if found else None

    def answer(self, alarm: int, *, fine: bool) -> None:
        """Keeps that an alarm was fine, or that it was not."""
        add, take = "INSERT OR IGNORE INTO fine VALUES (?)", "DELETE FROM fine WHERE alarm = ?"
        with self._mutex, self._base:
            self._base.execute(add if fine else take, (alarm,))

    def fine(self) -> dict[tuple[str, str], list[float]]:
        """The scores of this detector's alarms that were fine, by machine."""
        return _by_machine(self._all(_FINE, self.detector))

    def medians(self) -> dict[tuple[str, str], tuple[float, int]]:
        """Median percentile and number of each machine's clips without alarm, of the last day."""
        found: dict[tuple[str, str], list[float]] = {}
        for row in self._all(
            "SELECT machine_type, machine_id, percentile FROM scores WHERE detector = ? AND "
            "recorded > ? AND percentile IS NOT NULL AND NOT alarm",
            self.detector,
            (self._all("SELECT max(recorded) AS last FROM scores")[0]["last"] or 0.0) - 86400,
        ):
            found.setdefault((row["machine_type"], row["machine_id"]), []).append(row["percentile"])
        return {machine: (statistics.median(all_), len(all_)) for machine, all_ in found.items()}

    def sound(self, alarm: int) -> bytes | None:
        """The wav file of an alarm; None if there is none any more."""
        found = self._all("SELECT sound FROM alarms WHERE id = ?", alarm)
        return found[0]["sound"] if found else None

    def done(self) -> dict[str, State]:
        """The recordings that were scored, as they were then."""
        found = self._all("SELECT * FROM done")
        return {row["path"]: (row["size"], row["changed"]) for row in found}

    def finish(self, path: str, state: State) -> None:
        """A recording was scored to its end."""
        with self._mutex, self._base:
            self._base.execute("INSERT OR REPLACE INTO done VALUES (?, ?, ?)", (path, *state))

    def trend(self) -> list[dict[str, Any]]:
        """The hours of the last `DAYS` days in which something was scored, oldest first.

        Of several machines the one that departs most counts: `percentile` is its clips' mean share
        of healthy clips with a lower score, 50 where all is well; `clips`, `anomalous` and `alarms`
        are counts over all. `day` and `hour` are of this computer's time zone.
        """
        found = self._all(
            f"SELECT CAST(recorded / {_BUCKET} AS INTEGER) AS bucket, machine_type, machine_id, "
            "count(*) AS clips, sum(percentile) AS total, sum(decision = 1) AS anomalous, "
            "sum(alarm_changed = 'raised') AS alarms FROM scores "
            "WHERE detector = ? AND place = ? AND recorded >= ? AND percentile IS NOT NULL "
            "GROUP BY 1, 2, 3",
            self.detector,
            self.place,
            time.time() - DAYS * 86400,
        )
        hours: dict[tuple[str, int], dict[tuple[str, str], list[float]]] = {}
        for row in found:
            at = datetime.datetime.fromtimestamp(row["bucket"] * _BUCKET)
            machines = hours.setdefault((at.date().isoformat(), at.hour), {})
            sums = machines.setdefault((row["machine_type"], row["machine_id"]), [0.0] * 4)
            for i, column in enumerate(("clips", "total", "anomalous", "alarms")):
                sums[i] += row[column] or 0
        return [
            {
                "day": day,
                "hour": hour,
                "percentile": round(max(s[1] / s[0] for s in machines.values()), 1),
                "clips": int(sum(s[0] for s in machines.values())),
                "anomalous": int(sum(s[2] for s in machines.values())),
                "alarms": int(sum(s[3] for s in machines.values())),
            }
            for (day, hour), machines in sorted(hours.items())
        ]

    def _all(self, command: str, *values: Any) -> list[sqlite3.Row]:
        with self._mutex:
            return self._base.execute(command, values).fetchall()


def default_path(detector: str) -> str:
    """Where the history of a detector's folder lies: beside it."""
    return os.path.join(os.path.dirname(os.path.abspath(detector)), "history.sqlite")


def answers(path: str, detector: str) -> dict[tuple[str, str], list[float]]:
    """What `History.fine` says, of a file that a monitor may be writing.

    Raises:
        sqlite3.Error: the file is no history.
    """
    file = urllib.parse.quote(os.path.abspath(path))
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as base:
        base.row_factory = sqlite3.Row
        return _by_machine(base.execute(_FINE, (detector,)).fetchall())


def _by_machine(rows: Sequence[sqlite3.Row]) -> dict[tuple[str, str], list[float]]:
    found: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        found.setdefault((row["machine_type"], row["machine_id"]), []).append(row["score"])
    return found


def identity(detector: str) -> str:
    """A name of what a detector's folder holds; detector.json has a hash of the arrays."""
    with open(os.path.join(detector, "detector.json"), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    import filelock

    try:
        yield
    except filelock.Timeout as error:
        raise UserError(
            f"--history={path}: another monitor writes it; give each its own, --history=FILE."
        ) from error
    except (OSError, sqlite3.Error) as error:
        said = why(error) if isinstance(error, OSError) else error
        raise UserError(f"--history={path}: {said}; give a file that can be written.") from error


def _seconds(time: str) -> float:
    return datetime.datetime.fromisoformat(time).timestamp()


def _iso(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")
