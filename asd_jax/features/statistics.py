"""The statistics branch: numbers for each mel band, from pooling a clip over time."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from asd_jax.features.decibel import FLOOR, power_to_db
from asd_jax.features.settings import TimePooling
from asd_jax.features.views import loudest_first

_HIGHEST = jax.lax.Precision.HIGHEST

REFERENCES = ("mean", "loud", "quiet", "power")  # of `reference_views`


def pool_time(
    mel: Float[Array, "batch mels frames"],
    *,
    settings: TimePooling,
) -> Float[Array, "batch mels"]:
    """Statistics features of linear mel power spectrograms (see `mel_power`).

    Liao et al. (2025), section 2.7.

    Args:
        mel: linear power, not dB.
        settings: how to pool; the pool 'views' is `views.clip_views`.

    Returns:
        A number for each band.
    """
    if settings.pool == "gwap":
        return _weighted_average(_positive_level(mel, settings))
    return (power_to_db(mel) if settings.scale == "db" else mel).mean(axis=-1)


def reference_views(mel: Float[Array, "batch mels frames"]) -> Float[Array, "batch views mels"]:
    """Computes the views of the simple references, in the order of `REFERENCES`, in dB.

    The mean level; the loud moments (each rank weighs 0.9 of the louder one before); the mean of
    the quietest 60 % of frames, each band for itself; the level of the mean power.
    """
    level = power_to_db(mel)
    ranked = loudest_first(level)
    weights = jnp.power(jnp.float32(0.9), jnp.arange(level.shape[-1]))
    loud = jnp.matmul(ranked, weights / weights.sum(), precision=_HIGHEST)
    quiet = ranked[..., -max(1, int(0.6 * level.shape[-1])) :].mean(-1)
    return jnp.stack([level.mean(-1), loud, quiet, power_to_db(mel.mean(-1))], axis=1)


def _positive_level(mel: Array, settings: TimePooling) -> Array:
    # Weights proportional to a level make sense only if no level is negative: count the dB from the
    # floor upwards instead of from full scale downwards.
    return 10.0 * jnp.log10(1.0 + mel / FLOOR) if settings.scale == "db" else mel


def _weighted_average(
    level: Float[Array, "batch mels frames"],
) -> Float[Array, "batch mels"]:
    """Equations 7 and 8: y the time mean, weights y / sum(y), feature = weights * y.

    Equation 7's N is printed as the batch size; a mean over time needs the number of frames.
    """
    y = level.mean(axis=-1)
    return y * y / jnp.maximum(y.sum(axis=-1, keepdims=True), FLOOR)
