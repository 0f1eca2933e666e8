"""ArcFace's own score: how far an embedding lies from the centres of its own class."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from asd_jax.errors import UserError
from asd_jax.scoring.scorers.features import checked, prepare, product, unit_rows


class Prototypes(NamedTuple):
    """Directions of the class centres, rows of length 1."""

    centres: Float[Array | np.ndarray, "centres dim"]


def fit_arcface(
    features: Float[Array | np.ndarray, "clips dim"],
    *,
    prototypes: Float[Array | np.ndarray, "centres width"],
    name: str = "features",
) -> Prototypes:
    """Keeps the centres that identification has learned; the clips only say that they fit.

    Args:
        features: normal clips of the machine.
        prototypes: the centres of the machine's class, or classes (Deng et al. 2019).
        name: what to call the features in an error.

    Raises:
        UserError: centres and features of unequal width.
    """
    width, ours = checked(features, name).shape[1], np.asarray(prototypes, np.float64)
    if ours.shape[1] != width:
        raise UserError(
            f"The class centres have {ours.shape[1]} numbers and the features of {name!r} {width}: "
            "scorer 'arcface' is for a branch that learned to identify."
        )
    return Prototypes(np.asarray(unit_rows(ours), np.float32))


def score_arcface(
    scorer: Prototypes, features: Float[Array | np.ndarray, "clips dim"]
) -> Float[Array, "clips"]:
    """Returns 1 - cosine to the nearest centre, in [0, 2]."""
    unit = prepare(features, jnp.float32(1))
    return 1.0 - jnp.max(product(unit, jnp.asarray(scorer.centres).T), axis=1)
