"""The statistics branch: numbers for each mel band, from pooling a clip over time."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from asd_jax.features.decibel import FLOOR, power_to_db
from asd_jax.features.ranking import loudest_first
from asd_jax.features.settings import TimePooling

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
    return POOLS[settings.pool](scale_mel(mel, settings=settings), settings)


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


def scale_mel(
    mel: Float[Array, "batch mels frames"], *, settings: TimePooling
) -> Float[Array, "batch mels frames"]:
    """The levels that are pooled: dB with the front end's floor, or the power itself."""
    return power_to_db(mel) if settings.scale == "db" else mel


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


def _rank_weighted(x: Array, settings: TimePooling) -> Array:
    """Global weighted ranking pooling: the loudest frame first, each next one `decay` as heavy."""
    weights = jnp.power(jnp.float32(settings.decay), jnp.arange(x.shape[-1]))
    return jnp.matmul(loudest_first(x), weights / weights.sum(), precision=_HIGHEST)


def _quiet_frames(x: Array, settings: TimePooling) -> Array:
    """The mean over the quietest share of frames, by their mean level over all bins."""
    frames = x.shape[-1]
    wanted = max(1, round(settings.quantile * frames))
    rank = jnp.argsort(jnp.argsort(x.mean(axis=1), axis=-1), axis=-1)
    weights = (rank < wanted).astype(x.dtype) / wanted
    return jnp.einsum("bmf,bf->bm", x, weights, precision=_HIGHEST)


POOLS = {
    "mean": lambda x, settings: x.mean(axis=-1),
    "max": lambda x, settings: x.max(axis=-1),
    "std": lambda x, settings: x.std(axis=-1),
    "gwrp": _rank_weighted,
    "quantile": lambda x, settings: jnp.quantile(x, settings.quantile, axis=-1),
    "quiet_frames": _quiet_frames,
}
