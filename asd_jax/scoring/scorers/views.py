"""Several views of a clip, each by a Gaussian of its own, added up without choosing among them.

Each view gives the logarithm of its squared Mahalanobis distance, once of its bands and once of
pairs of them, standardised by what cross-fitted normal clips of the machine have. The score is a
soft maximum of these: a view that finds a clip odd is heard, and those that find nothing cost
little. A plain sum loses more where one view of five hears the fault, the maximum where all do.

Machines that sound alike teach each other: the covariance of a view then lies between the machine's
own and that of the others, how far is decided by the likelihood of normal clips that were left out.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from asd_jax.scoring.scorers.covariance import ledoit_wolf, precision_factor
from asd_jax.scoring.scorers.features import HIGHEST, checked

SHARPNESS = 1.5  # of the soft maximum: 0 is the mean of the views, infinity their maximum
SHARES = (0.0, 0.25, 0.5, 0.75)  # of the other machines' covariance that are tried
FOLDS = 5
LEAST_SPREAD = 0.05  # of log distances: clips that are all alike must not make a unit of nothing
SMALLEST = 1e-6  # squared distance whose logarithm is taken at least


class Views(NamedTuple):
    """Two Gaussians for each view, of its bands and of pairs of them, and how far normals lie."""

    means: Float[Array | np.ndarray, "views dim"]
    factors: Float[Array | np.ndarray, "views dim dim"]  # see `precision_factor`
    coarse: Float[Array | np.ndarray, "views half half"]  # the same of pairs of bands
    centre: Float[Array | np.ndarray, "2 views"]  # of the log squared distances of normal clips
    spread: Float[Array | np.ndarray, "2 views"]
    scale: Float[Array | np.ndarray, "views"]  # of the sum of both, standardised
    shares: Float[Array | np.ndarray, "views"]  # of each view in the soft maximum


def fit_views(
    features: Float[Array | np.ndarray, "clips dim"],
    *,
    views: int = 1,
    weights: Sequence[float] = (),
    others: Float[np.ndarray, "others dim"] | None = None,
    name: str = "features",
) -> Views:
    """One pair of Gaussians a view.

    Args:
        features: normal clips of the machine; the views side by side, all equally wide.
        views: their number.
        weights: of the views in the soft maximum; () weighs all alike.
        others: clips of other machines less their own machine's mean, in the same form.
        name: what to call the features in an error.
    """
    own = np.split(checked(features, name), views, axis=1)
    strange: list[np.ndarray | None] = [None] * views
    if others is not None and len(others):
        strange = list(np.split(np.asarray(others, np.float64), views, axis=1))
    fitted = [_fit_view(x, other) for x, other in zip(own, strange, strict=True)]
    means, factors, coarse, centre, spread, scale = zip(*fitted, strict=True)
    shares = np.asarray(weights or (1.0,) * views)
    tables = (np.stack(centre, axis=1), np.stack(spread, axis=1), scale, shares / shares.sum())
    return Views(*(np.asarray(values, np.float32) for values in (means, factors, coarse, *tables)))


def score_views(
    scorer: Views, features: Float[Array | np.ndarray, "clips dim"]
) -> Float[Array, "clips"]:
    """Soft maximum over the views of their standardised log distances; near 0 for a normal clip."""
    z = standardised(scorer, features)
    return jax.nn.logsumexp(SHARPNESS * z, axis=1, b=scorer.shares) / SHARPNESS


def standardised(
    scorer: Views, features: Float[Array | np.ndarray, "clips dim"]
) -> Float[Array, "clips views"]:
    """What each view has to say, in standard deviations of normal clips."""
    away = jnp.asarray(features, jnp.float32).reshape(-1, *scorer.means.shape) - scorer.means
    each = []
    for x, factors in ((away, scorer.factors), (pairs(away), scorer.coarse)):
        white = jnp.einsum("cvd,vde->cve", x, factors, precision=HIGHEST)
        each.append(jnp.log(jnp.maximum(jnp.sum(white**2, axis=-1), SMALLEST)))
    z = (jnp.stack(each, axis=1) - scorer.centre) / scorer.spread
    return z.sum(axis=1) / scorer.scale


def pairs(x: Float[Array | np.ndarray, "*any dim"]) -> Float[Array | np.ndarray, "*any half"]:
    """Means of neighbouring bands; one that has no partner stands alone."""
    even = x.shape[-1] // 2 * 2
    paired = 0.5 * (x[..., 0:even:2] + x[..., 1:even:2])
    return paired if even == x.shape[-1] else _joined(paired, x[..., even:])


def _joined(a: Array | np.ndarray, b: Array | np.ndarray) -> Array | np.ndarray:
    together = np.concatenate if isinstance(a, np.ndarray) else jnp.concatenate
    return together([a, b], axis=-1)


def _fit_view(x: np.ndarray, others: np.ndarray | None) -> tuple:
    """Mean, both factors, and what the log distances of left-out clips are like."""
    factors, centre, spread, held = [], [], [], []
    for own, other in ((x, others), (pairs(x), None if others is None else pairs(others))):
        around = None if other is None else ledoit_wolf(other)
        share, distances = _best_share(own, around)
        factors.append(precision_factor(_covariance(own - own.mean(0), around, share))[0])
        logs = np.log(np.maximum(distances, SMALLEST))
        centre.append(logs.mean())
        spread.append(max(logs.std(), LEAST_SPREAD))
        held.append((logs - centre[-1]) / spread[-1])
    scale = max(np.sum(held, axis=0).std(), 1.0)
    return x.mean(0), *factors, np.array(centre), np.array(spread), scale


def _best_share(x: np.ndarray, others: np.ndarray | None) -> tuple[float, np.ndarray]:
    """The share of the others' covariance under which left-out clips are likeliest.

    Also their squared distances then. A single clip has no other to be compared with: it counts as
    an average one.
    """
    clips, dim = x.shape
    if clips == 1:
        return (0.0 if others is None else max(SHARES)), np.full(1, float(dim))
    best: tuple[float, float, np.ndarray] | None = None
    fold = np.arange(clips) % min(FOLDS, clips)
    for share in SHARES if others is not None else (0.0,):
        likelihood, held = 0.0, np.zeros(clips)
        for k in np.unique(fold):
            seen, out = x[fold != k], fold == k
            mean = seen.mean(0)
            factor, log_det = precision_factor(_covariance(seen - mean, others, share))
            held[out] = np.sum(((x[out] - mean) @ factor) ** 2, axis=1)
            likelihood -= 0.5 * (held[out].sum() + out.sum() * log_det)
        if best is None or likelihood > best[0]:
            best = likelihood, share, held
    assert best is not None
    return best[1], best[2]


def _covariance(away: np.ndarray, others: np.ndarray | None, share: float) -> np.ndarray:
    """Ledoit and Wolf's, or that of the clips with a share of the others', scaled to its size."""
    if others is None or share == 0.0:
        return ledoit_wolf(away)
    own = away.T @ away / len(away)
    return (1.0 - share) * own + share * others * (np.trace(own) / max(np.trace(others), 1e-12))
