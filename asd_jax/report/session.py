"""Recordings scored by a finished detector: what came out, and when, machine by machine."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from asd_jax.report import curves
from asd_jax.report.contents import Report
from asd_jax.report.summary import Machine
from asd_jax.report.svg import Panel, dots, number, triangles
from asd_jax.report.why import place
from asd_jax.scoring.threshold import tail_words

_HEADS = ("Recorded", "Score", "Threshold", "Healthy clips as high", "Departs most")
_LISTED = 20  # anomalous clips of a machine
_STEPS = (1, 5, 15, 60, 300, 900, 3600, 10800, 21600, 43200, 86400)  # s between ticks of time
_STEPS += tuple(86400 * days for days in (2, 7, 14, 30, 90, 365))
_TICKS = 7

Times = Mapping[str, datetime.datetime]


def section(report: Report, machines: Sequence[Machine]) -> dict[str, Any] | None:
    """The time line and the anomalous clips of each machine; None of a run's own report."""
    if report.session is None:
        return None
    times = report.session.times
    return {"machines": [_machine(machine, times) for machine in machines if len(machine.scores)]}


def _machine(machine: Machine, times: Times) -> dict[str, Any]:
    over = np.flatnonzero(machine.decisions == 1)
    order = over[np.argsort(-machine.scores[over], kind="stable")]
    listed = [(machine.rows[k]["path"], _cells(machine.rows[k], times)) for k in order[:_LISTED]]
    return {
        "name": machine.name,
        "sentence": f"{len(over)} of {len(machine.scores)} clips are anomalous."
        if (machine.decisions >= 0).any()
        else "There is no threshold, so nothing was decided.",
        "svg": timeline(machine, times),
        "heads": _HEADS,
        "rows": listed,
        "more": len(order) - len(listed),
    }


def _cells(row: Mapping[str, Any], times: Times) -> list[str]:
    time = times.get(row["path"])
    when = "–" if time is None else f"{time:%Y-%m-%d %H:%M:%S}"
    limit = float(row["threshold"])
    rare = tail_words(row.get("tail"), row.get("healthy_clips"), short=True)
    return [when, number(float(row["score"])), number(limit), rare or "–", place(row) or "–"]


def timeline(machine: Machine, times: Times) -> Markup:
    """Scores of one machine by the time of recording, or by name where none is known."""
    known = [times.get(row["path"]) for row in machine.rows]
    dated = np.array([np.nan if t is None else _seconds(t) for t in known])
    timed = bool(np.isfinite(dated).all()) and np.ptp(dated) > 0
    x = dated if timed else np.argsort(np.argsort([row["path"] for row in machine.rows])) + 1.0
    axis = curves.ScoreAxis.fit(machine.scores, machine.labels, threshold=machine.threshold)
    margin = 0.03 * max(float(np.ptp(x)), 1.0)
    panel = Panel(720, 210, x=(x.min() - margin, x.max() + margin), y=(-0.06, 1.06), left=58)
    panel.axes(
        x_ticks=time_ticks(x.min(), x.max()) if timed else (),
        y_ticks=[(float(axis.place(v)), number(v)) for v in axis.ticks()],
        y_label="score",
        x_label="time of recording" if timed else "recordings in the order of their names",
    )
    if machine.threshold is not None:
        height = panel.py(float(axis.place(machine.threshold)))
        right = panel.width - panel.right
        panel.add(f'<path class="threshold" d="M{panel.left} {height:.1f}H{right}"/>')
    y = axis.place(machine.scores)
    for row, decision, a, b in zip(machine.rows, machine.decisions, x, y, strict=True):
        panel.add(_mark(row, int(decision), panel.px(a), panel.py(float(b))))
    over = int((machine.decisions == 1).sum())
    return panel.render(
        f"Scores of {machine.name} over time: {over} of {len(machine.rows)} clips are anomalous."
    )


def _mark(row: Mapping[str, Any], decision: int, x: float, y: float) -> str:
    title = f"<title>{escape(row['path'])}: {number(float(row['score']))}</title>"
    if row.get("label") == 1:
        return f'<path class="tri faulty" d="{triangles([(x, y)], 4.5)}">{title}</path>'
    css = "healthy" if row.get("label") == 0 else "over" if decision == 1 else "unknown"
    return f'<path class="dots {css}" style="stroke-width:7" d="{dots([(x, y)])}">{title}</path>'


def time_ticks(first: float, last: float) -> list[tuple[float, str]]:
    """Round times of the clock or calendar between two, in seconds since 1970, and their names."""
    step = next((s for s in _STEPS if (last - first) / s <= _TICKS), _STEPS[-1])
    start = int(np.ceil(first / step)) * step
    shape = "%d %b %Y" if step >= 86400 else "%d %b %H:%M" if last - first > 86400 else "%H:%M"
    shape = "%H:%M:%S" if step < 60 else shape
    epoch = datetime.datetime(1970, 1, 1)
    values = np.arange(start, last + 1e-9, step)
    return [
        (float(v), (epoch + datetime.timedelta(seconds=float(v))).strftime(shape)) for v in values
    ]


def _seconds(time: datetime.datetime) -> float:
    return (time - datetime.datetime(1970, 1, 1)).total_seconds()
