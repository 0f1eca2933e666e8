"""ROC, FAR-FRR, score histograms, loss curves and the small pictures in the table."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from asd_jax.report import curves
from asd_jax.report.summary import Machine
from asd_jax.report.svg import Panel, number
from asd_jax.scoring.metrics import roc_curve

DASHES = ("", "6 3", "2 3", "9 3 2 3")
_RATES = tuple((k / 4, f"{25 * k}") for k in range(5))
_KINDS = ((0, "healthy", 1), (-1, "unknown", 1), (1, "faulty", -1))


def roc_panel(machines: Sequence[Machine]) -> Markup:
    """ROC curves of up to eight machines, one line each, with the promise of chance."""
    panel = Panel(260, 236, left=54, bottom=34, right=14)
    panel.axes(
        x_ticks=_RATES, y_ticks=_RATES, x_label="false alarms, %", y_label="faults caught, %"
    )
    panel.rect((0.0, 0.1), (0.0, 1.0), "shade")
    panel.line((0, 1), (0, 1), "chance")
    for index, machine in enumerate(machines):
        scores, labels = machine.labelled
        x, y, _ = roc_curve(labels, scores)
        tip = f"{machine.name}: AUC {machine.auc:.3f}"
        panel.line(x, y, f"c{index % 8}", tip=tip, dash=DASHES[index % 4])
    named = ", ".join(f"{m.name} AUC {m.auc:.3f}" for m in machines)
    return panel.render(f"ROC curves. {named}.")


def key(index: int) -> Markup:
    """A short piece of the line that `roc_panel` draws for its machine number `index`."""
    dash = DASHES[index % 4]
    style = f' stroke-dasharray="{dash}"' if dash else ""
    return Markup(
        f'<svg class="key" viewBox="0 0 26 8" aria-hidden="true">'
        f'<path class="line c{index % 8}"{style} d="M1 4H25"/></svg>'
    )


def far_frr_panel(machine: Machine) -> Markup:
    """False alarms and missed faults of one machine over a threshold from 0 to 1."""
    scores, labels = machine.labelled
    axis = curves.ScoreAxis.fit(scores, labels, threshold=machine.threshold)
    rates = curves.error_rates(scores, labels, axis)
    panel = Panel(260, 180, left=46, bottom=34, top=14)
    panel.axes(
        x_ticks=[(k / 4, f"{k / 4:g}") for k in range(5)],
        y_ticks=_RATES,
        x_label="threshold, normalised",
        y_label="clips, %",
    )
    panel.line(rates.position, rates.frr, "healthy", tip="false alarms (FRR)", dash="6 3")
    panel.line(rates.position, rates.far, "faulty", tip="missed faults (FAR)")
    where, rate = rates.crossing
    panel.add(f'<circle class="mark" cx="{panel.px(where):.1f}" cy="{panel.py(rate):.1f}" r="4"/>')
    anchor, shift = ("end", -8) if where > 0.6 else ("start", 8)
    panel.text(
        panel.px(where) + shift,
        panel.py(rate) - 6,
        f"EER {100 * rate:.0f} %",
        anchor=anchor,
        css="strong halo",
    )
    if machine.threshold is not None:
        panel.vertical(float(axis.place(machine.threshold)), "threshold", top=8)
    return panel.render(
        f"FAR-FRR curve of {machine.name}: missed faults and false alarms are equal at "
        f"{100 * rate:.1f} %."
    )


def histogram_panel(machine: Machine) -> Markup:
    """Scores of one machine: healthy and unlabelled clips upwards, faulty ones downwards."""
    axis = curves.ScoreAxis.fit(machine.scores, machine.labels, threshold=machine.threshold)
    panel = Panel(260, 170, left=12, bottom=34, top=14)
    tallest = _bars(panel, machine, axis, bins=28)
    panel.axes(
        x_ticks=[(float(axis.place(v)), number(v)) for v in axis.ticks()],
        x_label="score" + (" (long tail compressed)" if axis.compressed else ""),
    )
    panel.add(
        f'<path class="axis" d="M{panel.left} {panel.py(0):.1f}H{panel.width - panel.right}"/>'
    )
    if machine.threshold is not None:
        panel.vertical(float(axis.place(machine.threshold)), "threshold", top=4)
    counts = ", ".join(
        f"{machine.count(label)} {kind if label >= 0 else 'unlabelled'}"
        for label, kind, _ in _KINDS
        if machine.count(label)
    )
    limit = "" if machine.threshold is None else f", threshold {number(machine.threshold)}"
    return panel.render(f"Scores of {machine.name}: {counts} clips{limit}; tallest bar {tallest}.")


def sparkline(machine: Machine) -> Markup:
    """The score histogram small enough for a table cell."""
    axis = curves.ScoreAxis.fit(machine.scores, machine.labels, threshold=machine.threshold)
    panel = Panel(120, 34, left=1, right=1, top=1, bottom=1)
    _bars(panel, machine, axis, bins=24)
    if machine.threshold is not None:
        panel.vertical(float(axis.place(machine.threshold)), "threshold")
    return panel.render(f"Scores of {machine.name}", css="spark")


def _bars(panel: Panel, machine: Machine, axis: curves.ScoreAxis, bins: int) -> int:
    """Draws the mirrored bars, sets the panel's y range, and returns the tallest count."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(axis.place(machine.scores), 0.0, 1.0)
    counts = {k: np.histogram(place[machine.labels == k], edges)[0] for k, _, _ in _KINDS}
    up, down = counts[0] + counts[-1], counts[1]
    # Each side has its own scale: a few faults among many healthy clips must stay visible.
    tallest_up, tallest_down = int(up.max(initial=0)), int(down.max(initial=0))
    panel.y = (-1.0 if tallest_down else 0.0, 1.0 if tallest_up else 0.0)
    for label, kind, sign in _KINDS:
        scale = (tallest_up if sign > 0 else tallest_down) or 1
        base = counts[0] if label == -1 else np.zeros(bins)
        shapes = []
        for k in np.flatnonzero(counts[label]):
            left, right = panel.px(edges[k]) + 0.4, panel.px(edges[k + 1]) - 0.4
            low = panel.py(sign * base[k] / scale)
            high = panel.py(sign * (base[k] + counts[label][k]) / scale)
            if abs(high - low) < 1.5:  # one clip among hundreds must not vanish
                high = low - sign * 1.5
            shapes.append(f"M{left:.1f} {low:.1f}V{high:.1f}H{right:.1f}V{low:.1f}z")
        if shapes:
            panel.add(f'<path class="bar {kind}" d="{"".join(shapes)}"/>')
    return max(tallest_up, tallest_down)


