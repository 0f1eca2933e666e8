"""One Gaussian, and the Mahalanobis distance to it."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from asd_jax.scoring.scorers.covariance import precision_factor, regularised
from asd_jax.scoring.scorers.features import HIGHEST, checked, prepare, unit_rows

ROUNDING = 1e-6  # of float32 features, relative to their size


class Gaussian(NamedTuple):
    """A normal distribution of features."""

    mean: Float[Array | np.ndarray, "dim"]
    factor: Float[Array | np.ndarray, "dim dim"]  # factor factor^T is the inverse covariance
    constant: Float[Array | np.ndarray, ""]  # 0.5 (dim log 2 pi + log det covariance)
    l2: Float[Array | np.ndarray, ""]  # 1: rows are scaled to length 1 first


class Mahalanobis(NamedTuple):
    """A mean and an inverse covariance, or several, of which the nearest counts."""

    means: Float[Array | np.ndarray, "centres dim"]
    factors: Float[Array | np.ndarray, "centres dim dim"]
    l2: Float[Array | np.ndarray, ""]


def fit_gaussian(
    features: Float[Array | np.ndarray, "clips dim"],
    *,
    covariance: str = "ledoit_wolf",
    reg_covar: float = 1e-3,
    residuals: Float[np.ndarray, "others dim"] | None = None,
    l2: bool = False,
    name: str = "features",
) -> Gaussian:
    """The closed form that a Gaussian mixture with one component converges to.

    Args:
        features: normal clips; one is enough to score with, a few times `dim` are good.
        covariance: 'ledoit_wolf', 'relative' or 'literal', see `covariance.regularised`.
        reg_covar: of 'relative' (a share of the mean variance) and 'literal' (absolute).
        residuals: centred clips, of other machines too, to take the covariance from instead.
        l2: scale each clip to length 1 first; only for embeddings trained with ArcFace.
        name: what to call the features in an error.
    """
    features = checked(features, name)
    features = unit_rows(features) if l2 else features
    mean = features.mean(0)
    centred = features - mean if residuals is None else checked(residuals, name)
    spread = regularised(centred, method=covariance, reg_covar=reg_covar)
    # An embedding that is constant but for rounding must not make a unit of it.
    spread[np.diag_indices(len(spread))] += (ROUNDING * np.sqrt(np.mean(features**2))) ** 2
    factor, log_det = precision_factor(spread)
    constant = 0.5 * (len(mean) * np.log(2.0 * np.pi) + log_det)
    return Gaussian(*(np.asarray(v, np.float32) for v in (mean, factor, constant, l2)))


def score_gaussian(
    scorer: Gaussian, features: Float[Array | np.ndarray, "clips dim"]
) -> Float[Array, "clips"]:
    """Negative log-likelihood in nats."""
    difference = prepare(features, scorer.l2) - scorer.mean
    white = jnp.matmul(difference, scorer.factor, precision=HIGHEST)
    return 0.5 * jnp.sum(white**2, axis=1) + scorer.constant


def group_residuals(
    features: Float[Array | np.ndarray, "clips dim"],
    groups: Sequence,
    *,
    l2: bool = False,
    name: str = "features",
) -> Float[np.ndarray, "clips dim"]:
    """Each clip less the mean of its group: the input of a covariance shared over groups.

    Sharing helps where the machines are alike and costs where they differ.
    """
    features = checked(features, name)
    features = unit_rows(features) if l2 else features
    _, index = np.unique(np.asarray([str(group) for group in groups]), return_inverse=True)
    sums = np.zeros((index.max() + 1, features.shape[1]))
    np.add.at(sums, index, features)
    return features - (sums / np.bincount(index)[:, None])[index]


def fit_mahalanobis(
    features: Float[Array | np.ndarray, "clips dim"],
    *,
    covariance: str = "ledoit_wolf",
    reg_covar: float = 1e-3,
    residuals: Float[np.ndarray, "others dim"] | None = None,
    l2: bool = False,
    name: str = "features",
) -> Mahalanobis:
    """One centre; the score is that of `fit_gaussian` up to a monotone map. See its options."""
    fitted = fit_gaussian(
        features,
        covariance=covariance,
        reg_covar=reg_covar,
        residuals=residuals,
        l2=l2,
        name=name,
    )
    return Mahalanobis(fitted.mean[None], fitted.factor[None], fitted.l2)


def score_mahalanobis(
    scorer: Mahalanobis, features: Float[Array | np.ndarray, "clips dim"]
) -> Float[Array, "clips"]:
    """Mahalanobis distance to the nearest centre, in standard deviations."""
    difference = prepare(features, scorer.l2)[None] - scorer.means[:, None]
    white = jnp.einsum("kcd,kde->kce", difference, scorer.factors, precision=HIGHEST)
    return jnp.sqrt(jnp.min(jnp.sum(white**2, axis=2), axis=0))
