"""How well scores tell anomalies from normals: ROC areas, error rates, decisions.

Host NumPy in float64. Labels are 0 normal, 1 anomalous, -1 unknown; unknown clips are left out.
With clips of one class only every figure is NaN, never an exception.

FRR and FAR are in the words of Liao et al. (Appl. Sci. 2025, section 3.3): a false rejection is a
normal clip called anomalous, a false acceptance an anomalous clip called normal.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from asd_jax.errors import UserError

Labels = Int[np.ndarray, "clips"]  # 0 normal, 1 anomalous


class RocCurve(NamedTuple):
    """Points of the ROC from (0, 0) to (1, 1), one for each distinct score and the start."""

    false_positive_rate: Float[np.ndarray, "points"]
    true_positive_rate: Float[np.ndarray, "points"]
    thresholds: Float[np.ndarray, "points"]  # a clip is called anomalous from this score on


def known(
    labels: Int[np.ndarray, "clips"], scores: Float[np.ndarray, "clips"]
) -> tuple[Int[np.ndarray, "known"], Float[np.ndarray, "known"]]:
    """Drops clips of unknown label (-1); raises UserError for a score that is not a number."""
    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    if labels.shape != scores.shape:
        raise UserError(f"There are {labels.size} labels for {scores.size} scores; give one each.")
    keep = labels >= 0
    if np.isnan(scores[keep]).any():
        first = int(np.flatnonzero(keep & np.isnan(scores))[0])
        raise UserError(f"The score of clip {first} is not a number; mend it before evaluating.")
    return labels[keep], scores[keep]


def counts_by_score(
    labels: Int[np.ndarray, "clips"], scores: Float[np.ndarray, "clips"]
) -> tuple[Float[np.ndarray, "values"], Int[np.ndarray, "clips"]]:
    """The distinct scores, largest first, and for each clip the index of its own."""
    values, index = np.unique(-scores, return_inverse=True)
    return -values, index.reshape(labels.shape)


def area(
    false_alarms: Float[np.ndarray, "*draws values"],
    hits: Float[np.ndarray, "*draws values"],
    max_fpr: float = 1.0,
) -> Float[np.ndarray, "*draws"]:
    """Area under the ROC up to `max_fpr`, from clip counts at each distinct score.

    Args:
        false_alarms: normal clips at each score, largest score first; may be weights.
        hits: anomalous clips at each score.
        max_fpr: p; the curve is interpolated linearly there. With p = 1 the area is the
            Mann-Whitney statistic with ties at one half.

    Returns:
        The raw area, in [0, max_fpr]; NaN where a class has no clip.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        fpr = np.cumsum(false_alarms, -1) / np.sum(false_alarms, -1, keepdims=True)
        tpr = np.cumsum(hits, -1) / np.sum(hits, -1, keepdims=True)
    start = np.zeros_like(fpr[..., :1])
    left, low = (
        np.concatenate([start, fpr[..., :-1]], -1),
        np.concatenate([start, tpr[..., :-1]], -1),
    )
    step = fpr - left
    width = np.clip(max_fpr - left, 0.0, step)
    share = np.divide(width, step, out=np.zeros_like(step), where=step > 0)
    return np.asarray(np.sum(width * (low + 0.5 * share * (tpr - low)), -1))


def raw_area(
    labels: Int[np.ndarray, "clips"], scores: Float[np.ndarray, "clips"], max_fpr: float = 1.0
) -> float:
    """Area under the ROC up to `max_fpr`, NaN with one class only."""
    labels, scores = known(labels, scores)
    if not (np.any(labels == 0) and np.any(labels == 1)):
        return float("nan")
    values, index = counts_by_score(labels, scores)
    normal = np.bincount(index[labels == 0], minlength=len(values)).astype(np.float64)
    anomaly = np.bincount(index[labels == 1], minlength=len(values)).astype(np.float64)
    return float(area(normal, anomaly, max_fpr))


def auc(labels: Int[np.ndarray, "clips"], scores: Float[np.ndarray, "clips"]) -> float:
    """Chance that an anomalous clip scores above a normal one, ties counted one half.

    Equals the Mann-Whitney U over both counts and `sklearn.metrics.roc_auc_score`.
    """
    return raw_area(labels, scores)


def mcclish(raw: Any, max_fpr: float) -> Any:
    """Rescales a raw partial area, or arrays of it: chance is 0.5, the best 1 (McClish, 1989)."""
    chance = 0.5 * max_fpr**2
    return 0.5 * (1.0 + (raw - chance) / (max_fpr - chance))


