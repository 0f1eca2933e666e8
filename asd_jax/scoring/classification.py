"""What a classifier's decisions are worth: never the accuracy alone, never without an interval.

Host NumPy in float64. Labels are 0 normal, 1 anomalous. Clips of one recording (a MIMII recording
comes at three noise levels) stand or fall together, so intervals draw recordings, not clips.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from asd_jax.scoring import metrics
from asd_jax.scoring.metrics import Labels

Decisions = Int[np.ndarray, "clips"] | Bool[np.ndarray, "clips"]
Probabilities = Float[np.ndarray, "clips"]
Interval = tuple[float, float]


class Confusion(NamedTuple):
    """The cells of the confusion matrix, in clips."""

    normal_as_normal: int
    normal_as_anomaly: int  # false alarms
    anomaly_as_normal: int  # missed
    anomaly_as_anomaly: int  # caught


class Reliability(NamedTuple):
    """Predicted against observed, in bins of the predicted probability; NaN in an empty bin."""

    edges: Float[np.ndarray, "bins_and_1"]
    predicted: Float[np.ndarray, "bins"]  # mean probability of the bin's clips
    observed: Float[np.ndarray, "bins"]  # share of anomalies among them
    clips: Int[np.ndarray, "bins"]


class Comparison(NamedTuple):
    """One classifier against another on the same test clips."""

    difference: float  # accuracy of the first minus that of the second
    interval: Interval  # of the difference, by paired bootstrap over recordings
    only_first: int  # clips that the first alone gets right
    only_second: int
    p_value: float  # McNemar's exact test
    clips: int


def confusion(labels: Labels, decisions: Decisions) -> Confusion:
    """Counts the four kinds of clips; an element of `decisions` is true for called anomalous."""
    labels, alarm = np.asarray(labels), np.asarray(decisions).astype(bool)
    return Confusion(
        *(int(np.sum((labels == y) & (alarm == d))) for y in (0, 1) for d in (False, True))
    )


def trivial_level(labels: Labels) -> float:
    """The accuracy of calling every clip what most clips are; 89 % on the pumps of MIMII."""
    share = float(np.mean(np.asarray(labels) == 1))
    return max(share, 1.0 - share)


def measures(table: Shaped[np.ndarray, "*draws 4"]) -> dict[str, Any]:
    """Accuracy, balanced accuracy, F1, recall, precision and false alarm rate of counts.

    Args:
        table: clips (or weights) in the order of `Confusion`, along the last axis.

    Returns:
        By name, one value a draw; NaN where there was nothing to count.
    """
    passed, false, missed, caught = np.moveaxis(np.asarray(table, np.float64), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, false_alarms = caught / (caught + missed), false / (false + passed)
        return {
            "accuracy": (passed + caught) / (passed + false + missed + caught),
            "balanced_accuracy": 0.5 * (recall + 1.0 - false_alarms),
            "f1": 2 * caught / (2 * caught + false + missed),
            "recall": recall,
            "precision": caught / (caught + false),
            "false_alarm_rate": false_alarms,
        }


def wilson(right: float, clips: int, *, level: float = 0.95) -> Interval:
    """Wilson's score interval of a share, for independent clips; (NaN, NaN) of no clip."""
    if not clips:
        return math.nan, math.nan
    from scipy import stats

    z = float(stats.norm.ppf(0.5 * (1.0 + level)))
    share, scale = right / clips, 1.0 + z**2 / clips
    centre = (share + z**2 / (2 * clips)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / clips + z**2 / (4 * clips**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(
    labels: Labels,
    decisions: Decisions,
    scores: Float[np.ndarray, "clips"],
    recordings: Shaped[np.ndarray, "clips"],
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile intervals of every measure of `measures`, and of the `auc`.

    Recordings are drawn anew within each class, each with all of its clips. Where all clips of a
    class are right no draw differs; accuracy, recall, false alarm rate and balanced accuracy are
    then given at least the width of Wilson's interval for as many recordings.

    Args:
        labels: of the clips.
        decisions: true for called anomalous.
        scores: higher is more anomalous; for the AUC.
        recordings: what recording each clip comes from, any values.
        draws: of the bootstrap.
        level: of the intervals.
        seed: of the draws.
    """
    labels, alarm = np.asarray(labels), np.asarray(decisions).astype(int)
    weight, index = _draw_recordings(labels, recordings, draws, seed)
    cell = 2 * labels + alarm
    drawn = measures(weight @ _count(index, cell, weight.shape[1], 4))
    values, rank = metrics.counts_by_score(labels, np.asarray(scores, np.float64))
    counts = [
        _count(index[labels == y], rank[labels == y], weight.shape[1], len(values)) for y in (0, 1)
    ]
    drawn["auc"] = metrics.area(weight @ counts[0], weight @ counts[1])
    found = {name: _percentiles(value, level) for name, value in drawn.items()}
    recordings_of = [len(set(index[labels == y])) for y in (0, 1)]
    return found | _at_least_wilson(found, confusion(labels, alarm), recordings_of, level)


def brier(labels: Labels, probabilities: Probabilities) -> float:
    """Mean squared distance of the probability from what was the case (Brier, 1950)."""
    return float(np.mean((np.asarray(probabilities, np.float64) - np.asarray(labels)) ** 2))


def reliability(labels: Labels, probabilities: Probabilities, *, bins: int = 10) -> Reliability:
    """Predicted probability against the observed share of anomalies, in bins of equal width."""
    labels, probability = np.asarray(labels), np.asarray(probabilities, np.float64)
    edges = np.linspace(0.0, 1.0, bins + 1)
    index = np.minimum((probability * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        predicted = np.bincount(index, probability, bins) / count
        observed = np.bincount(index, labels == 1, bins) / count
    return Reliability(edges, predicted, observed, count)


def calibration_error(labels: Labels, probabilities: Probabilities, *, bins: int = 10) -> float:
    """Expected calibration error: the bins' |predicted - observed|, weighed by their clips.

    Bins are those of `reliability`, of the probability of an anomaly (not of the class called).
    """
    table = reliability(labels, probabilities, bins=bins)
    gap = np.abs(table.predicted - table.observed)
    return float(np.nansum(table.clips * gap) / np.sum(table.clips))


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p-value of McNemar's test from the clips that one alone gets right.

    Under equal skill each such clip is a toss of a coin. With no such clip it is 1.
    """
    from scipy import stats

    tosses = only_first + only_second
    return float(stats.binomtest(only_first, tosses).pvalue) if tosses else 1.0


def compare(
    labels: Labels,
    first: Decisions,
    second: Decisions,
    recordings: Shaped[np.ndarray, "clips"],
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Accuracy of `first` minus that of `second` on the same clips, with interval and test.

    McNemar's test takes the clips for independent; where one recording has several clips, the
    interval, which does not, is the one to go by.
    """
    labels = np.asarray(labels)
    right = [np.asarray(d).astype(int) == labels for d in (first, second)]
    only = int(np.sum(right[0] & ~right[1])), int(np.sum(right[1] & ~right[0]))
    weight, index = _draw_recordings(labels, recordings, draws, seed)
    gain = np.bincount(index, right[0].astype(float) - right[1], weight.shape[1])
    clips = np.bincount(index, minlength=weight.shape[1])
    drawn = (weight @ gain) / (weight @ clips)
    return Comparison(
        difference=(only[0] - only[1]) / len(labels),
        interval=_percentiles(drawn, level),
        only_first=only[0],
        only_second=only[1],
        p_value=mcnemar(*only),
        clips=len(labels),
    )


def _at_least_wilson(
    found: dict[str, Interval], table: Confusion, recordings: list[int], level: float
) -> dict[str, Interval]:
    """The intervals of shares, widened to Wilson's for so many normal and anomalous recordings."""
    values = measures(np.array(table))
    numbers = {
        "accuracy": sum(recordings),
        "recall": recordings[1],
        "false_alarm_rate": recordings[0],
    }
    wider = {}
    for name, number in numbers.items():
        low, high = wilson(float(values[name]) * number, number, level=level)
        wider[name] = (float(np.fmin(low, found[name][0])), float(np.fmax(high, found[name][1])))
    if found["balanced_accuracy"][0] == found["balanced_accuracy"][1]:
        recall, alarms = wider["recall"], wider["false_alarm_rate"]
        low, high = 0.5 * (recall[0] + 1 - alarms[1]), 0.5 * (recall[1] + 1 - alarms[0])
        wider["balanced_accuracy"] = (low, high)
    return wider


def _draw_recordings(
    labels: Labels, recordings: np.ndarray, draws: int, seed: int
) -> tuple[Float[np.ndarray, "draws recordings"], Int[np.ndarray, "clips"]]:
    """Draws recordings: how often each, and each clip's recording; a recording has one label."""
    _, index = np.unique([f"{y}:{r}" for y, r in zip(labels, recordings, strict=True)],
                         return_inverse=True)  # fmt: skip
    label = np.zeros(index.max() + 1, int)
    label[index] = labels
    rng = np.random.default_rng(seed)
    weight = np.zeros((draws, len(label)))
    for y in np.unique(label):
        own = np.flatnonzero(label == y)
        weight[:, own] = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=draws)
    return weight, index


def _count(row: np.ndarray, column: np.ndarray, rows: int, columns: int) -> np.ndarray:
    flat = np.bincount(row * columns + column, minlength=rows * columns)
    return flat.reshape(rows, columns).astype(np.float64)


def _percentiles(values: np.ndarray, level: float) -> Interval:
    values = values[np.isfinite(values)]
    if not len(values):
        return math.nan, math.nan
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(values, [tail, 100.0 - tail])
    return float(low), float(high)
