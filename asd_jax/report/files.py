"""scores.csv and results.json: what a run hands to a spreadsheet or to another program.

The same rows and results always give the same bytes, and a reader never sees half a file.
"""

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from asd_jax import naming
from asd_jax.errors import UserError
from asd_jax.files import write_bytes

_FIRST = ("path", "machine_type", "machine_id", "domain", "label", "score")
_LAST = ("threshold", "decision")
# Beyond scores.csv, of single recordings: see `asd_jax.live.recordings.where`.
_MORE = (
    "snr",
    "percentile",
    "tail",
    "healthy_clips",
    "departs_from_s",
    "departs_to_s",
    "departs_from_hz",
    "departs_to_hz",
    "departs_by",
    "why",
    "alarm",
    "quality",
)
_TEXT = ("path", "machine_type", "machine_id", "domain", "quality", "why")
_UNKNOWN = -1  # data.clips.UNKNOWN, an empty cell in the file


def write_scores(path: str | os.PathLike, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes scores.csv, one row a test clip, in the order given.

    Args:
        path: the file to write; it is replaced in one step.
        rows: mappings with the keys `path`, `machine_type`, `machine_id` and `score`, and if
            they are known `domain`, `label` (0 normal, 1 anomaly, -1 unknown), `threshold`,
            `decision` (0 normal, 1 anomaly, -1 or None when there is no threshold) and a
            `score_<branch>` each branch. The branch columns keep the order in which they are
            first met. `snr` (dB), `percentile`, `tail`, `healthy_clips`, the columns `departs_*`,
            `why`, `alarm` and `quality` (see `data.quality`) come last, where any row has them.

    Raises:
        ValueError: a row has a key that is no column.
    """
    columns = score_columns(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(score_cells(row, columns) for row in rows)
    write_bytes(path, text.getvalue().encode("utf-8", "surrogateescape"))


def score_columns(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The columns of these rows' scores.csv."""
    more = [name for name in _MORE if any(name in row for row in rows)]
    return (*_FIRST, *branch_columns(rows), *_LAST, *more)


def score_cells(row: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    """A row's cells; raises ValueError where the row has a key that is none of the columns."""
    strange = [key for key in row if key not in columns]
    if strange:
        raise ValueError(f"{strange[0]!r} is no column of scores.csv")
    return [_cell(name, row.get(name)) for name in columns]


def read_scores(path: str | os.PathLike) -> list[dict[str, Any]]:
    """Reads scores.csv back: label and decision as int (-1 unknown), scores as float (NaN).

    Raises:
        UserError: the file is missing, or a column or number in it is not what it should be.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file)
            names = reader.fieldnames or ()
            missing = [name for name in (*_FIRST, *_LAST) if name not in names]
            if missing:
                raise UserError(
                    f"{os.fspath(path)} has no column {missing[0]!r}; give a scores.csv that "
                    "asd_jax wrote."
                )
            rows = list(reader)
            if any(None in row.values() for row in rows):
                raise UserError(
                    f"{os.fspath(path)} has a row that is cut off; write it again by repeating "
                    "the run."
                )
            return [{name: _value(name, row[name]) for name in names} for row in rows]
    except OSError as error:
        raise UserError(f"{os.fspath(path)} can't be read ({error.strerror}).") from error
    except (ValueError, TypeError, csv.Error) as error:
        raise UserError(
            f"{os.fspath(path)} holds something that is no number ({error}); write it again by "
            "repeating the run."
        ) from error


def branch_columns(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The `score_<branch>` columns of the rows, in the order in which they are first met."""
    found: dict[str, None] = {}
    for row in rows:
        found.update(dict.fromkeys(key for key in row if key.startswith("score_")))
    return tuple(found)


def read_results(path: str | os.PathLike) -> dict[str, Any]:
    """Reads results.json or another file of `files.write_json`; null stays None.

    Raises:
        UserError: it can't be read, or holds no mapping.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            results = json.load(file)
    except OSError as error:
        raise UserError(f"{os.fspath(path)} can't be read ({error.strerror}).") from error
    except ValueError as error:
        raise UserError(f"{os.fspath(path)} is not JSON ({error}).") from error
    if not isinstance(results, dict):
        raise UserError(f"{os.fspath(path)} holds no results; give one that asd_jax wrote.")
    return results


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in _TEXT:
        return naming.cell(str(value))
    number = float(value)
    if name in ("label", "decision"):
        return "" if math.isnan(number) or int(number) == _UNKNOWN else str(int(number))
    return "" if math.isnan(number) else f"{number:.9g}"


def _value(name: str, cell: str) -> Any:
    if name in ("label", "decision"):
        return int(cell) if cell else _UNKNOWN
    if name in _TEXT:
        return naming.text_of_cell(cell)
    if name in ("score", "threshold", *_MORE) or name.startswith("score_"):
        return float(cell) if cell else math.nan
    return naming.text_of_cell(cell)
