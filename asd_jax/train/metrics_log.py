"""metrics.jsonl: one JSON line a log event."""

import json
import os
import time
from typing import Any

from asd_jax.files import plain, write_bytes, writing
from asd_jax.train.loggers import Loggers


class MetricsLog:
    """Appends log events of a run to `metrics.jsonl`; only the first process writes."""

    def __init__(self, path: str, *, write: bool = True, also: Loggers | None = None) -> None:
        """Args: of the file, whether this process writes, and where all of it goes, too."""
        self._path = path
        self._write = write
        self._also = also if write else None

    def read(self) -> list[dict[str, Any]]:
        """All events so far, oldest first; a line cut short by a crash is left out."""
        if not os.path.exists(self._path):
            return []
        events = []
        with open(self._path, encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    events.append(json.loads(line))
                except (ValueError, RecursionError):
                    continue
        return [event for event in events if isinstance(event, dict)]

    def rewind(self, stage: str, step: int) -> None:
        """Drops the events of `stage` after `step`: a resumed stage writes them again."""
        if not self._write:
            return
        if self._also:
            self._also.begin(stage, step)
        kept = [e for e in self.read() if e.get("stage") != stage or e.get("step", 0) <= step]
        write_bytes(self._path, "".join(json.dumps(event) + "\n" for event in kept).encode())

    def log(self, stage: str, step: int, **values: Any) -> None:
        """Adds one event, at this time (s, Unix). NaN and infinity become null: strict JSON."""
        if not self._write:
            return
        values = plain(values)
        event = {"stage": stage, "step": step, "time": round(time.time(), 3), **values}
        line = json.dumps(event) + "\n"
        with (
            writing(self._path, "make room, and the same command goes on", needs=len(line)),
            open(self._path, "a", encoding="utf-8") as file,
        ):
            file.write(line)
        if self._also:
            self._also.log(stage, step, values)
