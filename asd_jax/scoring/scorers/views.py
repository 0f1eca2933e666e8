"""Several views of a clip, each by a Gaussian of its own, added up without choosing among them.

Each view gives the logarithm of its squared Mahalanobis distance, standardised by what cross-fitted
normal clips of the machine have. The score is a soft maximum of these: a view that finds a clip odd
is found, and those that find nothing cost little. A plain sum loses more where one view of five
finds the fault, the maximum where all do.

Machines teach each other how normal clips scatter. Half of a view is then the machine's own
covariance, half a mixture with that of the others, unless clips that were left out are likelier
without: which of the two hears more differs from set to set, and likelihood alone does not tell.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from asd_jax.errors import UserError
from asd_jax.scoring.scorers.covariance import ledoit_wolf, precision_factor
from asd_jax.scoring.scorers.features import HIGHEST, checked, left_out

SHARPNESS = 1.5  # of the soft maximum: 0 is the mean of the views, infinity their maximum
SHARED = 0.75  # of the mixture, that the other machines' covariance has
FOLDS = 5
LEAST_SPREAD = 0.05  # of log distances: clips that are all alike must not make a unit of nothing
SMALLEST = 1e-6  # squared distance whose logarithm is taken at least


class Views(NamedTuple):
    """A Gaussian for each view, or two, and how far normal clips lie from it.

    Narrow views are padded: with zero rows of their factor.
    """

    columns: Int[Array | np.ndarray, "views dim"]  # of the features
    means: Float[Array | np.ndarray, "views dim"]
    factors: Float[Array | np.ndarray, "views dim dim"]  # see `precision_factor`
    centre: Float[Array | np.ndarray, "views"]  # of the log squared distances of normal clips
    spread: Float[Array | np.ndarray, "views"]
    shares: Float[Array | np.ndarray, "views"]  # of each in the soft maximum


def fit_views(
    features: Float[Array | np.ndarray, "clips dim"],
    *,
    sizes: Sequence[int] = (),
    weights: Sequence[float] = (),
    others: Float[np.ndarray, "others dim"] | None = None,
    name: str = "features",
) -> Views:
    """One Gaussian a view; with `others` a second one.

    Args:
        features: normal clips of the machine; the views side by side.
        sizes: how many numbers each view has; () is one view.
        weights: of the views in the soft maximum; () weighs all alike.
        others: clips of other machines less their own machine's mean, in the same form.
        name: what to call the features in an error.

    Raises:
        UserError: the views do not make up the features.
    """
    x = checked(features, name)
    sizes = sizes or (x.shape[1],)
    weights = weights or (1.0,) * len(sizes)
    if sum(sizes) != x.shape[1]:
        raise UserError(
            f"{name} has {x.shape[1]} numbers a clip, where its views have {sum(sizes)}: another "
            "version of asd_jax made it; train again."
        )
    widest, start, fitted = max(sizes), 0, []
    for size, weight in zip(sizes, weights, strict=True):
        columns = np.arange(start, start + size)
        start += size
        strange = None if others is None or not len(others) else ledoit_wolf(others[:, columns])
        for one in _gaussians(x[:, columns], strange):
            more = widest - size
            padded = np.pad(columns, (0, more), mode="edge")
            fitted.append((padded, np.pad(one.mean, (0, more)), np.pad(one.factor, (0, more))))
            fitted[-1] += (one.centre, one.spread, weight)
    columns, means, factors, centre, spread, shares = map(np.asarray, zip(*fitted, strict=True))
    arrays = (means, factors, centre, spread, shares / shares.sum())
    return Views(columns.astype(np.int32), *(values.astype(np.float32) for values in arrays))


def score_views(
    scorer: Views, features: Float[Array | np.ndarray, "clips dim"]
) -> Float[Array, "clips"]:
    """Soft maximum over the views of their standardised log distances; near 0 for a normal clip."""
    z = standardised(scorer, features)
    return jax.nn.logsumexp(SHARPNESS * z, axis=1, b=scorer.shares) / SHARPNESS


def standardised(
    scorer: Views, features: Float[Array | np.ndarray, "clips dim"]
) -> Float[Array, "clips views"]:
    """Returns each view's log distance in standard deviations of normal clips."""
    away = jnp.asarray(features, jnp.float32)[:, scorer.columns] - scorer.means
    white = jnp.einsum("cvd,vde->cve", away, scorer.factors, precision=HIGHEST)
    distance = jnp.log(jnp.maximum(jnp.sum(white**2, axis=-1), SMALLEST))
    return (distance - scorer.centre) / scorer.spread


class _Gaussian(NamedTuple):
    """One view's Gaussian, and how normal clips that were left out lie to it."""

    mean: np.ndarray
    factor: np.ndarray
    centre: float  # of their log squared distances
    spread: float
    likelihood: float  # theirs, the logarithm


def _gaussians(x: np.ndarray, others: np.ndarray | None) -> list[_Gaussian]:
    """By the machine's own covariance; with others' by a mixture too, if that is likelier."""
    own = _gaussian(x)
    if others is None:
        return [own]
    mixed = _gaussian(x, others)
    return [own, mixed if mixed.likelihood > own.likelihood else own]


def _gaussian(x: np.ndarray, others: np.ndarray | None = None) -> _Gaussian:
    """A single clip has no other to be compared with: it counts as an average one."""
    clips, dim = x.shape
    mean = x.mean(0)
    factor, _ = precision_factor(_covariance(x - mean, others))
    held = np.array([[float(dim), 0.0]])
    if clips > 1:
        held = left_out(x, functools.partial(_distances, others=others), FOLDS)
    logs = np.log(np.maximum(held[:, 0], SMALLEST))
    return _Gaussian(
        mean, factor, logs.mean(), max(logs.std(), LEAST_SPREAD), -0.5 * float(held.sum())
    )


def _distances(
    seen: np.ndarray, out: np.ndarray, others: np.ndarray | None
) -> Float[np.ndarray, "out 2"]:
    """Squared distances of clips from those that are seen, and the log determinant to each."""
    mean = seen.mean(0)
    factor, log_det = precision_factor(_covariance(seen - mean, others))
    squares = np.sum(((out - mean) @ factor) ** 2, axis=1)
    return np.stack([squares, np.full(len(out), log_det)], axis=1)


def _covariance(away: np.ndarray, others: np.ndarray | None) -> np.ndarray:
    """Ledoit and Wolf's, or that of the clips mixed with the others', scaled to its size."""
    if others is None:
        return ledoit_wolf(away)
    own = away.T @ away / len(away)
    scale = np.trace(own) / max(np.trace(others), 1e-12)
    return (1.0 - SHARED) * own + SHARED * scale * others