def pauc(
    labels: Int[np.ndarray, "clips"],
    scores: Float[np.ndarray, "clips"],
    *,
    max_fpr: float = 0.1,
    raw: bool = False,
) -> float:
    """Partial AUC over false positive rates up to p = `max_fpr`.

    McClish's, as the challenges report it (`roc_auc_score(max_fpr=p)`); with `raw` the area over
    p, whose chance level is p / 2.
    """
    value = raw_area(labels, scores, max_fpr)
    return value / max_fpr if raw else mcclish(value, max_fpr)


def roc_curve(labels: Int[np.ndarray, "clips"], scores: Float[np.ndarray, "clips"]) -> RocCurve:
    """The ROC with a point for each distinct score; one point of NaN with one class only."""
    from sklearn import metrics

    labels, scores = known(labels, scores)
    if len(np.unique(labels)) < 2:
        return RocCurve(*np.full((3, 1), np.nan))
    return RocCurve(*metrics.roc_curve(labels, scores, drop_intermediate=False))


def eer(
    labels: Int[np.ndarray, "clips"], scores: Float[np.ndarray, "clips"]
) -> tuple[float, float]:
    """Equal error rate and the threshold where FAR = FRR, both on the interpolated ROC.

    The threshold knows the labels: it is an oracle, to report and never to deploy.
    """
    curve = roc_curve(labels, scores)
    gap = (
        1.0 - curve.true_positive_rate - curve.false_positive_rate
    )  # FAR - FRR, falls from 1 to -1
    if np.isnan(gap).any():
        return float("nan"), float("nan")
    last = int(np.argmax(gap <= 0.0))
    share = gap[last - 1] / (gap[last - 1] - gap[last])
    fpr, thresholds = curve.false_positive_rate, curve.thresholds
    rate = fpr[last - 1] + share * (fpr[last] - fpr[last - 1])
    above = thresholds[last] if last == 1 else thresholds[last - 1]
    return float(rate), float(above + share * (thresholds[last] - above))


# Draws times distinct scores held at once: 8 million float64, 64 MB.
CHUNK = 8_000_000


def bootstrap(
    labels: Int[np.ndarray, "clips"],
    scores: Float[np.ndarray, "clips"],
    *,
    max_fpr: float = 1.0,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of the AUC (or, with max_fpr < 1, the McClish pAUC) by bootstrap.

    Clips are drawn anew within each class, so that the class sizes stay. An AUC of 1 has the
    interval (1, 1) whatever the number of clips: read it with that number.

    Returns:
        (low, high); NaN with one class only.
    """
    labels, scores = known(labels, scores)
    if not (np.any(labels == 0) and np.any(labels == 1)):
        return float("nan"), float("nan")
    clips = np.arange(len(labels))
    areas = drawn_areas(labels, scores, clips, max_fpr=max_fpr, draws=draws, seed=seed)
    return percentile_interval(areas, level)


def drawn_areas(
    labels: Int[np.ndarray, "clips"],
    scores: Float[np.ndarray, "clips"],
    recordings: Shaped[np.ndarray, "clips"],
    *,
    max_fpr: float = 1.0,
    draws: int = 1000,
    seed: int = 0,
) -> Float[np.ndarray, "draws"]:
    """The AUC (or, with max_fpr < 1, the McClish pAUC) of so many bootstrap samples.

    Recordings are drawn anew within each class, each with all its clips. What is drawn depends on
    labels, recordings and seed alone: of two detectors' scores of the same clips, the areas less
    each other are the paired bootstrap of their difference; with two seeds, the unpaired one.

    Args:
        labels: 0 normal, 1 anomalous; both are there.
        scores: higher is more anomalous.
        recordings: what recording each clip comes from.
        max_fpr: p.
        draws: samples.
        seed: of them.
    """
    from scipy import sparse

    values, index = counts_by_score(labels, scores)
    rng = np.random.default_rng(seed)
    drawn = []
    for label in (0, 1):
        own = labels == label
        names, cluster = np.unique(recordings[own], return_inverse=True)
        shape = (len(names), len(values))
        held = sparse.csr_array((np.ones(len(cluster)), (cluster, index[own])), shape)
        times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
        drawn.append((times, held))
    areas, start = [], 0
    for size in _chunks(draws, len(values)):
        normal, anomaly = (times[start : start + size] @ held for times, held in drawn)
        areas.append(area(normal, anomaly, max_fpr))
        start += size
    found = np.concatenate(areas)
    return mcclish(found, max_fpr) if max_fpr < 1.0 else found


def percentile_interval(
    values: Float[np.ndarray, "draws"], level: float = 0.95
) -> tuple[float, float]:
    """The middle `level` of bootstrapped values: (low, high)."""
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(values, [tail, 100.0 - tail])
    return float(low), float(high)


def _chunks(rows: int, columns: int) -> list[int]:
    size = max(1, CHUNK // max(1, columns))
    return [min(size, rows - start) for start in range(0, rows, size)]
