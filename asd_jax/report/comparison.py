"""Finished runs beside each other: their figures, how sure a difference is, what else differs."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asd_jax.errors import UserError
from asd_jax.files import write_bytes
from asd_jax.naming import machine_name, printable
from asd_jax.report.files import read_results, read_scores
from asd_jax.report.html import filled
from asd_jax.report.summary import NONE, three
from asd_jax.report.tables import flatten
from asd_jax.scoring import metrics
from asd_jax.scoring.metrics import drawn_areas, percentile_interval
from asd_jax.scoring.paired import recording, stratum_weights

FIGURES = {"auc": ("AUC", 1.0), "pauc": ("pAUC", 0.1)}  # heading and largest false alarm rate
ALL = ""  # stands for the mean over machines, where a machine's name may stand

_Read = tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]  # results, config, rows
# By figure and machine (or `ALL`): the figure, and what it is of bootstrapped recordings.
_Areas = dict[str, dict[str, tuple[float, np.ndarray]]]


@dataclasses.dataclass(frozen=True)
class Gap:
    """A figure less that of the first run."""

    difference: float
    interval: tuple[float, float]  # 95 %, of bootstrapped recordings

    @property
    def sure(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval[0] > 0.0 or self.interval[1] < 0.0


@dataclasses.dataclass(frozen=True)
class Member:
    """One of the runs.

    Attributes:
        name: its folder, as far as the runs' folders differ.
        config, made: its settings, and what results.json says of how it was made.
        figures: by figure, by machine; of `ALL` the mean over machines, then types.
        gaps: the same, against the first run; of the first run none.
        unpaired: why its clips are not those of the first run; '' where they are.
    """

    name: str
    config: Mapping[str, Any]
    made: Mapping[str, Any]
    figures: Mapping[str, Mapping[str, float]]
    gaps: Mapping[str, Mapping[str, Gap]] = dataclasses.field(default_factory=dict)
    unpaired: str = ""


@dataclasses.dataclass(frozen=True)
class _Clips:
    """A run's test clips of known label and finite score, in the order of their names."""

    keys: tuple[tuple[str, str], ...]  # machine, and the path below the folder of all clips
    labels: np.ndarray
    scores: np.ndarray
    machines: np.ndarray
    recordings: np.ndarray
    types: Mapping[str, str]  # by machine

    @property
    def weights(self) -> dict[str, float]:
        kinds = {machine: ("", kind) for machine, kind in self.types.items()}
        return stratum_weights(self.labels, self.machines, kinds)


def compare(folders: Sequence[str], *, draws: int = 1000) -> list[Member]:
    """The runs, each against the first.

    Args:
        folders: of finished runs, two or more.
        draws: of the bootstrap.

    Raises:
        UserError: one is no finished run, or there are fewer than two.
    """
    if len(folders) < 2:
        raise UserError("give the folders of two finished runs or more.")
    names = _names(folders)
    first, *_ = read = [_read(folder) for folder in folders]
    ours = _clips(first[2])
    areas = _areas(ours, draws, 0)
    members = [_member(names[0], first, areas)]
    for name, found in zip(names[1:], read[1:], strict=True):
        clips = _clips(found[2])
        why = _unlike(ours, clips, first[0], found[0])
        own = _areas(clips, draws, 1 if why else 0)
        gaps = {figure: _gaps(own[figure], areas[figure]) for figure in FIGURES}
        members.append(dataclasses.replace(_member(name, found, own), gaps=gaps, unpaired=why))
    return members


def _member(name: str, read: _Read, areas: _Areas) -> Member:
    results, config, _ = read
    return Member(
        name=name,
        config=config,
        made=results.get("made") or {"version": results.get("version")},
        figures={f: {m: value for m, (value, _) in own.items()} for f, own in areas.items()},
    )


def differences(
    members: Sequence[Member],
) -> tuple[list[tuple[str, list[str]]], list[tuple[str, list[str]]]]:
    """Settings, and what else made the runs, that are not the same in all: (field, each run's)."""
    return (
        _differing([m.config for m in members], "config."),
        _differing([m.made for m in members], ""),
    )


def as_text(members: Sequence[Member]) -> str:
    """The comparison for a terminal."""
    width = max(len(m.name) for m in members)
    head = "  ".join(f"{title:>6}  {'less the first [95 %]':24}" for title, _ in FIGURES.values())
    lines = [f"{'':{width}}  {head}"]
    lines += [f"{m.name:{width}}  {_cells(m, ALL)}" for m in members]
    machines = _machines(members)
    for machine in machines if len(machines) > 1 else ():
        lines += ["", machine]
        lines += [f"{m.name:{width}}  {_cells(m, machine)}" for m in members]
    lines += ["", *(f"{m.name}: {how(m)}" for m in members[1:])]
    for what, found in zip(("settings", "making"), differences(members), strict=True):
        lines += [
            "",
            f"What differs in their {what}:" if found else f"Nothing differs in their {what}.",
        ]
        lines += [f"  {field}: {' | '.join(values)}" for field, values in found]
    return "\n".join(printable(line).rstrip() for line in lines)


def write_page(path: str | os.PathLike, members: Sequence[Member]) -> None:
    """Writes the comparison as one page that opens offline."""
    settings, made = differences(members)
    context = {
        "members": members,
        "machines": [(ALL, "Mean"), *((name, name) for name in _machines(members))],
        "figures": {name: title for name, (title, _) in FIGURES.items()},
        "settings": settings,
        "made": made,
        "three": three,
        "signed": _signed,
        "how": how,
    }
    write_bytes(path, filled("comparison.html", context).encode("utf-8", "replace"))


