"""Rows as a table, as CSV or as JSON lines, each written as soon as it is known."""

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from asd_jax.naming import machine_name, printable

FORMATS = ("table", "csv", "json")
_NOT_IN_JSON = ("domain", "label")  # known of a test set, never of a recording


class Output:
    """Writes rows in one of `FORMATS`; what is no row goes to JSON, or to standard error."""

    def __init__(self, kind: str, machines: Sequence[tuple[str, str]] = ()):
        """Args: one of `FORMATS`; the machines that rows may be of, so as to name them."""
        self._machines = machines
        self._file = sys.stdout
        self._write: Callable[[Mapping[str, Any]], None] = getattr(self, f"_{kind}")
        self._json_too, self._is_table = kind == "json", kind == "table"
        self._columns: tuple[str, ...] = ()
        self._begun = False

    def row(self, row: Mapping[str, Any]) -> None:
        """Writes one clip's row."""
        self._write(row)
        self._file.flush()

    def note(self, sentence: str, **values: Any) -> None:
        """Tells what is no score: an unreadable file, a pause, the end; `event` names it."""
        if self._json_too:
            self._json(values)
            self._file.flush()
        else:
            print(printable(sentence), file=sys.stderr, flush=True)

    def answer(self, sentences: Sequence[str]) -> None:
        """Says at the end what it all comes to; beside CSV and JSON on standard error."""
        file = self._file if self._is_table else sys.stderr
        print(printable(" ".join(sentences)), file=file, flush=True)

    def _json(self, row: Mapping[str, Any]) -> None:
        from asd_jax.files import plain

        kept = {key: value for key, value in row.items() if key not in _NOT_IN_JSON}
        if kept.get("decision") == -1:
            kept["decision"] = None
        print(json.dumps(plain(kept), allow_nan=False), file=self._file)

    def _csv(self, row: Mapping[str, Any]) -> None:
        from asd_jax.report.files import score_cells, score_columns

        row = _of_a_clip(row)
        writer = csv.writer(self._file, lineterminator="\n")
        if not self._columns:
            self._columns = score_columns([row])
            writer.writerow(self._columns)
        writer.writerow(score_cells(row, self._columns))

    def _table(self, row: Mapping[str, Any]) -> None:
        from asd_jax.report.why import place
        from asd_jax.scoring.threshold import tail_words

        if not self._begun:
            self._begun = True
            titles = f"{'':10}{'score':>9}{'threshold':>11}{'healthy higher':>16}"
            print(f"{titles}  {'departs most':27}machine, recording", file=self._file)
        word = {1: "ANOMALOUS", 0: "normal"}.get(row["decision"], "unknown")
        rare = tail_words(row.get("tail"), row.get("healthy_clips"), short=True)
        machine = machine_name((row["machine_type"], row["machine_id"]), self._machines)
        alarm = {"raised": "  ALARM", "cleared": "  alarm cleared"}.get(
            row.get("alarm_changed", ""), ""
        )
        flags = f"  [{row['quality']}]" if row.get("quality") else ""
        print(
            f"{word:10}{_short(row['score']):>9}{_short(row['threshold']):>11}{rare:>16}  "
            f"{place(row):26} {printable(machine)}, {printable(row['path'])}{flags}{alarm}",
            file=self._file,
        )


def _short(number: float) -> str:
    """A score in nine characters at most: three decimals, or three digits where it is huge."""
    return f"{number:.3f}" if abs(number) < 1e4 else f"{number:.2e}"


def _of_a_clip(row: Mapping[str, Any]) -> dict[str, Any]:
    """Without what CSV has no column for: the path of a window tells its time."""
    dropped = ("event", "time", "from_s", "to_s", "alarm_changed")
    return {key: value for key, value in row.items() if key not in dropped}
