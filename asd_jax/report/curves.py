"""The numbers behind the figures, in NumPy. Higher score = more anomalous; labels are 0 and 1."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int, Shaped

from asd_jax.scoring.metrics import roc_curve


@dataclasses.dataclass(frozen=True)
class ErrorRates:
    """FAR and FRR over a threshold (Liao section 3.3, figure 7).

    In the paper's words FAR is an anomaly accepted (a missed fault) and FRR a normal clip
    rejected (a false alarm).
    """

    position: Float[np.ndarray, " points"]  # of the threshold, 0 to 1 along a `ScoreAxis`
    far: Float[np.ndarray, " points"]
    frr: Float[np.ndarray, " points"]
    crossing: tuple[float, float]  # position and rate where they meet: the equal error rate


def error_rates(
    scores: Float[np.ndarray, " clips"],
    labels: Int[np.ndarray, " clips"],
    axis: "ScoreAxis",
    *,
    points: int = 121,
) -> ErrorRates:
    """FAR and FRR at evenly spaced positions of the threshold; an alarm is score > threshold."""
    position = np.linspace(0.0, 1.0, points)
    where = axis.place(scores)
    faulty, healthy = np.sort(where[labels == 1]), np.sort(where[labels == 0])
    # The two ends are exact, whatever the rounding of `place`.
    far = np.searchsorted(faulty, position, side="right") / len(faulty)
    frr = 1.0 - np.searchsorted(healthy, position, side="right") / len(healthy)
    # The rate is read off the exact curve, not off the grid that is drawn.
    false_alarms, caught, _ = roc_curve(labels, scores)
    rate = float(np.interp(0.0, false_alarms + caught - 1.0, false_alarms))
    return ErrorRates(position, far, frr, (_crossing(position, far - frr), rate))


def _crossing(position: Float[np.ndarray, " points"], gap: Float[np.ndarray, " points"]) -> float:
    """Where a rising gap is zero; the middle, where it is zero for a while."""
    below, above = np.flatnonzero(gap < 0), np.flatnonzero(gap > 0)
    if not below.size or not above.size:
        return 0.0 if not below.size else 1.0
    last, first = int(below[-1]), int(above[0])
    if first > last + 1:
        return float((position[last + 1] + position[first - 1]) / 2)
    return float(np.interp(0.0, gap[last : first + 1], position[last : first + 1]))


@dataclasses.dataclass(frozen=True)
class ScoreAxis:
    """Places scores on 0 to 1. Long tails are compressed, or all else would be one bar."""

    low: float
    high: float
    centre: float = 0.0
    spread: float = 0.0  # above 0: the axis is asinh((score - centre) / spread)

    @classmethod
    def fit(
        cls,
        scores: Float[np.ndarray, " clips"],
        labels: Int[np.ndarray, " clips"],
        *,
        threshold: float | None = None,
    ) -> "ScoreAxis":
        """An axis that shows all scores and the threshold, and the healthy clips at some width."""
        shown = scores if threshold is None else np.append(scores, threshold)
        low, high = float(shown.min()), float(shown.max())
        usual = scores[labels == 0] if (labels == 0).sum() >= 8 else scores
        first, centre, third = np.quantile(usual, [0.25, 0.5, 0.75])
        if high <= low:
            return cls(low - 0.5, low + 0.5)
        if third > first and high - low > 15 * (third - first):
            return cls(low, high, float(centre), float(third - first))
        return cls(low, high)

    @property
    def compressed(self) -> bool:
        """Whether equal distances on the axis are unequal distances in score."""
        return self.spread > 0

    def place(self, scores: Shaped[np.ndarray, "..."] | float) -> np.ndarray:
        """Positions on the axis, 0 at `low` and 1 at `high`, in the shape of the scores."""
        ends = self._bend(np.array([self.low, self.high]))
        bent = self._bend(np.asarray(scores, np.float64))
        return np.asarray((bent - ends[0]) / (ends[1] - ends[0]))

    def ticks(self, count: int = 4) -> list[float]:
        """About `count` round scores on the axis."""
        if not self.compressed:
            return nice_ticks(self.low, self.high, count)
        ends = self._bend(np.array([self.low, self.high]))
        bent = np.linspace(ends[0], ends[1], count + 2)[1:-1]
        values = np.sinh(bent) * self.spread + self.centre
        kept: list[float] = []
        for digits in (1, 2, 3, 4):  # as round as can be, without falling off the axis
            rounded = dict.fromkeys(float(f"{v:.{digits}g}") for v in values)
            kept = [v for v in rounded if self.low <= v <= self.high]
            if len(kept) >= min(3, count):
                break
        return kept

    def _bend(self, scores: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        if not self.compressed:
            return scores
        return np.asarray(np.arcsinh((scores - self.centre) / self.spread))  # one score stays one


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within [low, high]."""
    if not high > low:
        return [low]
    raw = (high - low) / max(count, 1)
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw * 0.99)
    first = int(np.ceil(low / step - 1e-9))
    last = int(np.floor(high / step + 1e-9))
    return [float(f"{k * step:.6g}") for k in range(first, last + 1)]


def principal_plane(
    points: Float[np.ndarray, "clips dim"],
) -> tuple[Float[np.ndarray, "clips 2"], float]:
    """Places points on their two main directions (PCA).

    Returns the coordinates and the share of the variance that the plane holds.
    """
    from sklearn.decomposition import PCA

    if np.ptp(points, axis=0).max() == 0:
        return np.zeros((len(points), 2)), 1.0
    pca = PCA(min(2, *points.shape), svd_solver="full")
    flat = pca.fit_transform(np.asarray(points, np.float64))
    flat = np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
    return flat, min(1.0, float(pca.explained_variance_ratio_.sum()))
