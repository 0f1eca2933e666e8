"""What the page shows of a supervised classifier besides: its matrix, measures and reliability."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from markupsafe import Markup

from asd_jax.report import charts, media
from asd_jax.report.contents import Classification, Report
from asd_jax.report.spectrogram import sound_palette
from asd_jax.report.summary import three
from asd_jax.report.svg import Panel
from asd_jax.scoring.classification import wilson

_TICKS = tuple((k / 4, f"{25 * k}") for k in range(5))
_NAMES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "auc": "AUC",
    "f1": "F1",
    "recall": "Recall (faults caught)",
    "precision": "Precision (alarms that are right)",
    "false_alarm_rate": "False alarm rate",
}


# What the references are called, by their names in results.json.
_REFERENCES = {
    "network_alone": "Its network alone",
    "logistic_regression": "Logistic regression on mean and deviation of the log-mel",
    "level": "Level alone",
}


def section(report: Report) -> dict[str, Any] | None:
    """All that the template needs of it; None for a detector that was trained on normals alone."""
    found = report.classification
    if found is None:
        return None
    return {
        "references": _references(found),
        "classes": class_table(found),
        "precision": precision_panel(*_labelled(report.rows)),
        "accuracy": charts.loss_panels(report.history, of="accuracy"),
        "confusion": confusion_panel(found),
        "reliability": reliability_panel(found),
        "measures": _measures(found),
        "trivial": f"{found.trivial:.3f}",
        "better": found.measures["accuracy"][1] > found.trivial,
        "loss": f"{found.loss:.4f}",
        "brier": f"{found.brier:.4f}",
        "calibration_error": f"{found.calibration_error:.3f}",
        "conditions": [(name, _measures_short(part)) for name, part in found.conditions.items()],
        "versions": found.clips > found.recordings,
        "per_bin": (report.config.get("features") or {}).get("normalise") == "per_bin",
        "found": found,
    }


def confusion_panel(found: Classification) -> Markup:
    """The confusion matrix: a row a truth, a column a decision; full colour is the whole row."""
    panel = Panel(260, 200, left=64, right=8, top=34, bottom=8, x=(0, 2), y=(0, 2))
    for row, name in enumerate(("healthy", "faulty")):
        counts = found.confusion[2 * row : 2 * row + 2]
        for column, count in enumerate(counts):
            share = count / (sum(counts) or 1)
            css = "healthy" if row == column else "faulty"
            left, right = panel.px(column) + 2, panel.px(column + 1) - 2
            top, bottom = panel.py(2 - row) + 2, panel.py(1 - row) - 2
            panel.add(
                f'<path class="bar {css}" fill-opacity="{0.08 + 0.42 * share:.3f}" '
                f'd="M{left:.1f} {top:.1f}H{right:.1f}V{bottom:.1f}H{left:.1f}z"/>'
            )
            middle, centre = (left + right) / 2, (top + bottom) / 2
            panel.text(middle, centre, str(count), anchor="middle", css="strong")
            panel.text(middle, centre + 16, f"{share:.1%}", anchor="middle", css="strong")
        panel.text(panel.left - 6, panel.py(1.5 - row) + 4, name, anchor="end")
    for column, name in enumerate(("called healthy", "called faulty")):
        panel.text(panel.px(column + 0.5), 24, name, anchor="middle")
    passed, false, missed, caught = found.confusion
    return panel.render(
        f"Confusion matrix: {passed} healthy clips called healthy, {false} called faulty; "
        f"{missed} faulty clips called healthy, {caught} called faulty."
    )


def reliability_panel(found: Classification) -> Markup:
    """Observed share of faults over the predicted probability, with an interval for each bin.

    The versions of a recording say the same once: a bin counts as so many recordings' clips.
    """
    panel = Panel(260, 236, left=54, bottom=34, right=14)
    panel.axes(
        x_ticks=_TICKS, y_ticks=_TICKS, x_label="said: probability of a fault, %",
        y_label="is: share of faults, %",
    )  # fmt: skip
    panel.line((0, 1), (0, 1), "chance")
    said = []
    for predicted, observed, count in found.reliability:
        if not count:
            continue
        alone = max(1, round(count * found.recordings / found.clips))
        low, high = wilson(observed * alone, alone)
        at = panel.px(predicted)
        panel.add(
            f'<path class="interval" d="M{at:.1f} {panel.py(low):.1f}V{panel.py(high):.1f}"/>'
        )
        panel.add(
            f'<circle class="mark" cx="{at:.1f}" cy="{panel.py(observed):.1f}" r="4">'
            f"<title>{count} clips: said {predicted:.0%}, is {observed:.0%}</title></circle>"
        )
        said.append(f"said {predicted:.0%}, is {observed:.0%} of {count}")
    return panel.render(f"Reliability of the probabilities: {'; '.join(said)}.")


def class_table(found: Classification) -> list[tuple[str, str, str, str, str]]:
    """Clips, precision, recall and F1 of each class: the class, then each as text."""
    passed, false, missed, caught = found.confusion
    rows = []
    for name, right, called, there in (
        ("healthy", passed, passed + missed, passed + false),
        ("faulty", caught, caught + false, caught + missed),
    ):
        shares = (right / called if called else None, right / there if there else None)
        f1 = 2 * right / (called + there) if called + there else None
        shown = map(three, (*shares, f1))
        rows.append((name, str(there), *shown))
    return rows


def precision_panel(
    scores: Float[np.ndarray, " clips"], labels: Int[np.ndarray, " clips"]
) -> Markup | None:
    """Precision over recall, and the share of faults that guessing has; None of one class."""
    if not ((labels == 1).any() and (labels == 0).any()):
        return None
    from sklearn import metrics

    precision, recall, _ = (part[::-1] for part in metrics.precision_recall_curve(labels, scores))
    share = float((labels == 1).mean())
    panel = Panel(260, 236, left=54, bottom=34, right=14)
    panel.axes(
        x_ticks=_TICKS, y_ticks=_TICKS, x_label="recall: faults caught, %",
        y_label="precision: alarms right, %",
    )  # fmt: skip
    panel.line((0, 1), (share, share), "chance")
    panel.line(recall[1:], precision[1:], "c0")  # the first is no threshold's
    # Davis and Goadrich (2006): a straight line between points would be too good; steps are not.
    area = metrics.average_precision_score(labels, scores)
    return panel.render(
        f"Precision over recall: average precision {area:.3f}, guessing {share:.3f}."
    )


def seen_uri(picture: Float[np.ndarray, "height width"]) -> str:
    """The network's picture, in [-1, 1] with the highest frequency on top, as a data URI."""
    low, high = float(picture.min()), float(picture.max())
    shown = (picture - low) / max(high - low, 1e-9)
    return media.png_uri(np.rint(255 * shown).astype(np.uint8), sound_palette())


