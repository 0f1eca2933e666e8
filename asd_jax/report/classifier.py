"""What the page shows of a supervised classifier besides: its matrix, measures and reliability."""

from typing import Any

from markupsafe import Markup

from asd_jax.report.contents import Classification
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


def section(found: Classification | None) -> dict[str, Any] | None:
    """All that the template needs of it; None for a detector that was trained on normals alone."""
    if found is None:
        return None
    return {
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
    """Observed share of faults over the predicted probability, with an interval for each bin."""
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
        low, high = wilson(round(observed * count), count)
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


def _measures(found: Classification) -> list[tuple[str, str, str]]:
    rows = []
    for name, label in _NAMES.items():
        value, low, high = found.measures[name]
        interval = f"{low:.3f} to {high:.3f}" if low == low else "–"
        rows.append((label, f"{value:.3f}" if value == value else "–", interval))
    return rows


def _measures_short(part: dict[str, float]) -> list[str]:
    return [
        f"{part['clips']:.0f}",
        *(
            f"{part[name]:.3f}" if part[name] == part[name] else "–"
            for name in ("accuracy", "balanced_accuracy", "auc")
        ),
    ]
