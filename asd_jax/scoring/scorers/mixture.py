"""A Gaussian mixture with full covariances, fitted by expectation-maximisation in one program."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from asd_jax.errors import UserError
from asd_jax.scoring.scorers.covariance import precision_factor, regularised
from asd_jax.scoring.scorers.features import HIGHEST, checked, prepare, product, unit_rows
from asd_jax.scoring.scorers.neighbours import cluster
from asd_jax.scoring.scorers.triangular import whitening

# Clips are padded to a multiple of this, so that groups of nearly equal size share one program.
PAD = 128


class Mixture(NamedTuple):
    """A weighted sum of Gaussians."""

    log_weights: Float[Array | np.ndarray, "components"]
    means: Float[Array | np.ndarray, "components dim"]
    factors: Float[Array | np.ndarray, "components dim dim"]  # upper; f f^T inverts the covariance
    constants: Float[Array | np.ndarray, "components"]  # 0.5 (dim log 2 pi + log det covariance)
    l2: Float[Array | np.ndarray, ""]


class Parameters(NamedTuple):
    """What one step of EM hands to the next."""

    log_weights: Float[Array, "components"]
    means: Float[Array, "components dim"]
    covariances: Float[Array, "components dim dim"]


def fit_gmm(
    features: Float[Array | np.ndarray, "clips dim"],
    *,
    components: int = 1,
    covariance: str = "relative",
    reg_covar: float = 1e-3,
    iterations: int = 100,
    tolerance: float = 1e-3,
    responsibilities: Float[np.ndarray, "clips components"] | None = None,
    seed: int = 0,
    l2: bool = False,
    name: str = "features",
) -> Mixture:
    """EM from k-means++ clusters; equals `sklearn.mixture.GaussianMixture` given the same start.

    One component is the closed form (no iteration) and may use 'ledoit_wolf'.

    Args:
        features: normal clips; components beyond the number of clips are left out.
        components: k.
        covariance: 'relative' or 'literal': what `reg_covar` on the diagonal means, a share of
            the mean variance or an absolute number (as sklearn and the published systems).
        reg_covar: see `covariance`.
        iterations: at most.
        tolerance: stop when the mean log-likelihood gains less; 0 runs all iterations.
        responsibilities: where to start, instead of k-means++ clusters.
        seed: of k-means++.
        l2: scale each clip to length 1 first.
        name: what to call the features in an error.
    """
    features = checked(features, name)
    features = unit_rows(features) if l2 else features
    components = max(1, min(components, len(features)))
    if components == 1:
        return _one(features, covariance, reg_covar, l2)
    if covariance not in ("relative", "literal"):
        raise UserError(
            f"covariance is {covariance!r}; {components} components take 'relative' or 'literal'."
        )
    if responsibilities is None:
        _, own = cluster(features, components, seed=seed)
        responsibilities = np.eye(components)[own]
    # Float32 EM about zero with unit variance loses nothing; the map back is exact enough.
    centre, scale = features.mean(0), np.sqrt(features.var(0).mean()) or 1.0
    clips, padding = len(features), -len(features) % PAD
    parameters, _, _ = expectation_maximisation(
        jnp.asarray(np.pad((features - centre) / scale, ((0, padding), (0, 0))), jnp.float32),
        jnp.asarray(np.pad(responsibilities, ((0, padding), (0, 0))), jnp.float32),
        jnp.asarray(np.arange(clips + padding) < clips, jnp.float32),
        jnp.float32(reg_covar / (scale**2 if covariance == "literal" else 1.0)),
        jnp.float32(tolerance if tolerance > 0 else -np.inf),
        jnp.int32(iterations),
    )
    return _from_parameters(parameters, centre, scale, l2)


@jax.jit
def expectation_maximisation(
    features: Float[Array, "clips dim"],
    responsibilities: Float[Array, "clips components"],
    mask: Float[Array, "clips"],
    reg_covar: Float[Array, ""],
    tolerance: Float[Array, ""],
    iterations: Int[Array, ""],
) -> tuple[Parameters, Float[Array, ""], Int[Array, ""]]:
    """EM from responsibilities, as one `lax.while_loop`; vmap it over groups or seeds.

    Args:
        features: centred and of unit variance, padded with any rows.
        responsibilities: where to start; of padded rows they are ignored.
        mask: 1 for clips, 0 for padding.
        reg_covar: added to each diagonal.
        tolerance: stop when the mean log-likelihood (nats per clip) changes less; -inf: never.
        iterations: at most.

    Returns:
        parameters, the mean log-likelihood before the last step, the iterations done.
    """
    # The scatter as one scaled array with the clips along its rows times itself: 328 ms for 30
    # iterations, 6000 x 128, not 416.
    across = features.T
    start = _maximise(features, across, responsibilities.T * mask, reg_covar)

    def unfinished(carry: tuple) -> Array:
        _, _, change, step = carry
        return (step < iterations) & ~(jnp.abs(change) < tolerance)

    def advance(carry: tuple) -> tuple:
        parameters, before, _, step = carry
        log_joint = log_densities(features, parameters)
        log_total = jax.nn.logsumexp(log_joint, axis=0)
        likelihood = jnp.sum(log_total * mask) / jnp.sum(mask)
        share = jnp.exp(log_joint - log_total) * mask
        after = _maximise(features, across, share, reg_covar)
        return after, likelihood, likelihood - before, step + 1

    first = (start, jnp.float32(-jnp.inf), jnp.float32(jnp.inf), jnp.int32(0))
    parameters, likelihood, _, steps = jax.lax.while_loop(unfinished, advance, first)
    return parameters, likelihood, steps


def log_densities(
    features: Float[Array, "clips dim"], parameters: Parameters
) -> Float[Array, "components clips"]:
    """log(weight times density) of each component."""
    white = whitening(parameters.covariances)
    distances = _distances(features, parameters.means, white.mT)
    log_det = -2.0 * jnp.sum(jnp.log(jnp.diagonal(white, axis1=1, axis2=2)), axis=1)
    constant = features.shape[1] * jnp.log(2.0 * jnp.pi) + log_det
    return (parameters.log_weights - 0.5 * constant)[:, None] - 0.5 * distances


def _distances(
    features: Float[Array | np.ndarray, "clips dim"],
    means: Float[Array | np.ndarray, "components dim"],
    factors: Float[Array | np.ndarray, "components dim dim"],
) -> Float[Array, "components clips"]:
    """Squared Mahalanobis distances, for precisions f f^T with f upper triangular.

    The first half of the dimensions does not know of the second: a quarter of the product is left
    out. One component after another, from clips that are centred once for all: they are written
    once, less the middle of the means.
    """
    middle = jnp.mean(jnp.asarray(means), axis=0)
    half = (middle.shape[0] + 1) // 2
    first, second = features[:, :half] - middle[:half], features[:, half:] - middle[half:]
    squares = []
    for mean, factor in zip(means, factors, strict=True):
        shift = product(mean - middle, factor)
        ahead = product(first, factor[:half, :half]) - shift[:half]
        behind = product(first, factor[:half, half:]) + product(second, factor[half:, half:])
        squares.append(jnp.sum(ahead**2, 1) + jnp.sum((behind - shift[half:]) ** 2, 1))
    return jnp.stack(squares)


def score_gmm(
    scorer: Mixture, features: Float[Array | np.ndarray, "clips dim"]
) -> Float[Array, "clips"]:
    """Negative log-likelihood in nats."""
    distances = _distances(prepare(features, scorer.l2), scorer.means, scorer.factors)
    log_density = -0.5 * distances - scorer.constants[:, None]
    return -jax.nn.logsumexp(log_density + scorer.log_weights[:, None], axis=0)


def _maximise(
    features: Float[Array, "clips dim"],
    across: Float[Array, "dim clips"],
    share: Float[Array, "components clips"],
    reg_covar: Float[Array, ""],
) -> Parameters:
    """Weights, means and covariances from masked responsibilities; `across` is `features.T`."""
    total = jnp.sum(share, axis=1) + 10.0 * jnp.finfo(features.dtype).eps
    means = jnp.matmul(share, features, precision=HIGHEST) / total[:, None]
    scatter = []
    for mean, weight in zip(means, share, strict=True):
        weighted = jnp.sqrt(weight) * (across - mean[:, None])
        scatter.append(jnp.matmul(weighted, weighted.T, precision=HIGHEST))
    covariances = jnp.stack(scatter) / total[:, None, None]
    covariances = covariances + reg_covar * jnp.eye(features.shape[1], dtype=features.dtype)
    return Parameters(jnp.log(total / jnp.sum(total)), means, covariances)


def _one(features: np.ndarray, covariance: str, reg_covar: float, l2: bool) -> Mixture:
    mean = features.mean(0)
    spread = regularised(features - mean, method=covariance, reg_covar=reg_covar)
    factor, log_det = precision_factor(spread)
    constant = 0.5 * (len(mean) * np.log(2.0 * np.pi) + log_det)
    arrays = (np.zeros(1), mean[None], factor[None], np.array([constant]), l2)
    return Mixture(*(np.asarray(v, np.float32) for v in arrays))


def _from_parameters(parameters: Parameters, centre: np.ndarray, scale: float, l2: bool) -> Mixture:
    """Undoes the centring and scaling, in float64."""
    log_weights, means, covariances = (np.asarray(v, np.float64) for v in parameters)
    factors, log_dets = zip(*(precision_factor(c * scale**2) for c in covariances), strict=True)
    constants = 0.5 * (len(centre) * np.log(2.0 * np.pi) + np.asarray(log_dets))
    arrays = (log_weights, means * scale + centre, np.stack(factors), constants, l2)
    return Mixture(*(np.asarray(v, np.float32) for v in arrays))
