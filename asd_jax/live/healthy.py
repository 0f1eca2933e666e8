"""What counts as healthy, as it is corrected and as it drifts.

An alarm that was fine joins the healthy scores, and the threshold is fitted to them anew. The
detector's folder stays as it is: the answers lie in the history, and can be taken back. What
scores recordings beside the monitor takes them into account too.
"""

import os
import sqlite3
import threading
from collections.abc import Mapping, Sequence

import numpy as np

from asd_jax.detector import Detector
from asd_jax.errors import UserError
from asd_jax.live.history import History, answers, default_path, identity
from asd_jax.naming import machine_name
from asd_jax.scoring.threshold import METHODS, ORACLES, fit_threshold
from asd_jax.types import Group

RATE = 0.1  # wished false alarms, of a detector whose threshold was not made by such a rate
DRIFT = 25.0  # percentiles beyond the middle that the median of a day's clips must lie
LEAST = 50  # clips of a day that tell of a drift


class Healthy:
    """Holds a detector's thresholds and healthy scores to what was answered."""

    def __init__(self, detector: Detector, history: History):
        """Applies what was answered before, to the detector itself."""
        self._detector, self._history = detector, history
        self._thresholds, self._scores = detector.thresholds, detector.normal_scores
        self._mutex = threading.Lock()
        self._apply()

    def answer(self, alarm: int, *, fine: bool) -> str:
        """Notes that an alarm was fine, or takes that back; what came of it, in words.

        Raises:
            UserError: there is no such alarm of this detector.
        """
        with self._mutex:
            row = self._history.of_detector(alarm)
            machine = (row["machine_type"], row["machine_id"]) if row else None
            if not row or machine not in self._detector.groups or row["score"] is None:
                raise UserError("This alarm is of another detector, or no longer known.")
            group = self._detector.groups.index(machine)
            before = float(self._detector.thresholds[group])
            self._history.answer(alarm, fine=fine)
            self._apply()
            after = float(self._detector.thresholds[group])
        moved = f"The threshold moved from {before:.4g} to {after:.4g}."
        if after == before:
            moved = f"The threshold stays at {after:.4g}."
        if not fine:
            return moved
        if row["score"] > after:
            return f"{moved} One answer is not enough: such a sound still lies above it."
        return f"{moved} Such a sound is normal now."

    def drift(self) -> list[str]:
        """Sentences on machines whose sound has moved away from what was healthy.

        The median of a day's clips lies at the 50th percentile of the healthy ones where nothing
        has changed; few healthy clips know it only to 50 / sqrt(clips), of which three are allowed.
        """
        said = []
        groups = self._detector.groups
        for machine, (median, clips) in self._history.medians().items():
            if machine not in groups or clips < LEAST:
                continue
            healthy = len(self._detector.normal_scores[groups.index(machine)])
            limit = 50.0 + max(DRIFT, 150.0 / np.sqrt(max(healthy, 1)))
            if median >= min(limit, 97.0):
                said.append(
                    f"The sound of {machine_name(machine, groups)} drifts: half of the last day's "
                    f"{clips} clips lie above {median:.0f} % of the healthy ones. Look at the "
                    "machine and the microphone; if all is well, train it anew."
                )
        return said

    def _apply(self) -> None:
        _join(self._detector, self._thresholds, self._scores, self._history.fine())


def apply_answers(folder: str, detector: Detector) -> str:
    """Holds a detector to the answers in the monitor's history beside its folder.

    Returns:
        What came of it, a sentence; '' where there are no answers.
    """
    path = default_path(folder)
    if not os.path.exists(path):
        return ""
    try:
        fine = answers(path, identity(folder))
    except sqlite3.Error as error:
        return f"The monitor's answers to alarms in {path} don't count: {error}."
    before = np.array(detector.thresholds, np.float64)
    _join(detector, detector.thresholds, detector.normal_scores, fine)
    moved = [
        f"that of {machine_name(machine, detector.groups)} moved from {before[group]:.4g} to "
        f"{detector.thresholds[group]:.4g}"
        for group, machine in enumerate(detector.groups)
        if machine in fine
    ]
    if not moved:
        return ""
    count = sum(map(len, fine.values()))
    were = "alarm of the monitor was" if count == 1 else "alarms of the monitor were"
    return f"{count} {were} answered as fine, so of the thresholds {', '.join(moved)}."


def _join(
    detector: Detector,
    limits: np.ndarray,
    healthy: Sequence[np.ndarray],
    fine: Mapping[Group, Sequence[float]],
) -> None:
    """Gives a detector the thresholds and healthy scores that it has with those that were fine."""
    scoring = getattr(detector.config, "scoring", None)
    method = getattr(scoring, "threshold", "gamma")
    method = method if method in METHODS and method not in ORACLES else "gamma"
    rate = getattr(scoring, "false_alarm_rate", RATE) or RATE
    thresholds, scores = np.array(limits, np.float64), list(healthy)
    for group, machine in enumerate(detector.groups):
        added = fine.get(machine)
        if not added:
            continue
        joined, old = np.sort(np.append(scores[group], added)), thresholds[group]
        if len(scores[group]) and np.isfinite(old):
            # By as much as the fit moves: the threshold may be of another rate, or of more
            # machines. A single clip far out widens the fit beyond all bounds, so no more than
            # makes the highest that was fine normal; and no answer makes it stricter.
            fits = [
                fit_threshold(values, method=method, false_alarm_rate=rate)
                for values in (scores[group], joined)
            ]
            thresholds[group] = max(old, min(old + fits[1] - fits[0], max(added)))
        scores[group] = joined
    # The detector is frozen, and is what every part of the program scores with.
    object.__setattr__(detector, "thresholds", thresholds)
    object.__setattr__(detector, "normal_scores", tuple(scores))
