"""One detector against another: over the clips of a test, and over the seeds of a training.

Host NumPy in float64. The two answer different questions. Over clips: would the same trained
networks differ as much on other recordings of the same machines? Over seeds: would networks trained
anew differ as much on the same recordings? A difference worth believing survives both.
"""

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from asd_jax.scoring import metrics
from asd_jax.scoring.metrics import Labels

ClipScores = Float[np.ndarray, "clips"]
Names = Shaped[np.ndarray, "clips"]
_NOTHING = 1e-12  # of figures around 1: rounding, no variation


class AreaComparison(NamedTuple):
    """A mean AUC against another on the same clips; NaN where the clips cannot say."""

    difference: float
    interval: tuple[float, float]
    p_value: float
    recordings: int


class SeedComparison(NamedTuple):
    """A figure against another, seed by seed; NaN with fewer than two seeds."""

    difference: float
    interval: tuple[float, float]
    p_value: float
    seeds: int


def compare_areas(
    labels: Labels,
    first: ClipScores,
    second: ClipScores,
    recordings: Names,
    strata: Names,
    weights: Mapping[str, float],
    *,
    level: float = 0.95,
) -> AreaComparison:
    """A weighted mean of AUCs of `first` minus that of `second`, on the same clips.

    The variance is that of DeLong, DeLong and Clarke-Pearson (1988), with everything that a
    recording contributes, in all its clips and strata, added up before it is squared, as Obuchowski
    (1997) does for clustered data. So neither the versions of a recording nor the seeds that score
    it count as evidence of their own. Each clip in one stratum and in a recording of its own gives
    DeLong's test.

    Args:
        labels: 0 normal, 1 anomalous; both in each stratum.
        first: higher is more anomalous.
        second: of the other detector, in the same order.
        recordings: what recording each clip comes from.
        strata: what AUC each clip belongs to, such as a machine with one seed.
        weights: of each stratum's AUC; they sum to 1.
        level: of the interval.
    """
    labels, names = np.asarray(labels), np.asarray(strata)
    _, index = np.unique(np.asarray(recordings), return_inverse=True)
    difference, share = 0.0, np.zeros(len(labels))
    for name, weight in weights.items():
        own = names == name
        gain = metrics.auc(labels[own], first[own]) - metrics.auc(labels[own], second[own])
        placed = placements(labels[own], first[own]) - placements(labels[own], second[own])
        difference += weight * gain
        share[own] = weight * _shares(labels[own], placed - gain, index[own])
    deviation = math.sqrt(np.sum(np.bincount(index, share) ** 2))
    interval, p_value = _normal(difference, deviation, level)
    return AreaComparison(difference, interval, p_value, len(set(index)))


def stratum_weights(
    labels: Labels, strata: Names, kinds: Mapping[str, tuple[str, str]]
) -> dict[str, float]:
    """The share of each stratum with both classes: alike in a type, types alike, seeds alike.

    Args:
        labels: of the clips.
        strata: of the clips.
        kinds: the seed and the machine type of each stratum.
    """
    whole = [name for name in kinds if len(set(labels[strata == name])) == 2]
    within = [kinds[name] for name in whole]
    types = {seed: len({kind for s, kind in within if s == seed}) for seed, _ in within}
    return {
        name: 1 / (len(types) * types[kinds[name][0]] * within.count(kinds[name])) for name in whole
    }


def recording(row: Mapping[str, Any]) -> str:
    """What recording a row of scores.csv is of.

    Versions at other noise levels lie in other upper folders.
    """
    below = row["path"].partition("#")[0].replace(os.sep, "/").split("/")[-3:]
    return "/".join([row["machine_type"], row["machine_id"], *below])


def placements(labels: Labels, scores: ClipScores) -> Float[np.ndarray, "clips"]:
    """Each clip's share of clips of the other class that it lies on the right side of.

    The mean over the clips of either class is the AUC; ties count one half.
    """
    scores, found = np.asarray(scores, np.float64), np.zeros(len(labels))
    for label in (0, 1):
        own, other = labels == label, np.sort(scores[labels != label])
        below = np.searchsorted(other, scores[own], side="left")
        up_to = np.searchsorted(other, scores[own], side="right")
        share = (below + up_to) / (2 * max(1, len(other)))
        found[own] = share if label else 1.0 - share
    return found


def compare_seeds(
    first: Sequence[float], second: Sequence[float], *, level: float = 0.95
) -> SeedComparison:
    """The mean difference of figures of the same seeds, by the paired t-test."""
    from scipy import stats

    apart = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    seeds, mean = len(apart), float(np.mean(apart)) if len(apart) else math.nan
    if seeds < 2:
        return SeedComparison(mean, (math.nan, math.nan), math.nan, seeds)
    deviation = float(np.std(apart, ddof=1)) / math.sqrt(seeds)
    half = float(stats.t.ppf(0.5 * (1.0 + level), seeds - 1)) * deviation
    p_value = _certain(mean)
    if deviation > _NOTHING:
        p_value = float(2.0 * stats.t.sf(abs(mean) / deviation, seeds - 1))
    return SeedComparison(mean, (mean - half, mean + half), p_value, seeds)


def _shares(labels: Labels, apart: ClipScores, index: Int[np.ndarray, "clips"]) -> ClipScores:
    """Returns each clip's share of the error of a stratum's difference; NaN of one recording."""
    share = np.zeros(len(labels))
    for label in (0, 1):
        own = labels == label
        count = len(set(index[own]))
        widened = math.sqrt(count / (count - 1)) if count > 1 else math.nan
        share[own] = apart[own] / max(1, own.sum()) * widened
    return share


def _normal(value: float, deviation: float, level: float) -> tuple[tuple[float, float], float]:
    from scipy import stats

    half = float(stats.norm.ppf(0.5 * (1.0 + level))) * deviation
    p_value = _certain(value)
    if not deviation <= _NOTHING:  # NaN is something: that nothing is known
        p_value = float(2.0 * stats.norm.sf(abs(value) / deviation))
    return (value - half, value + half), p_value


def _certain(value: float) -> float:
    """The p-value where nothing varies: 1 for no difference, else none can be given."""
    return 1.0 if abs(value) <= _NOTHING else math.nan
