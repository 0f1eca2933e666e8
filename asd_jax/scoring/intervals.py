"""How sure a ROC area is: bootstrap by clip."""

import numpy as np
from jaxtyping import Float, Int, Shaped

from asd_jax.scoring import metrics

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
    labels, scores = metrics.known(labels, scores)
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

    values, index = metrics.counts_by_score(labels, scores)
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
        areas.append(metrics.area(normal, anomaly, max_fpr))
        start += size
    found = np.concatenate(areas)
    return metrics.mcclish(found, max_fpr) if max_fpr < 1.0 else found


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
