"""The tables of the page: machines, branches, and how the result was made."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asd_jax.naming import first_few, span
from asd_jax.report import charts
from asd_jax.report.contents import Branch, Report
from asd_jax.report.files import branch_columns
from asd_jax.report.summary import NONE, Machine, grade, group_of, name_in, percent, three
from asd_jax.scoring import metrics
from asd_jax.scoring.references import NAMES

_EXTRA = {
    "pauc": "pAUC",
    "auc_source": "AUC, source",
    "auc_target": "AUC, target",
    "recall_at_eer": "Recall at EER",  # of an oracle's threshold, as the caption says
}


def machine_table(report: Report, machines: Sequence[Machine]) -> dict[str, Any]:
    """Heads and rows of the table of machines; columns that nothing is known for are left out."""
    scored = any(m.auc is not None for m in machines)
    decided = any((m.decisions >= 0).any() for m in machines)
    has = {label: any(m.count(label) for m in machines) for label in (0, 1, -1)}
    extra = [f for f in _EXTRA if any(m.number(f) is not None for m in machines)]
    heads = ["Clips"]
    if scored:
        heads += ["AUC", *(_EXTRA[field] for field in extra)]
    if decided:
        heads += ["Faults caught"] * has[1] + ["False alarms"] * has[0] + ["Unusual"] * has[-1]
    rows = [_machine_row(m, scored, decided, has, extra) for m in machines]
    return {
        "intervals": any(m.auc is not None and m.interval() is not None for m in machines),
        "heads": [*heads, "Scores"],
        "rows": rows,
        "mean": _mean_row(report, machines, heads, extra) if len(machines) > 1 else None,
    }


def _machine_row(
    machine: Machine,
    scored: bool,
    decided: bool,
    has: Mapping[int, bool],
    extra: Sequence[str],
) -> dict[str, Any]:
    counts = [(machine.count(0), "healthy"), (machine.count(1), "faulty")]
    counts.append((machine.count(-1), "unlabelled"))
    cells = [_cell(", ".join(f"{n} {k}" for n, k in counts if n) or "none", soft=True)]
    if scored:
        cells.append(_auc_cell(machine))
        cells += [_cell(three(machine.number(field))) for field in extra]
    for label in (1, 0, -1) if decided else ():
        if has[label]:
            cells.append(_count_cell(machine, label))
    spark = charts.sparkline(machine) if len(machine.scores) else ""
    cells.append(_cell("" if spark else NONE, svg=spark))
    return {"name": machine.name, "note": grade(machine), "cells": cells}


def _cell(text: str, small: str = "", *, svg: str = "", soft: bool = False) -> dict[str, Any]:
    return {"text": text, "small": small, "svg": svg, "soft": soft}


def _auc_cell(machine: Machine) -> dict[str, Any]:
    if machine.auc is None:
        return _cell(NONE)
    interval = machine.interval()
    small = "" if interval is None else f"{interval[0]:.2f}–{interval[1]:.2f}"
    return _cell(three(machine.auc), small, svg=charts.whisker(machine))


def _count_cell(machine: Machine, label: int) -> dict[str, Any]:
    total = machine.count(label)
    if not total or machine.count(label, -1):
        return _cell(NONE)
    part = machine.count(label, 1)
    return _cell(f"{part} of {total}", percent(part / total))


def _mean_row(
    report: Report, machines: Sequence[Machine], heads: Sequence[str], extra: Sequence[str]
) -> list[str]:
    """Means over machines: as results.json has them, or else the plain mean of what is shown."""
    given = report.results.get("mean") or {}
    cells = []
    fields = {"AUC": "auc", **{_EXTRA[field]: field for field in extra}}
    for head in heads:
        if head in fields:
            field = fields[head]
            values = [m.auc if field == "auc" else m.number(field) for m in machines]
            cells.append(three(_number(given.get(field), _mean(values))))
        else:
            label = {"Faults caught": 1, "False alarms": 0, "Unusual": -1}.get(head)
            cells.append("" if label is None else _mean_rate(machines, label))
    return [*cells, ""]


def _mean_rate(machines: Sequence[Machine], label: int) -> str:
    rates = [
        m.count(label, 1) / m.count(label)
        for m in machines
        if m.count(label) and not m.count(label, -1)
    ]
    return percent(sum(rates) / len(rates)) if rates else NONE


def branch_table(report: Report, machines: Sequence[Machine]) -> list[dict[str, Any]]:
    """One row a branch: mean AUC, weight, and what was said about it."""
    told = {branch.name: branch for branch in report.branches}
    columns = [column.removeprefix("score_") for column in branch_columns(report.rows)]
    rows = []
    for name in dict.fromkeys([*told, *columns]):
        branch = told.get(name, Branch(name))
        aucs = [branch_auc(machine, name) for machine in machines]
        rows.append(
            {
                "name": name,
                "auc": three(_mean(aucs)),
                "weight": NONE if branch.weight is None else f"{branch.weight:.2f}",
                "gated": branch.gated,
                "reason": branch.reason,
                "each": [three(auc) for auc in aucs],
            }
        )
    return rows


def branch_auc(machine: Machine, name: str) -> float | None:
    """The AUC of one branch's own scores on one machine; None when it can't be told."""
    scores = np.array(
        [np.nan if (v := row.get(f"score_{name}")) is None else v for row in machine.rows],
        np.float64,
    )
    known = (machine.labels >= 0) & np.isfinite(scores)
    labels = machine.labels[known]
    if not ((labels == 0).any() and (labels == 1).any()):
        return None
    return metrics.auc(labels, scores[known])


def reference_table(report: Report) -> list[tuple[str, str]]:
    """Name and mean AUC of the score and of each simple reference; [] where nothing is labelled."""
    total = (report.results.get("mean") or {}).get("auc")
    found: Mapping[str, float | None] = report.results.get("references") or {}
    if report.classification is not None or total is None or not any(found.values()):
        return []
    rows = {"this detector": total} | {NAMES.get(name, name): auc for name, auc in found.items()}
    return [(name, "" if auc is None else f"{auc:.3f}") for name, auc in rows.items()]


def head(report: Report) -> list[str]:
    """Which run this is: its name, date, recordings, machines, and what it was made on."""
    made = report.results.get("made") or {}
    if not made:
        return []
    data = made["data"]
    groups = list(dict.fromkeys(group_of(row) for row in report.rows))
    machines = [name_in(report, group) for group in groups]
    return [
        f"Run {made['run']}",
        made["date"][:16].replace("T", " ") + " UTC",
        f"{data['name']}, {data['clips']} clips",
        *([first_few(machines, 4)] if machines else []),
        f"asd_jax {report.version} on {made['devices']}",
    ]


def facts(report: Report) -> list[tuple[str, str]]:
    """How the result was made, as (what, value)."""
    found = [("Version", f"asd_jax {report.version}".strip() if report.version else "")]
    protocol = report.results.get("protocol") or {}
    told = {k: v for k, v in protocol.items() if k not in ("deviations", "readings")}
    found += [(f"Protocol: {k}", v) for k, v in flatten(told)]
    # These have their own place on the page, or stand in results.json for programs.
    shown = (
        "protocol",
        "groups",
        "mean",
        "timing",
        "notes",
        "verdict",
        "weights",
        "classification",
    )
    shown += ("branches", "incomplete", "learned", "references")
    shown += ("version" if report.version else "",)
    rest = {k: v for k, v in report.results.items() if k not in shown}
    if versions := (rest.get("made") or {}).get("versions"):
        versions = ", ".join(f"{name} {version}" for name, version in versions.items())
        rest["made"] = {**rest["made"], "versions": versions}
    found += [(k.capitalize() if "." not in k else k, v) for k, v in flatten(rest)]
    found += _means(report.results.get("mean") or {})
    return [(what, value) for what, value in found if value]


def _means(mean: Mapping) -> list[tuple[str, str]]:
    """Official scores, of both sets of machines apart where both are there, and AUC by SNR."""
    sets = mean.get("official_sets") or {"": mean.get("official") or {}}
    found = [
        (f"DCASE {year} score" + (f", {name} machines" if name else ""), three(_number(v, None)))
        for name, official in sets.items()
        for year, v in official.items()
    ]
    levels = (mean.get("by_snr") or {}).items()
    shown = [(f"Mean AUC at {k} dB", three(_number(v.get("auc"), None))) for k, v in levels]
    return [*found, *shown]


def departures(report: Report) -> list[tuple[str, list[str]]]:
    """(heading, sentences) on where the run departs from the paper, and how it reads it."""
    protocol = report.results.get("protocol") or {}
    told = [
        ("Where this run departs from the paper", protocol.get("deviations")),
        ("Where the paper leaves it open, and what was taken", protocol.get("readings")),
    ]
    return [(heading, list(sentences)) for heading, sentences in told if sentences]


def timing(report: Report) -> list[tuple[str, str]]:
    """How long each part took."""
    return [(name, duration(value)) for name, value in (report.results.get("timing") or {}).items()]


def duration(seconds: float) -> str:
    """A time span in the unit that a person would use."""
    if not np.isfinite(seconds):
        return NONE
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return span(seconds)


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """(dotted name, value as text) of a nested mapping."""
    found = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += flatten(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", _text(value)))
    return found


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_text(v) for v in value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def _number(value: Any, otherwise: float | None) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
    return float(value) if good else otherwise
