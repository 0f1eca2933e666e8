"""Rows of a sweep against its reference row: over the same clips, and over the same seeds."""

import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from asd_jax.report.files import read_results, read_scores
from asd_jax.scoring.classification import compare
from asd_jax.scoring.paired import compare_areas, compare_seeds, recording, stratum_weights
from launch.cells import file_of, is_done
from launch.sweep_file import Sweep, SweepRun

Row = dict[str, Any]


def decisions_against(sweep: Sweep, folder: str, row: str) -> dict[str, Any] | None:
    """Compares a row's decisions with the reference row's on the same clips, seeds together."""
    labels, first, second, recordings = [], [], [], []
    for _, mine, other in pairs(sweep, folder, row):
        for own, their in zip(mine, other, strict=True):
            if min(own["decision"], their["decision"]) < 0:
                continue
            labels.append(own["label"])
            first.append(own["decision"])
            second.append(their["decision"])
            recordings.append(recording(own))
    if not labels:
        return None
    arrays = [np.array(values) for values in (labels, first, second, recordings)]
    return compare(*arrays)._asdict()


def areas_against(sweep: Sweep, folder: str, row: str) -> dict[str, Any] | None:
    """Compares a row's AUC with the reference row's on the same clips, seeds together.

    The AUC is the one of the sweep's first metric: of each machine, averaged over the machines of a
    type and then over types, or of all clips together for a classifier.
    """
    found = score_column(sweep)
    if found is None:
        return None
    column, pooled = found
    columns: list[list] = [[], [], [], [], []]
    machines: dict[str, tuple[str, str]] = {}  # type by stratum
    for seed, mine, other in pairs(sweep, folder, row):
        for own, their in zip(mine, other, strict=True):
            if not np.isfinite([own[column], their[column]]).all():
                continue
            machine = "" if pooled else f"{own['machine_type']}/{own['machine_id']}"
            stratum = f"{seed}/{machine}"
            machines[stratum] = (seed, "" if pooled else own["machine_type"])
            found = own["label"], own[column], their[column], recording(own), stratum
            for values, value in zip(columns, found, strict=True):
                values.append(value)
    arrays = [np.array(values) for values in columns]
    weights = stratum_weights(arrays[0], arrays[4], machines)
    return compare_areas(*arrays, weights=weights)._asdict() if weights else None


def score_column(sweep: Sweep) -> tuple[str, bool] | None:
    """The column of scores.csv behind the first metric, and whether machines are pooled.

    None where the first metric is not an AUC that scores.csv gives again.
    """
    path = sweep.metrics[sweep.headline]
    branch = re.fullmatch(r"mean\.branches\.(\w+)\.auc", path)
    if branch:
        return f"score_{branch[1]}", False
    return ("score", path != "mean.auc") if path in ("mean.auc", "classification.auc") else None


def seeds_against(sweep: Sweep, folder: str, row: str) -> dict[str, Any]:
    """Compares a row's first metric with the reference row's, seed by seed."""
    path = sweep.metrics[sweep.headline]
    found = []
    for _, own, reference in _same_seed(sweep, folder, row):
        files = (file_of(folder, run, "results.json") for run in (own, reference))
        found.append([lookup(read_results(file), path) for file in files])
    both = [pair for pair in found if None not in pair]
    return compare_seeds([pair[0] for pair in both], [pair[1] for pair in both])._asdict()


def pairs(sweep: Sweep, folder: str, row: str) -> Iterator[tuple[str, list[Row], list[Row]]]:
    """The seed, and the labelled clips that a run and the reference's of that seed both tested."""
    for seed, own, reference in _same_seed(sweep, folder, row):
        files = [file_of(folder, run, "scores.csv") for run in (own, reference)]
        if not all(map(os.path.exists, files)):
            continue
        mine, other = ({r["path"]: r for r in read_scores(file)} for file in files)
        shared = [p for p in sorted(mine.keys() & other.keys()) if mine[p]["label"] >= 0]
        yield seed, [mine[path] for path in shared], [other[path] for path in shared]


def lookup(results: dict[str, Any], path: str) -> float | None:
    """The number at a dotted path, None where there is none."""
    value: Any = results
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) else None


def _same_seed(sweep: Sweep, folder: str, row: str) -> Iterator[tuple[str, SweepRun, SweepRun]]:
    """The finished runs of a row, each with the finished run of the reference of its seed."""
    own, reference = (
        {
            str(run.overrides.get("seed", "")): run
            for run in sweep.runs
            if run.row == name and is_done(folder, run)
        }
        for name in (row, sweep.reference)
    )
    for seed in sorted(own.keys() & reference.keys()):
        yield seed, own[seed], reference[seed]
