"""Covariances that can be inverted, whatever the number of clips. Host NumPy, float64."""

import numpy as np
from jaxtyping import Float

# Directions with less than this share of the mean variance are below what float32 scores resolve.
FLOOR = 1e-6


def ledoit_wolf(residuals: Float[np.ndarray, "clips dim"]) -> Float[np.ndarray, "dim dim"]:
    """Covariance of centred clips, shrunk towards a multiple of the identity.

    Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices",
    2004; equal to `sklearn.covariance.LedoitWolf(assume_centered=True)` from three clips on. One
    or two clips leave nothing to estimate the shrinkage from: it is 1 and 0.5 then.
    """
    clips, dim = residuals.shape
    empirical = residuals.T @ residuals / clips
    mean_variance = np.trace(empirical) / dim
    if clips < 3:
        shrinkage = 1.0 if clips == 1 else 0.5
    else:
        squares = np.sum(empirical**2)
        beta = (np.sum(np.sum(residuals**2, 1) ** 2) / clips - squares) / (dim * clips)
        delta = (squares - dim * mean_variance**2) / dim
        shrinkage = 0.0 if beta <= 0 else min(beta, delta) / delta
    shrunk = (1.0 - shrinkage) * empirical
    shrunk[np.diag_indices(dim)] += shrinkage * mean_variance
    return shrunk


def regularised(
    residuals: Float[np.ndarray, "clips dim"], *, method: str, reg_covar: float
) -> Float[np.ndarray, "dim dim"]:
    """Covariance of centred clips by one of three methods.

    Args:
        residuals: clips less their mean.
        method: 'ledoit_wolf'; 'relative', the empirical one plus `reg_covar` times the mean
            variance on the diagonal; 'literal', plus `reg_covar` in the features' own units
            (an absolute 1e-3 decides everything or nothing, depending on these units).
        reg_covar: see `method`; unused by 'ledoit_wolf'.
    """
    if method == "ledoit_wolf":
        return ledoit_wolf(residuals)
    covariance = residuals.T @ residuals / len(residuals)
    scale = 1.0 if method == "literal" else np.trace(covariance) / len(covariance)
    covariance[np.diag_indices(len(covariance))] += reg_covar * scale
    return covariance


def precision_factor(
    covariance: Float[np.ndarray, "dim dim"],
) -> tuple[Float[np.ndarray, "dim dim"], float]:
    """P with P P^T = covariance^-1, and log det covariance.

    Cholesky where it works. Where the covariance is singular, its eigenvalues are raised to
    `FLOOR` times their mean; where it is zero (one clip, or clips all alike), to one.
    """
    from scipy import linalg

    mean_variance = np.trace(covariance) / len(covariance)
    if mean_variance <= 0.0:
        return np.eye(len(covariance)), 0.0
    try:
        lower = np.linalg.cholesky(covariance)
        if np.min(np.diag(lower)) ** 2 >= FLOOR * mean_variance:
            identity = np.eye(len(covariance))
            factor = linalg.solve_triangular(lower, identity, lower=True).T
            return factor, float(2.0 * np.sum(np.log(np.diag(lower))))
    except np.linalg.LinAlgError:
        pass
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, FLOOR * mean_variance)
    return vectors / np.sqrt(values), float(np.sum(np.log(values)))
