"""From logits to probabilities that can be believed, by recordings that nothing was trained on.

Platt (1999), "Probabilistic outputs for support vector machines", with his targets, which keep the
fit finite where both classes are apart, and with Newton's method as Lin, Lin and Weng (2007). Host
NumPy in float64. Clips of one recording count as one together.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from asd_jax.errors import UserError
from asd_jax.scoring.metrics import Labels

# A slope of 0 or below would give all clips one probability or turn their order round: a network
# that has learned nothing gets nearly the share of faults for every clip, in its own order.
LEAST_SLOPE = 1e-2
_STEPS, _RIDGE = 100, 1e-9


class Platt(NamedTuple):
    """P(anomaly) = sigmoid(slope * logit + offset); (1, 0) leaves a network as it is."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, logit: Float[np.ndarray, "*clips"] | float) -> Any:
        """The probability of an anomaly of each clip, in float64: sure clips still differ."""
        value = self.slope * np.asarray(logit, np.float64) + self.offset
        return np.exp(-np.logaddexp(0.0, -value))


AS_IT_IS = Platt()


def fit_platt(
    logits: Float[np.ndarray, "clips"], labels: Labels, recordings: Shaped[np.ndarray, "clips"]
) -> Platt:
    """The slope and offset that make these clips' labels the most likely.

    Args:
        logits: of clips that the network was not trained on.
        labels: 0 normal, 1 anomalous.
        recordings: what recording each clip comes from, any values.

    Raises:
        UserError: one of the classes is missing.
    """
    labels = np.asarray(labels)
    if len(np.unique(labels)) < 2:
        raise UserError(
            "config.decision.calibrate 'platt' needs normal and anomalous validation recordings; "
            "set it to 'none'."
        )
    _, index, clips = np.unique(np.asarray(recordings), return_inverse=True, return_counts=True)
    weight = 1.0 / clips[index]
    target = _targets(labels, weight)
    logits = np.asarray(logits, np.float64)
    centre, scale = logits.mean(), max(float(logits.std()), 1e-12)
    slope, offset = _newton((logits - centre) / scale, target, weight)
    slope /= scale
    if slope < LEAST_SLOPE:
        slope = LEAST_SLOPE
        offset, centre = _offset(slope * logits, target, weight), 0.0
    return Platt(float(slope), float(offset - slope * centre))


def _targets(labels: np.ndarray, weight: np.ndarray) -> Float[np.ndarray, "clips"]:
    """Platt's: (n + 1) / (n + 2) for the n anomalous recordings, 1 / (n + 2) for normal ones."""
    normal, anomalous = (float(weight[labels == y].sum()) for y in (0, 1))
    return np.where(labels == 1, (anomalous + 1) / (anomalous + 2), 1 / (normal + 2))


def _newton(x: np.ndarray, target: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Minimises the weighted cross entropy of sigmoid(slope x + offset); it is convex."""
    design = np.stack([x, np.ones_like(x)], 1)
    found = np.zeros(2)
    loss = _loss(design @ found, target, weight)
    for _ in range(_STEPS):
        value = design @ found
        predicted = np.exp(-np.logaddexp(0.0, -value))
        gradient = design.T @ (weight * (predicted - target))
        curve = (
            design * (weight * predicted * (1 - predicted))[:, None]
        ).T @ design + _RIDGE * np.eye(2)
        step, share = np.linalg.solve(curve, gradient), 1.0
        while _loss(design @ (found - share * step), target, weight) > loss and share > 1e-6:
            share /= 2
        found = found - share * step
        before, loss = loss, _loss(design @ found, target, weight)
        if before - loss < 1e-12 * max(1.0, loss):
            break
    return float(found[0]), float(found[1])


def _offset(value: np.ndarray, target: np.ndarray, weight: np.ndarray) -> float:
    """The offset alone, by bisection: the mean probability is the mean target."""
    low, high = -100.0 - np.abs(value).max(), 100.0 + np.abs(value).max()
    for _ in range(200):
        middle = 0.5 * (low + high)
        predicted = np.exp(-np.logaddexp(0.0, -(value + middle)))
        low, high = (low, middle) if np.sum(weight * (predicted - target)) > 0 else (middle, high)
    return 0.5 * (low + high)


def _loss(value: np.ndarray, target: np.ndarray, weight: np.ndarray) -> float:
    return float(np.sum(weight * (np.logaddexp(0.0, value) - target * value)))
