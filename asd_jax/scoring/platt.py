"""From logits to probabilities that can be believed, by recordings that nothing was trained on.

Platt (1999), "Probabilistic outputs for support vector machines", with his targets, which keep the
fit finite where both classes are apart. Host NumPy in float64. Clips of one recording count as one
together.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from asd_jax.errors import UserError
from asd_jax.scoring.metrics import Labels

# A slope of 0 or below would give all clips one probability or turn their order round: a network
# that has learned nothing gets nearly the share of faults for every clip, in its own order.
LEAST_SLOPE = 1e-2


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
    slope, offset = _fitted((logits - centre) / scale, target, weight)
    slope /= scale
    if slope < LEAST_SLOPE:
        slope = LEAST_SLOPE
        offset, centre = _offset(slope * logits, target, weight), 0.0
    return Platt(float(slope), float(offset - slope * centre))


def _targets(labels: np.ndarray, weight: np.ndarray) -> Float[np.ndarray, "clips"]:
    """Platt's: (n + 1) / (n + 2) for the n anomalous recordings, 1 / (n + 2) for normal ones."""
    normal, anomalous = (float(weight[labels == y].sum()) for y in (0, 1))
    return np.where(labels == 1, (anomalous + 1) / (anomalous + 2), 1 / (normal + 2))


def _fitted(x: np.ndarray, target: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Slope and offset with the least weighted cross entropy of sigmoid(slope x + offset)."""
    from sklearn.linear_model import LogisticRegression

    # A clip whose target is a share counts as an anomaly by it, and as normal by the rest.
    model = LogisticRegression(C=1e12, solver="newton-cholesky", tol=1e-10)
    share = np.concatenate([weight * target, weight * (1.0 - target)])
    model.fit(np.tile(x, 2)[:, None], np.repeat([1, 0], len(x)), sample_weight=share)
    return float(model.coef_[0, 0]), float(np.ravel(model.intercept_)[0])


def _offset(value: np.ndarray, target: np.ndarray, weight: np.ndarray) -> float:
    """The offset alone: the mean probability is the mean target."""
    from scipy import optimize, special

    most = 100.0 + np.abs(value).max()
    return optimize.brentq(
        lambda offset: np.sum(weight * (special.expit(value + offset) - target)), -most, most
    )
