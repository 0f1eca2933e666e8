"""The table of a sweep: `python -m launch.collect configs/sweeps/sun_table5.py [--out=DIR]`.

A line a row of the sweep: mean and standard deviation over its seeds, the paper's figure beside it,
and the difference from the reference row on the same test clips, with an interval and McNemar's
test. Written to table.md and table.json in the sweep's folder.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from asd_jax.errors import UserError
from asd_jax.report.files import read_results, read_scores, write_results, write_whole
from asd_jax.scoring.classification import Comparison, compare, mcnemar, wilson
from launch.sweep_file import Run, Sweep, read_sweep


def main(argv: Sequence[str] | None = None) -> int:
    """Prints and writes the table of a sweep, of the runs that are there."""
    parser = argparse.ArgumentParser(prog="python -m launch.collect", description=__doc__)
    parser.add_argument("file", help="a file of configs/sweeps")
    parser.add_argument("--out", default="", help="folder of the sweep; default runs/<sweep>")
    options = parser.parse_args(argv)
    sweep = read_sweep(options.file)
    print(write_table(sweep, options.out or os.path.join("runs", sweep.name)))
    return 0


def write_table(sweep: Sweep, folder: str) -> str:
    """Makes the table of what is finished, writes it to `folder`, and returns it as text."""
    lines = collect(sweep, folder)
    text = as_text(sweep, lines)
    os.makedirs(folder, exist_ok=True)
    write_results(os.path.join(folder, "table.json"), {"title": sweep.title, "rows": lines})
    write_whole(os.path.join(folder, "table.md"), text.encode())
    return text


def collect(sweep: Sweep, folder: str) -> list[dict[str, Any]]:
    """One entry a row: its figures seed by seed, mean, deviation, and how it compares."""
    lines = []
    for row in sweep.rows:
        runs = [run for run in sweep.runs if run.row == row]
        done = [run for run in runs if os.path.exists(_file(folder, run, "results.json"))]
        results = [read_results(_file(folder, run, "results.json")) for run in done]
        line: dict[str, Any] = {"row": row, "runs": len(runs), "finished": len(done), "figures": {}}
        for title, path in sweep.metrics.items():
            values = [v for v in (lookup(result, path) for result in results) if v is not None]
            line["figures"][title] = {
                "values": values,
                "mean": statistics.fmean(values) if values else None,
                "deviation": statistics.stdev(values) if len(values) > 1 else None,
                "paper": sweep.paper.get(row, {}).get(title),
            }
        line["leaking"] = any((lookup(r, "protocol.leaking_clips") or 0) > 0 for r in results)
        if sweep.reference and row != sweep.reference:
            line["against"] = against_reference(sweep, folder, row)
        lines.append(line)
    return lines


def against_reference(sweep: Sweep, folder: str, row: str) -> dict[str, Any] | None:
    """How a row's decisions compare with the reference row's on the same clips, seeds together."""
    own = {_seed(run): run for run in sweep.runs if run.row == row}
    reference = {_seed(run): run for run in sweep.runs if run.row == sweep.reference}
    labels, first, second, recordings = [], [], [], []
    for seed in own.keys() & reference.keys():
        files = [_file(folder, run, "scores.csv") for run in (own[seed], reference[seed])]
        if not all(map(os.path.exists, files)):
            continue
        mine, other = ({r["path"]: r for r in read_scores(file)} for file in files)
        for path in sorted(mine.keys() & other.keys()):
            decisions = mine[path]["decision"], other[path]["decision"]
            if mine[path]["label"] < 0 or min(decisions) < 0:
                continue
            labels.append(mine[path]["label"])
            first.append(decisions[0])
            second.append(decisions[1])
            recordings.append(recording(mine[path]))
    if not labels:
        return None
    arrays = [np.array(values) for values in (labels, first, second, recordings)]
    return compare(*arrays)._asdict()


def recording(row: dict[str, Any]) -> str:
    """What recording a clip is of: versions at other noise levels lie in other upper folders."""
    below = row["path"].partition("#")[0].replace(os.sep, "/").split("/")[-3:]
    return "/".join([row["machine_type"], row["machine_id"], *below])


def as_text(sweep: Sweep, lines: Sequence[dict[str, Any]]) -> str:
    """The table in Markdown, and the sentences that belong to it."""
    heads = ["", "seeds"]
    for title in sweep.metrics:
        heads += [title, "paper"] if _printed(sweep, title) else [title]
    if sweep.reference:
        heads += [f"decisions against {sweep.reference} [95 %]", "McNemar p"]
    table = [heads, ["---"] * len(heads)]
    for line in lines:
        cells = [line["row"], f"{line['finished']} of {line['runs']}"]
        for title in sweep.metrics:
            figure = line["figures"][title]
            cells.append(_mean(figure))
            if _printed(sweep, title):
                cells.append(figure["paper"] or "–")
        if sweep.reference:
            cells += _comparison(line.get("against"))
        table.append(cells)
    text = f"{sweep.title}\n\n" + "\n".join("| " + " | ".join(cells) + " |" for cells in table)
    return text + "\n" + "".join(f"\n{note}" for note in notes(sweep, lines)) + "\n"


def notes(sweep: Sweep, lines: Sequence[dict[str, Any]]) -> list[str]:
    """What a reader of the table must know."""
    found = ["Mean ± standard deviation over the seeds; each seed draws its own test clips."]
    if sweep.reference:
        found.append(
            "Difference of the share of right decisions, on the same clips: the interval draws "
            "recordings anew; McNemar's test takes all clips for independent, which flatters it."
        )
    if any(line["leaking"] for line in lines):
        found.append("The split LEAKS: versions of tested recordings were trained on.")
    if sweep.published:
        found.append(judge_published(sweep))
    return found


def judge_published(sweep: Sweep) -> str:
    """What a published difference between two rows can mean at most, given its number of clips."""
    row, other, clips = sweep.published
    title = next(iter(sweep.metrics))
    values = [float(sweep.paper[name][title].split()[0]) for name in (row, other)]
    right = [round(value * clips) for value in values]
    apart = right[0] - right[1]
    low, high = wilson(right[0], clips)
    return (
        f"The published difference, {row} against {other}: {values[0]:.4f} - {values[1]:.4f} = "
        f"{values[0] - values[1]:+.4f} is {apart} of {clips} images. The 95 % interval of the "
        f"first alone reaches from {low:.3f} to {high:.3f}, and if these {apart} were the only "
        f"images that the two call differently, McNemar's exact test gives "
        f"p = {mcnemar(max(apart, 0), max(-apart, 0)):.2f}; more disagreement makes it larger."
    )


def lookup(results: dict[str, Any], path: str) -> float | None:
    """The number at a dotted path, None where there is none."""
    value: Any = results
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) else None


def _file(folder: str, run: Run, name: str) -> str:
    return os.path.join(folder, run.name, name)


def _seed(run: Run) -> str:
    return str(run.overrides.get("seed", ""))


def _printed(sweep: Sweep, title: str) -> bool:
    return any(title in figures for figures in sweep.paper.values())


def _mean(figure: dict[str, Any]) -> str:
    if figure["mean"] is None:
        return "–"
    spread = figure["deviation"]
    return f"{figure['mean']:.4f}" + ("" if spread is None else f" ± {spread:.4f}")


def _comparison(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return ["–", "–"]
    result = Comparison(**found)
    low, high = result.interval
    return [
        f"{result.difference:+.4f} [{low:+.4f}, {high:+.4f}]",
        f"{result.p_value:.3f} ({result.only_first} : {result.only_second} of {result.clips})",
    ]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
