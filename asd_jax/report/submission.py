"""The files that DCASE Task 2 takes from its participants, from a run's scores.csv.

Rows are `file name,value` without a header, files one a machine and section:

- 2020: `anomaly_score_<machine>_id_<nn>.csv`; no decisions were asked for;
- 2021: `anomaly_score_<machine>_section_<nn>_<source or target>_test.csv`, and `decision_result_`
  of the same;
- 2022 to 2025: `..._section_<nn>_test.csv`, both domains in one.

The challenges' evaluators pair the sorted rows with the truth's, so that a clip needs the name
under which it was published; those of 2023 and 2024 know the labelled names of `test_rename` too.
"""

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asd_jax.errors import UserError, WriteError
from asd_jax.files import why, write_bytes
from asd_jax.report.files import read_results, read_scores

YEARS = tuple(range(2020, 2026))
_KNOWS_COPIES = 2023  # the year of the first evaluator that translates names of test_rename

Row = Mapping[str, Any]


def write_submission(workdir: str, output: str, *, year: int | None = None) -> list[str]:
    """Writes the files of a finished run.

    Args:
        workdir: of the run: its scores.csv, and its config.json where the year is not given.
        output: folder; made if need be, files of the same name in it are replaced.
        year: of the challenge; None: that of the run's data set.

    Returns:
        the paths of the files, sorted.

    Raises:
        UserError: the run is not finished, has no year or no test clip, or a clip has no finite
            score, no decision where one is asked for, no domain for 2021, is a window, or has
            lost the name that the year's evaluator knows.
    """
    year = year or _year(workdir)
    if year not in YEARS:
        raise UserError(f"--year={year} had no such files; known are 2020 to 2025.")
    rows = read_scores(os.path.join(workdir, "scores.csv"))
    if not rows:
        raise UserError(f"{workdir}/scores.csv holds no test clip.")
    tables: dict[str, list[tuple[str, str]]] = {}
    for row in sorted(rows, key=lambda row: row["path"]):
        for name, value in _cells(row, year).items():
            tables.setdefault(name, []).append((_file_name(row, year), value))
    return [_write(os.path.join(output, name), table) for name, table in sorted(tables.items())]


def _year(workdir: str) -> int:
    try:
        layout = read_results(os.path.join(workdir, "config.json"))["data"]["layout"]
    except (UserError, KeyError) as error:
        raise UserError(f"{workdir} is no finished run: its config.json has no layout.") from error
    found = re.fullmatch(r"dcase(\d{4})", layout)
    if not found:
        raise UserError(f"the run's data set is {layout}, no DCASE challenge: give --year.")
    return int(found[1])


def _cells(row: Row, year: int) -> dict[str, str]:
    """The value of one clip for each file that it belongs in."""
    name, score, decision = _place(row, year), row["score"], row["decision"]
    if not np.isfinite(score):
        raise UserError(f"{row['path']} has no score; a submission needs one for every clip.")
    cells = {f"anomaly_score_{name}.csv": f"{score:.9g}"}
    if year > 2020:
        if decision not in (0, 1):
            raise UserError(f"{row['path']} has no decision: its machine has no threshold.")
        cells[f"decision_result_{name}.csv"] = str(decision)
    return cells


def _place(row: Row, year: int) -> str:
    """The part of a file's name that tells the machine, the section and the split."""
    machine, section = row["machine_type"], row["machine_id"]
    if year == 2020:
        return f"{machine}_id_{section}"
    if year > 2021:
        return f"{machine}_section_{section}_test"
    if row["domain"] not in ("source", "target"):
        raise UserError(f"{row['path']} has no domain; files of 2021 are one a domain.")
    return f"{machine}_section_{section}_{row['domain']}_test"


def _file_name(row: Row, year: int) -> str:
    folder, name = os.path.split(row["path"])
    if "#t=" in name:
        raise UserError(
            f"{row['path']} is a window; train with config.data.long='cut', one score a recording."
        )
    if year < _KNOWS_COPIES and os.path.basename(folder).lower() == "test_rename":
        raise UserError(
            f"{row['path']} is a renamed copy, which {year}'s evaluator would take for another "
            "clip; move test_rename out of the data set and train again."
        )
    return name


def _write(path: str, table: Sequence[tuple[str, str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table)
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        write_bytes(path, text.getvalue().encode())
    except OSError as error:
        raise WriteError(f"--output: {path}: {why(error)}.") from error
    return path