def whisker(machine: Machine, *, low: float = 0.3) -> Markup:
    """The AUC as a dot with its confidence interval on a line from `low` to 1."""
    auc = float("nan") if machine.auc is None else machine.auc
    panel = Panel(96, 18, x=(low, 1.0), left=4, right=4, top=0, bottom=0)
    panel.add(f'<path class="grid" d="M4 9H92M{panel.px(0.5):.1f} 3v12M92 3v12"/>')
    interval = machine.interval()
    if interval is not None:
        left, right = (panel.px(min(max(v, low), 1.0)) for v in interval)
        panel.add(f'<path class="interval" d="M{left:.1f} 9H{right:.1f}"/>')
    at = panel.px(min(max(auc, low), 1.0))
    panel.add(f'<circle class="mark" cx="{at:.1f}" cy="9" r="4.5"/>')
    return panel.render(f"AUC {auc:.3f} on a line from {low:g} to 1", css="whisker")


def waffle(total: int, part: int, css: str, label: str) -> Markup:
    """One dot a clip, `part` of them filled; more than 200 clips are drawn as 100 dots."""
    if total > 200:
        shown = round(100 * part / total)
        shown = min(max(shown, int(part > 0)), 100 - int(part < total))  # never hide the rest
        total, part = 100, shown
    columns = 10 if total <= 30 else 20
    step, rows = 12, math.ceil(total / columns)
    panel = Panel(columns * step, rows * step)
    full, hollow = [], []
    for k in range(total):
        x, y = step / 2 + step * (k % columns), step / 2 + step * (k // columns)
        shape = full if k < part else hollow
        radius = 4.4 if k < part else 3.8
        shape.append(
            f"M{x - radius:g} {y:g}a{radius} {radius} 0 1 0 {2 * radius:g} 0"
            f"a{radius} {radius} 0 1 0 {-2 * radius:g} 0z"
        )
    for shape, kind in ((full, css), (hollow, f"hollow {css}")):
        if shape:
            panel.add(f'<path class="dot {kind}" d="{"".join(shape)}"/>')
    return panel.render(label, css="waffle")


def loss_panels(
    history: Sequence[Mapping[str, Any]], *, of: str = "loss"
) -> list[tuple[str, Markup]]:
    """(stage, drawing) of every training stage that logged a finite loss at least twice.

    Args:
        history: the events of metrics.jsonl.
        of: what is drawn: every value whose name holds this word, such as 'accuracy'.
    """
    stages: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for place, event in enumerate(history):
        step = event.get("step")
        for name, value in event.items():
            number_given = isinstance(value, int | float) and not isinstance(value, bool)
            if of in name and number_given and math.isfinite(value):
                lines = stages.setdefault(str(event.get("stage", "training")), {})
                at = float(place if step is None else step)
                lines.setdefault(name, []).append((at, float(value)))
    return [
        (stage, _loss_panel(stage, drawn, of))
        for stage, lines in stages.items()
        if (drawn := {n: v for n, v in list(lines.items())[:4] if len(v) > 1})
    ]


def _loss_panel(stage: str, lines: Mapping[str, list[tuple[float, float]]], of: str) -> Markup:
    values = np.array([v for line in lines.values() for _, v in line])
    last = max(step for line in lines.values() for step, _ in line)
    # Three powers of ten on a straight axis would be one flat line.
    wide = values.min() > 0 and values.max() / values.min() > 300
    bend = np.log10 if wide else np.asarray
    low, high = float(bend(values.min())), float(bend(values.max()))
    if high <= low:
        low, high = low - 0.5, high + 0.5
    panel = Panel(260, 170, x=(0.0, max(last, 1.0)), y=(low, high), left=44, bottom=34)
    ticks = curves.nice_ticks(low, high, 4)
    panel.axes(
        x_ticks=[(v, number(v)) for v in curves.nice_ticks(0.0, max(last, 1.0), 4)],
        y_ticks=[(v, number(10.0**v if wide else v)) for v in ticks],
        x_label="step",
    )
    for index, (name, line) in enumerate(lines.items()):
        every = max(1, math.ceil(len(line) / 200))
        thin = [*line[:-1:every], line[-1]]
        panel.line(
            [s for s, _ in thin],
            [float(bend(v)) for _, v in thin],
            f"c{index}",
            tip=name,
            dash=DASHES[index % 4],
        )
        panel.text(
            panel.width - panel.right,
            panel.top + 8 + 13 * index,
            name.replace("_", " "),
            anchor="end",
            css=f"halo fill{index}",
        )
    first, final = next(iter(lines.values()))[0][1], next(iter(lines.values()))[-1][1]
    return panel.render(
        f"{of.capitalize()} of stage {stage}: from {number(first)} to {number(final)}."
    )
