"""The table of a sweep: `python -m launch.collect --sweep=FILE [--out=DIR]`.

A line a row of the sweep: mean and standard deviation over its seeds, the paper's figure beside it,
and the differences from the reference row with intervals and tests; from whatever is finished so
far. Written to table.md and table.json in the sweep's folder.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Sequence
from typing import Any

if __name__ == "__main__" and not __package__:  # python launch/collect.py: the project lies above
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from asd_jax.errors import UserError
from asd_jax.files import write_bytes, write_json
from asd_jax.report.files import read_results
from launch.cells import file_of, is_done
from launch.comparisons import (
    areas_against,
    decisions_against,
    lookup,
    score_column,
    seeds_against,
)
from launch.sweep_file import Sweep, add_file, file_given, read_sweep
from launch.table import as_text


def main(argv: Sequence[str] | None = None) -> int:
    """Prints and writes the table of a sweep, of the runs that are there."""
    parser = argparse.ArgumentParser(prog="python -m launch.collect", description=__doc__)
    add_file(parser)
    options = parser.parse_args(argv)
    sweep = read_sweep(file_given(options))
    print(write_table(sweep, options.out or os.path.join("runs", sweep.name)))
    return 0


def write_table(sweep: Sweep, folder: str) -> str:
    """Makes the table of what is finished, writes it to `folder`, and returns it as text."""
    lines = collect(sweep, folder)
    text = as_text(sweep, lines)
    os.makedirs(folder, exist_ok=True)
    write_json(os.path.join(folder, "table.json"), {"title": sweep.title, "rows": lines})
    write_bytes(os.path.join(folder, "table.md"), text.encode())
    return text


def collect(sweep: Sweep, folder: str) -> list[dict[str, Any]]:
    """One entry a row: its figures seed by seed, mean, deviation, and how it compares."""
    lines = []
    for row in sweep.rows:
        runs = [run for run in sweep.runs if run.row == row]
        results = [
            read_results(file_of(folder, run, "results.json"))
            for run in runs
            if is_done(folder, run)
        ]
        line: dict[str, Any] = {"row": row, "runs": len(runs), "finished": len(results)}
        line["figures"] = {title: _figure(sweep, row, title, results) for title in sweep.metrics}
        line["leaking"] = any((lookup(r, "protocol.leaking_clips") or 0) > 0 for r in results)
        if sweep.reference and row != sweep.reference:
            clips = areas_against if score_column(sweep) else decisions_against
            line["against"] = clips(sweep, folder, row)
            line["seeds"] = seeds_against(sweep, folder, row)
        lines.append(line)
    return lines


def _figure(sweep: Sweep, row: str, title: str, results: Sequence[dict]) -> dict[str, Any]:
    found = (lookup(result, sweep.metrics[title]) for result in results)
    values = [value for value in found if value is not None]
    return {
        "values": values,
        "mean": statistics.fmean(values) if values else None,
        "deviation": statistics.stdev(values) if len(values) > 1 else None,
        "paper": sweep.paper.get(row, {}).get(title),
    }


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
