"""A Gaussian mixture with full covariances: scikit-learn fits it on the host, we score."""

import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from asd_jax.scoring.scorers.covariance import precision_factor
from asd_jax.scoring.scorers.features import HIGHEST, checked, prepare, unit_rows
from asd_jax.scoring.scorers.gaussian import fit_gaussian


class Mixture(NamedTuple):
    """A weighted sum of Gaussians."""

    log_weights: Float[Array | np.ndarray, "components"]
    means: Float[Array | np.ndarray, "components dim"]
    factors: Float[Array | np.ndarray, "components dim dim"]  # f f^T inverts the covariance
    constants: Float[Array | np.ndarray, "components"]  # 0.5 (dim log 2 pi + log det covariance)
    l2: Float[Array | np.ndarray, ""]


def fit_gmm(
    features: Float[Array | np.ndarray, "clips dim"],
    *,
    components: int = 1,
    covariance: str = "relative",
    reg_covar: float = 1e-3,
    l2: bool = False,
    name: str = "features",
) -> Mixture:
    """Expectation-maximisation from k-means clusters, by `sklearn.mixture.GaussianMixture`.

    One component is the closed form (no iteration) and may use 'ledoit_wolf'.

    Args:
        features: normal clips; components beyond the number of clips are left out.
        components: k.
        covariance: 'relative' or 'literal': what `reg_covar` on the diagonal means, a share of
            the mean variance or an absolute number (as sklearn and the published systems).
        reg_covar: see `covariance`.
        l2: scale each clip to length 1 first.
        name: what to call the features in an error.
    """
    features = checked(features, name)
    components = max(1, min(components, len(features)))
    if components == 1:
        one = fit_gaussian(features, covariance=covariance, reg_covar=reg_covar, l2=l2, name=name)
        arrays = (one.mean[None], one.factor[None], one.constant[None], one.l2)
        return Mixture(np.zeros(1, np.float32), *map(np.asarray, arrays))
    features = unit_rows(features) if l2 else features
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    # Of unit variance, so that scikit-learn's own constants suit features in any unit.
    centre, scale = features.mean(0), np.sqrt(features.var(0).mean()) or 1.0
    added = reg_covar / (scale**2 if covariance == "literal" else 1.0)
    mixture = GaussianMixture(components, reg_covar=added, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit((features - centre) / scale)
    fitted: Any = mixture  # whose attributes scikit-learn declares as None
    found = [precision_factor(c * scale**2) for c in fitted.covariances_]
    factors, log_dets = (np.array(part) for part in zip(*found, strict=True))
    constants = 0.5 * (len(centre) * np.log(2.0 * np.pi) + log_dets)
    means = fitted.means_ * scale + centre
    arrays = (np.log(fitted.weights_), means, factors, constants, l2)
    return Mixture(*(np.asarray(v, np.float32) for v in arrays))


def score_gmm(
    scorer: Mixture, features: Float[Array | np.ndarray, "clips dim"]
) -> Float[Array, "clips"]:
    """Negative log-likelihood in nats."""
    difference = prepare(features, scorer.l2) - scorer.means[:, None]
    white = jnp.einsum("kcd,kde->kce", difference, scorer.factors, precision=HIGHEST)
    log_density = -0.5 * jnp.sum(white**2, axis=2) - scorer.constants[:, None]
    return -jax.nn.logsumexp(log_density + scorer.log_weights[:, None], axis=0)
