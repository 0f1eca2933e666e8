"""Pseudo-anomalies made from normal features, for fine-tuning (Liao et al. 2025, section 2.4.2).

They act on log-mel features in dB *before* the normaliser, one clip at a time. Channel 0 is the
level of the power, channel 1 that of the magnitude; a gain adds the same number of dB to both, and
powers add in both, so one formula serves all channels.

Flip and plus are the paper's. A network separates them from normals within two epochs and then
learns nothing more; the other kinds lie nearer to the normals and keep the hinge of eq. 6 busy.
"""

import functools
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Key

from asd_jax.augment.partners import neighbours, take
from asd_jax.errors import UserError
from asd_jax.features.decibel import db_to_power, power_to_db

# Shares of the kinds, each a function of its name below: as printed, and with others beside them.
LITERAL = {"flip": 0.5, "plus": 0.5}
RECOMMENDED = {"flip": 0.1, "plus": 0.2, "band_gain": 0.3, "tone_comb": 0.2, "transient": 0.2}
STACK = (2, 3)  # clips in a stack, at least and at most


def pseudo_batch(
    key: Key[Array, ""],
    x: Float[Array, "batch mels frames channels"],
    *,
    shares: Mapping[str, float],
    mel_hz: Float[Array, "mels"] | Float[np.ndarray, "mels"] | None = None,
) -> Float[Array, "batch mels frames channels"]:
    """One pseudo-anomaly for each normal clip of a batch; see `pseudo_anomaly`.

    Clips are stacked with their neighbours at random distances in the batch, never with themselves
    (unless the batch has but one clip). With a share of 0 for plus no clip depends on another.
    """
    batch = x.shape[0]
    partner_key, own_key = jax.random.split(key)
    wanted = STACK[1] - 1 if shares.get("plus") else 0
    others = take(x, neighbours(partner_key, batch, wanted))
    one = functools.partial(pseudo_anomaly, shares=shares, mel_hz=mel_hz)
    return jax.vmap(one)(jax.random.split(own_key, batch), x, others)


def pseudo_anomaly(
    key: Key[Array, ""],
    x: Float[Array, "mels frames channels"],
    others: Float[Array, "others mels frames channels"],
    *,
    shares: Mapping[str, float],
    mel_hz: Float[Array, "mels"] | Float[np.ndarray, "mels"] | None = None,
) -> Float[Array, "mels frames channels"]:
    """Draws a kind by its share and applies it to one normal clip.

    Args:
        key: for this clip alone.
        x: features in dB, not normalised.
        others: other normal clips, one fewer than the largest stack; may be empty without plus.
        shares: of the kinds, by name, with the sum 1. Those of share 0 are not even compiled.
        mel_hz: where the mel filters peak, in Hz; needed for tone combs.

    Raises:
        UserError: if something is missing that a kind needs.
    """
    used = {kind: share for kind, share in shares.items() if share > 0}
    if "plus" in used and others.shape[0] < STACK[1] - 1:
        raise UserError(f"plus needs {STACK[1] - 1} other clips, here are {others.shape[0]}.")
    if "tone_comb" in used and mel_hz is None:
        raise UserError("tone_comb needs the mel filters' frequencies (mel_hz).")
    # Without tone_comb nothing reads it.
    hz = jnp.zeros(0) if mel_hz is None else mel_hz
    makers = {
        "flip": lambda k: flip(x),
        "plus": lambda k: plus(k, x, others),
        "band_gain": lambda k: band_gain(k, x),
        "tone_comb": lambda k: tone_comb(k, x, hz),
        "transient": lambda k: transient(k, x),
    }
    kind_key, inner = jax.random.split(key)
    edges = jnp.cumsum(jnp.asarray(list(used.values())))[:-1]
    kind = jnp.searchsorted(edges, jax.random.uniform(kind_key), side="right")
    return jax.lax.switch(kind, [makers[name] for name in used], inner)


def flip(x: Float[Array, "mels frames channels"]) -> Float[Array, "mels frames channels"]:
    """Spectrogram flip: the mel axis reversed. Hardly a sound that a wide-band machine can make."""
    return x[::-1]


