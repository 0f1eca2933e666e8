"""Decibels and back. Every level in this project is a power level: 10 log10."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from asd_jax.features.settings import FLOOR


def power_to_db(power: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns 10 log10 of a power, with powers under `FLOOR` counted as that. No `top_db`."""
    return 10.0 * jnp.log10(jnp.maximum(power, FLOOR))


def db_to_power(db: Float[Array, "..."]) -> Float[Array, "..."]:
    """The power of a level in dB; undoes `power_to_db` above its floor."""
    return jnp.exp(db * (jnp.log(10.0) / 10.0))


def magnitude_to_db(magnitude: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns 20 log10 of a magnitude, with the same floor in dB as `power_to_db`."""
    return power_to_db(jnp.square(magnitude))
