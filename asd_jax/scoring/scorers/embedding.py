"""What reads a learned embedding: two Gaussians and the nearest neighbours, without choosing.

Where the classes lie close, the direction of an embedding tells most: a Gaussian on rows of length
1 and the nearest neighbours by cosine find it. Where they lie apart, its length does too, and a
Gaussian on the rows as they are finds that. Each gives the logarithm of a distance, standardised by
normal clips that the network has not seen; the score is their mean.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from asd_jax.scoring.scorers.features import HIGHEST, checked, left_out, prepare, product, unit_rows
from asd_jax.scoring.scorers.gaussian import fit_gaussian

NEIGHBOURS = 3
LEAST = 3  # clips that calibrate; with fewer all do
SMALLEST = 1e-4  # cosine distance whose logarithm is taken at least
NEAREST = 1e-2  # squared Mahalanobis distance, the same: below it there is rounding
LEAST_SPREAD = 0.05  # of log distances


class Embedding(NamedTuple):
    """Both Gaussians, the clips that they were fitted to, and how far normal clips lie."""

    means: Float[Array | np.ndarray, "2 dim"]  # of rows as they are, and of length 1
    factors: Float[Array | np.ndarray, "2 dim dim"]
    bank: Float[Array | np.ndarray, "normals dim"]  # rows of length 1
    weights: Float[Array | np.ndarray, "neighbours"]  # 1 / k each: its length is k
    centre: Float[Array | np.ndarray, "3"]  # of the log distances of normal clips
    spread: Float[Array | np.ndarray, "3"]


def fit_embedding(
    features: Float[Array | np.ndarray, "clips dim"],
    *,
    unseen: Bool[np.ndarray, "clips"] | None = None,
    name: str = "features",
) -> Embedding:
    """Fits to all clips and calibrates on those that the network has not seen.

    Args:
        features: normal clips.
        unseen: which of them no network was trained on; None: all count alike.
        name: what to call the features in an error.
    """
    features = checked(features, name)
    clips = len(features)
    chosen = np.ones(clips, bool) if unseen is None else np.asarray(unseen, bool)
    chosen = chosen if chosen.sum() >= LEAST else np.ones(clips, bool)
    bank = unit_rows(features)
    rows = (features, bank)
    fitted = [fit_gaussian(x, name=name) for x in rows]
    count = max(1, min(NEIGHBOURS, clips - 1))
    logs = [*(_left_out_gaussian(x) for x in rows), _left_out_neighbours(bank, count)]
    seen = np.stack(logs)[:, chosen]
    means, factors = ([getattr(g, part) for g in fitted] for part in ("mean", "factor"))
    spread = np.maximum(seen.std(axis=1), LEAST_SPREAD)
    arrays = (means, factors, bank, np.full(count, 1.0 / count), seen.mean(axis=1), spread)
    return Embedding(*(np.asarray(v, np.float32) for v in arrays))


def score_embedding(
    scorer: Embedding, features: Float[Array | np.ndarray, "clips dim"]
) -> Float[Array, "clips"]:
    """Mean of the three standardised log distances; near 0 for a normal clip."""
    plain, unit = jnp.asarray(features, jnp.float32), prepare(features, jnp.float32(1))
    logs = []
    for x, mean, factor in zip((plain, unit), scorer.means, scorer.factors, strict=True):
        white = jnp.matmul(x - mean, factor, precision=HIGHEST)
        logs.append(jnp.log(jnp.maximum(jnp.sum(white**2, axis=1), NEAREST)))
    nearest = jax.lax.top_k(product(unit, jnp.asarray(scorer.bank).T), scorer.weights.shape[0])[0]
    away = jnp.sum((1.0 - nearest) * scorer.weights, axis=1)
    logs.append(jnp.log(jnp.maximum(away, SMALLEST)))
    return ((jnp.stack(logs, axis=1) - scorer.centre) / scorer.spread).mean(axis=1)


def _left_out_gaussian(x: Float[np.ndarray, "clips dim"]) -> Float[np.ndarray, "clips"]:
    """Log squared Mahalanobis distance of each clip from those of the other folds."""

    def distance(others: np.ndarray, these: np.ndarray) -> np.ndarray:
        fitted = fit_gaussian(others)
        white = (these - fitted.mean) @ np.asarray(fitted.factor, np.float64)
        return np.log(np.maximum(np.sum(white**2, axis=1), NEAREST))

    return left_out(x, distance) if len(x) > 1 else np.zeros(1)


def _left_out_neighbours(
    bank: Float[np.ndarray, "clips dim"], count: int
) -> Float[np.ndarray, "clips"]:
    """Log mean cosine distance of each clip to its nearest others."""
    if len(bank) == 1:
        return np.zeros(1)
    cosines = bank @ bank.T
    np.fill_diagonal(cosines, -np.inf)
    nearest = np.sort(cosines, axis=1)[:, -count:]
    return np.log(np.maximum((1.0 - nearest).mean(axis=1), SMALLEST))
