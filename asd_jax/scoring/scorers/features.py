"""What every scorer does with features before it looks at them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from asd_jax.errors import UserError

HIGHEST = jax.lax.Precision.HIGHEST


def checked(
    features: Float[Array | np.ndarray, "clips dim"], name: str = "features"
) -> Float[np.ndarray, "clips dim"]:
    """Features as float64 on the host; raises UserError where they are empty or not finite."""
    features = np.asarray(features, np.float64)
    if not features.size:
        raise UserError(f"No clips to fit a scorer of {name!r}; give at least one normal clip.")
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(bad):
        raise UserError(
            f"{len(bad)} of {len(features)} clips have NaN or infinite values in {name!r} (first:"
            f" clip {bad[0]}); check the audio of these clips or the branch that made them."
        )
    return features


def unit_rows(features: Float[np.ndarray, "clips dim"]) -> Float[np.ndarray, "clips dim"]:
    """Rows of length 1, on the host; a row of zeros stays zero."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(length, 1e-12)


def left_out(
    x: Float[np.ndarray, "clips dim"],
    distance: Callable[[np.ndarray, np.ndarray], np.ndarray],
    folds: int = 5,
) -> Float[np.ndarray, "clips *each"]:
    """Returns `distance(others, these)` of each fold's clips from those of the other folds.

    `distance` takes `[others, dim]` and `[these, dim]`, and gives `[these, *each]`.
    """
    fold = np.arange(len(x)) % min(folds, len(x))
    held = [distance(x[fold != k], x[fold == k]) for k in np.unique(fold)]
    order = np.argsort(fold, kind="stable")  # of the clips as they stand in `held`
    return np.concatenate(held)[np.argsort(order)]


def prepare(
    features: Float[Array | np.ndarray, "clips dim"], l2: Shaped[Array | np.ndarray, ""]
) -> Float[Array, "clips dim"]:
    """Float32 features, rows scaled to length 1 where the flag `l2` (a scalar array) is set."""
    features = jnp.asarray(features, jnp.float32)
    length = jnp.linalg.norm(features, axis=1, keepdims=True)
    return jnp.where(l2 > 0, features / jnp.maximum(length, 1e-12), features)


def product(left: Float[Array, "a b"], right: Float[Array, "b c"]) -> Float[Array, "a c"]:
    """`left @ right`, in float32 on accelerators too."""
    return jnp.matmul(left, right, precision=HIGHEST)


def squared_distances(
    features: Float[Array, "clips dim"], others: Float[Array | np.ndarray, "others dim"]
) -> Float[Array, "clips others"]:
    """Squared Euclidean distances, from differences about the others' mean.

    Centring first keeps |a|^2 - 2ab + |b|^2 from cancelling where all clips lie far from zero.
    """
    centre = jnp.mean(others, axis=0)
    a, b = features - centre, others - centre
    cross = jnp.matmul(a, b.T, precision=HIGHEST)
    square = jnp.sum(a**2, 1)[:, None] - 2.0 * cross + jnp.sum(b**2, 1)[None, :]
    return jnp.maximum(square, 0.0)