def how(member: Member) -> str:
    """How a run was compared with the first, in a sentence."""
    if member.unpaired:
        return (
            f"unpaired, for {member.unpaired}: the interval is of two independent tests, and so "
            "wide."
        )
    if not member.gaps["auc"]:
        return "no machine has both healthy and faulty clips, so there is no figure to compare."
    return "paired, on the same clips."


def _names(folders: Sequence[str]) -> list[str]:
    """The folders without what all of them begin with; nobody's home."""
    paths = [os.path.realpath(folder) for folder in folders]
    if len(set(paths)) < len(paths):
        raise UserError("one run is given twice; give the folders of different runs.")
    above = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [os.path.relpath(path, above) for path in paths]


def _read(folder: str) -> _Read:
    """results.json, config.json and scores.csv of a finished run."""
    if not os.path.exists(os.path.join(folder, "results.json")):
        raise UserError(f"{folder} holds no finished run; give the folder of one.")
    return (
        read_results(os.path.join(folder, "results.json")),
        read_results(os.path.join(folder, "config.json")),
        read_scores(os.path.join(folder, "scores.csv")),
    )


def _clips(rows: Sequence[Mapping[str, Any]]) -> _Clips:
    kept = [row for row in rows if row["label"] >= 0 and np.isfinite(row["score"])]
    groups = {(row["machine_type"], row["machine_id"]) for row in rows}
    folders = {os.path.dirname(row["path"]) for row in rows}
    try:
        above = os.path.commonpath(folders) if folders else ""
    except ValueError:  # absolute and relative paths
        above = ""
    keys = [
        (
            machine_name((row["machine_type"], row["machine_id"]), groups),
            os.path.relpath(row["path"], above or "."),
        )
        for row in kept
    ]
    found = sorted(zip(keys, kept, strict=True), key=lambda pair: pair[0])
    return _Clips(
        keys=tuple(key for key, _ in found),
        labels=np.array([row["label"] for _, row in found], np.int64),
        scores=np.array([row["score"] for _, row in found], np.float64),
        machines=np.array([machine for (machine, _), _ in found], dtype=object),
        recordings=np.array([recording(row) for _, row in found], dtype=object),
        types={machine: row["machine_type"] for (machine, _), row in found},
    )


def _unlike(
    first: _Clips, other: _Clips, results: Mapping[str, Any], others: Mapping[str, Any]
) -> str:
    """Why two runs' test clips are not the same; '' where they are."""
    gone, new = set(first.keys) - set(other.keys), set(other.keys) - set(first.keys)
    if gone or new:
        return f"{len(gone)} clips of the first run are not here, and {len(new)} of its own are"
    if changed := int(np.sum(first.labels != other.labels)):
        return f"{changed} clips are labelled otherwise"
    tested = [(r.get("made") or {}).get("data", {}).get("tested") for r in (results, others)]
    if None not in tested and tested[0] != tested[1]:
        return "clips of the same names are other recordings"
    return ""


def _areas(clips: _Clips, draws: int, seed: int) -> _Areas:
    """The areas; of the same clips and seed the same recordings are drawn."""
    found: _Areas = {}
    for figure, (_, limit) in FIGURES.items():
        own: dict[str, tuple[float, np.ndarray]] = {}
        for machine in clips.weights:
            at = clips.machines == machine
            labels, scores = clips.labels[at], clips.scores[at]
            drawn = drawn_areas(
                labels, scores, clips.recordings[at], max_fpr=limit, draws=draws, seed=seed
            )
            exact = metrics.auc if limit == 1.0 else metrics.pauc
            own[machine] = exact(labels, scores), drawn
        if own:
            shares = clips.weights.items()
            mean = sum(share * own[machine][0] for machine, share in shares)
            own[ALL] = float(mean), np.sum([share * own[m][1] for m, share in shares], axis=0)
        found[figure] = own
    return found


def _gaps(
    areas: Mapping[str, tuple[float, np.ndarray]], first: Mapping[str, tuple[float, np.ndarray]]
) -> dict[str, Gap]:
    """What the areas are beyond those of the first run, for the machines of both."""
    return {
        machine: Gap(
            areas[machine][0] - first[machine][0],
            percentile_interval(areas[machine][1] - first[machine][1]),
        )
        for machine in areas
        if machine in first
    }


def _differing(given: Sequence[Mapping[str, Any]], prefix: str) -> list[tuple[str, list[str]]]:
    flat = [dict(flatten(values)) for values in given]
    fields = list(dict.fromkeys(field for values in flat for field in values))
    table = [(field, [values.get(field, NONE) for values in flat]) for field in fields]
    return [
        (prefix + field, [_short(field, value) for value in values])
        for field, values in table
        if len(set(values)) > 1
    ]


def _short(field: str, value: str) -> str:
    """The value; of a folder its own name, for what lies above it is nobody's business."""
    folder = field in ("data.root", "data.cache") and os.path.isabs(value)
    return f"…/{os.path.basename(value.rstrip('/'))}" if folder else value or "''"


def _machines(members: Sequence[Member]) -> list[str]:
    """All machines that any run has figures of."""
    return list(dict.fromkeys(m for member in members for m in member.figures["auc"] if m != ALL))


def _cells(member: Member, machine: str) -> str:
    cells = []
    for figure in FIGURES:
        gap = member.gaps.get(figure, {}).get(machine)
        shown = "" if gap is None else _signed(gap)
        cells.append(f"{three(member.figures[figure].get(machine)):>6}  {shown:24}")
    return "  ".join(cells)


def _signed(gap: Gap) -> str:
    low, high = gap.interval
    return f"{gap.difference:+.3f} [{low:+.3f}, {high:+.3f}]" + (" *" if gap.sure else "")