def plus(
    key: Key[Array, ""],
    x: Float[Array, "mels frames channels"],
    others: Float[Array, "others mels frames channels"],
    *,
    sizes: tuple[int, int] = STACK,
) -> Float[Array, "mels frames channels"]:
    """Spectrogram plus: the powers of k clips added, k uniform in `sizes`."""
    k = jax.random.randint(key, (), sizes[0], sizes[1] + 1)
    counted = (jnp.arange(others.shape[0]) < k - 1)[:, None, None, None]
    return power_to_db(db_to_power(x) + jnp.where(counted, db_to_power(others), 0.0).sum(axis=0))


def band_gain(
    key: Key[Array, ""],
    x: Float[Array, "mels frames channels"],
    *,
    gain_db: tuple[float, float] = (0.5, 3.0),
) -> Float[Array, "mels frames channels"]:
    """A smooth band of random place and width, louder or quieter all the time."""
    band_key, gain_key, sign_key = jax.random.split(key, 3)
    gain = jax.random.uniform(gain_key, (), minval=gain_db[0], maxval=gain_db[1])
    gain = gain * jax.random.rademacher(sign_key, ())
    return x + gain * _band(band_key, x.shape[0])[:, None, None]


def tone_comb(
    key: Key[Array, ""],
    x: Float[Array, "mels frames channels"],
    mel_hz: Float[Array, "mels"] | Float[np.ndarray, "mels"],
    *,
    level_db: tuple[float, float] = (-6.0, 3.0),
) -> Float[Array, "mels frames channels"]:
    """A steady harmonic comb of random spacing (40 to 1000 Hz) and up to 16 lines.

    Each line is `level_db` beside the average power of the mel bin in which it lies, so it is about
    equally hard to detect in each bin; being steady, it fills the bin's quiet moments.
    """
    spacing_key, level_key, count_key = jax.random.split(key, 3)
    spacing = 40.0 * jnp.exp(jax.random.uniform(spacing_key) * math.log(25.0))
    harmonic = jnp.arange(1, 17)
    hz = jnp.asarray(mel_hz, jnp.float32)
    audible = (harmonic <= jax.random.randint(count_key, (), 1, 17)) & (harmonic * spacing < hz[-1])
    place = jnp.interp(harmonic * spacing, hz, jnp.arange(hz.size, dtype=jnp.float32))
    lines = jnp.maximum(0.0, 1.0 - jnp.abs(jnp.arange(hz.size)[:, None] - place))
    profile = jnp.where(audible, lines, 0.0).max(axis=1)[:, None, None]
    level = jax.random.uniform(level_key, (), minval=level_db[0], maxval=level_db[1])
    power = db_to_power(x)
    line = db_to_power(level) * profile * power.mean(axis=1, keepdims=True)
    return power_to_db(power + line)


def transient(
    key: Key[Array, ""],
    x: Float[Array, "mels frames channels"],
    *,
    gain_db: tuple[float, float] = (3.0, 12.0),
) -> Float[Array, "mels frames channels"]:
    """One to four short events, one to four frames long, louder in a band: knocks and clicks."""
    band_key, count_key, place_key, width_key, gain_key = jax.random.split(key, 5)
    events = jnp.arange(4) < jax.random.randint(count_key, (), 1, 5)
    middle = jax.random.uniform(place_key, (4,), maxval=float(x.shape[1]))
    width = jax.random.uniform(width_key, (4,), minval=0.5, maxval=1.5)
    away = (jnp.arange(x.shape[1])[:, None] + 0.5 - middle) / width
    profile = jnp.where(events, jnp.exp(-0.5 * jnp.square(away)), 0.0).max(axis=1)
    gain = jax.random.uniform(gain_key, (), minval=gain_db[0], maxval=gain_db[1])
    return x + gain * _band(band_key, x.shape[0])[:, None, None] * profile[:, None]


def _band(key: Key[Array, ""], mels: int) -> Float[Array, "mels"]:
    """A raised cosine over a twentieth to a third of the mel axis, at a random place, peak 1."""
    place_key, width_key = jax.random.split(key)
    half = jax.random.uniform(width_key, (), minval=0.025, maxval=1 / 6) * mels
    # The middle lies on a bin, so that even the narrowest band has its full height somewhere.
    away = jnp.abs(jnp.arange(mels) - jax.random.randint(place_key, (), 0, mels)) / half
    return jnp.where(away < 1.0, 0.5 + 0.5 * jnp.cos(math.pi * away), 0.0)