def _labelled(rows: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    known = [row for row in rows if row["label"] in (0, 1) and np.isfinite(row["score"])]
    return (
        np.array([row["score"] for row in known], float),
        np.array([row["label"] for row in known], int),
    )


def _references(found: Classification) -> list[tuple[str, str, str, str]]:
    """The classifier and its references: name, AUC, interval, how far the classifier is above."""
    if not found.references:
        return []
    value, low, high = found.measures["auc"]
    rows = [("This classifier", f"{value:.3f}", f"{low:.3f} to {high:.3f}", "")]
    for name, figure in found.references.items():
        low, high = figure["auc_interval"]
        first, last = figure["above_interval"]
        above = f"{figure['above']:+.3f} ({first:+.3f} to {last:+.3f})"
        label = _REFERENCES.get(name, name)
        rows.append((label, f"{figure['auc']:.3f}", f"{low:.3f} to {high:.3f}", above))
    return rows


def _measures(found: Classification) -> list[tuple[str, str, str]]:
    rows = []
    for name, label in _NAMES.items():
        value, low, high = found.measures[name]
        interval = f"{low:.3f} to {high:.3f}" if low == low else "–"
        rows.append((label, three(value), interval))
    return rows


def _measures_short(part: Mapping[str, float]) -> list[str]:
    figures = (three(part[name]) for name in ("accuracy", "balanced_accuracy", "auc"))
    return [f"{part['clips']:.0f}", *figures]
