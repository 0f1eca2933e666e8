"""Pseudo-anomalies made from normal features, for fine-tuning (Liao et al. 2025, section 2.4.2).

They act on log-mel features in dB *before* the normaliser, one clip at a time. Channel 0 is the
level of the power, channel 1 that of the magnitude; a gain adds the same number of dB to both, and
powers add in both, so one formula serves all channels.

Flip and plus are the paper's. A network separates them from normals within two epochs and then
learns nothing more; the other kinds lie nearer to the normals and keep the hinge of eq. 6 busy.
"""

import functools
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Key

from asd_jax.augment.partners import neighbours, take
from asd_jax.errors import UserError
from asd_jax.features.decibel import db_to_power, power_to_db

_HIGHEST = jax.lax.Precision.HIGHEST
KINDS = ("flip", "plus", "band_gain", "tone_comb", "transient", "covariance")
STACKINGS = ("power", "self", "log_sum")


@dataclass(frozen=True)
class PseudoAnomaly:
    """How often each kind of pseudo-anomaly is drawn, and how strong it is.

    Attributes:
        flip: share of spectrogram flips (SF): the mel axis reversed.
        plus: share of spectrogram pluses (SP): clips stacked on each other.
        band_gain: share of clips with one band a little louder or quieter.
        tone_comb: share of clips with a weak harmonic comb.
        transient: share of clips with a few short events, which an average over time hides.
        covariance: share of clips moved along the normals' own covariance; needs a `factor`.
        stacking: for plus: `power` (powers add), `self` (copies of the clip itself, a constant
            gain) or `log_sum` (the dB values add).
        stack_sizes: for plus: the smallest and largest number of clips in a stack.
        gain_db: smallest and largest band gain.
        tone_db: lowest and highest level of a tone beside what its mel bin holds on average.
        transient_db: smallest and largest peak of a transient.
        covariance_scale: standard deviations of the normals by which a covariance draw moves.

    Raises:
        UserError: naming the field that cannot be.
    """

    flip: float = 0.1
    plus: float = 0.2
    band_gain: float = 0.3
    tone_comb: float = 0.2
    transient: float = 0.2
    covariance: float = 0.0
    stacking: str = "power"
    stack_sizes: tuple[int, int] = (2, 3)
    gain_db: tuple[float, float] = (0.5, 3.0)
    tone_db: tuple[float, float] = (-6.0, 3.0)
    transient_db: tuple[float, float] = (3.0, 12.0)
    covariance_scale: float = 2.0

    def __post_init__(self) -> None:
        shares = self.shares
        if min(shares.values()) < 0 or not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6):
            raise UserError(f"pseudo: the shares {shares} must not be negative and must sum to 1.")
        if self.stacking not in STACKINGS:
            raise UserError(
                f"pseudo.stacking={self.stacking!r} is unknown: use one of {STACKINGS}."
            )
        if not 2 <= self.stack_sizes[0] <= self.stack_sizes[1]:
            raise UserError(
                f"pseudo.stack_sizes={self.stack_sizes} must be (smallest, largest), from 2 on."
            )
        for field in ("gain_db", "tone_db", "transient_db"):
            low, high = getattr(self, field)
            if low > high:
                raise UserError(f"pseudo.{field}=({low}, {high}) must be (lowest, highest).")

    @property
    def shares(self) -> dict[str, float]:
        """The share of each kind."""
        return {kind: getattr(self, kind) for kind in KINDS}

    @classmethod
    def literal(cls) -> "PseudoAnomaly":
        """As printed: flip or plus, one as likely as the other."""
        return cls(flip=0.5, plus=0.5, band_gain=0.0, tone_comb=0.0, transient=0.0)


def pseudo_batch(
    key: Key[Array, ""],
    x: Float[Array, "batch mels frames channels"],
    *,
    settings: PseudoAnomaly,
    mel_hz: Float[Array, "mels"] | Float[np.ndarray, "mels"] | None = None,
    factor: Float[Array, "mels channels rank"] | None = None,
    strength: ArrayLike = 1.0,
) -> Float[Array, "batch mels frames channels"]:
    """One pseudo-anomaly for each normal clip of a batch; see `pseudo_anomaly`.

    Clips are stacked with their neighbours at random distances in the batch, never with themselves
    (unless the batch has but one clip). With a share of 0 for plus no clip depends on another.
    """
    batch = x.shape[0]
    partner_key, own_key = jax.random.split(key)
    stacks = settings.plus > 0 and settings.stacking != "self"
    wanted = settings.stack_sizes[1] - 1 if stacks else 0
    others = take(x, neighbours(partner_key, batch, wanted))
    one = functools.partial(
        pseudo_anomaly, settings=settings, mel_hz=mel_hz, factor=factor, strength=strength
    )
    return jax.vmap(one)(jax.random.split(own_key, batch), x, others)


def pseudo_anomaly(
    key: Key[Array, ""],
    x: Float[Array, "mels frames channels"],
    others: Float[Array, "others mels frames channels"],
    *,
    settings: PseudoAnomaly,
    mel_hz: Float[Array, "mels"] | Float[np.ndarray, "mels"] | None = None,
    factor: Float[Array, "mels channels rank"] | None = None,
    strength: ArrayLike = 1.0,
) -> Float[Array, "mels frames channels"]:
    """Draws a kind by its share and applies it to one normal clip.

    Args:
        key: for this clip alone.
        x: features in dB, not normalised.
        others: other normal clips, one fewer than the largest stack; may be empty without plus.
        settings: shares and strengths. Kinds of share 0 are not even compiled.
        mel_hz: where the mel filters peak, in Hz; needed for tone combs.
        factor: F with F F^T the covariance of normal clips (time-averaged dB); for `covariance`.
        strength: multiplies the near-normal kinds' dB (adds to tones); may be traced.

    Raises:
        UserError: if something is missing that a kind needs.
    """
    _check_given(settings, others, mel_hz, factor)
    s = settings
    # What is absent belongs to kinds of share 0, which are not called.
    hz = jnp.zeros(0) if mel_hz is None else mel_hz
    drawn = jnp.zeros((0, 0)) if factor is None else factor
    makers = {
        "flip": lambda k: flip(x),
        "plus": lambda k: plus(k, x, others, sizes=s.stack_sizes, stacking=s.stacking),
        "band_gain": lambda k: band_gain(k, x, gain_db=s.gain_db, strength=strength),
        "tone_comb": lambda k: tone_comb(k, x, hz, level_db=s.tone_db, strength=strength),
        "transient": lambda k: transient(k, x, gain_db=s.transient_db, strength=strength),
        "covariance": lambda k: covariance_draw(
            k, x, drawn, scale=strength * jnp.float32(s.covariance_scale)
        ),
    }
    used = {kind: share for kind, share in s.shares.items() if share > 0}
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
    sizes: tuple[int, int] = (2, 3),
    stacking: str = "power",
) -> Float[Array, "mels frames channels"]:
    """Spectrogram plus: k clips stacked, k uniform in `sizes`. See `PseudoAnomaly.stacking`."""
    k = jax.random.randint(key, (), sizes[0], sizes[1] + 1)
    if stacking == "self":
        return x + 10.0 * jnp.log10(k.astype(x.dtype))
    counted = (jnp.arange(others.shape[0]) < k - 1)[:, None, None, None]
    if stacking == "log_sum":
        return x + jnp.where(counted, others, 0.0).sum(axis=0)
    return power_to_db(db_to_power(x) + jnp.where(counted, db_to_power(others), 0.0).sum(axis=0))


def band_gain(
    key: Key[Array, ""],
    x: Float[Array, "mels frames channels"],
    *,
    gain_db: tuple[float, float] = (0.5, 3.0),
    strength: ArrayLike = 1.0,
) -> Float[Array, "mels frames channels"]:
    """A smooth band of random place and width, louder or quieter all the time."""
    band_key, gain_key, sign_key = jax.random.split(key, 3)
    gain = jax.random.uniform(gain_key, (), minval=gain_db[0], maxval=gain_db[1])
    gain = gain * jax.random.rademacher(sign_key, ()) * strength
    return x + gain * _band(band_key, x.shape[0])[:, None, None]


def tone_comb(
    key: Key[Array, ""],
    x: Float[Array, "mels frames channels"],
    mel_hz: Float[Array, "mels"] | Float[np.ndarray, "mels"],
    *,
    level_db: tuple[float, float] = (-6.0, 3.0),
    strength: ArrayLike = 1.0,
) -> Float[Array, "mels frames channels"]:
    """A steady harmonic comb of random spacing (40 to 1000 Hz) and up to 16 lines.

    Each line is `level_db` beside the average power of the mel bin in which it lies, so it is about
    equally hard to hear in each bin; being steady, it fills the bin's quiet moments. `strength`
    multiplies the line's power.
    """
    spacing_key, level_key, count_key = jax.random.split(key, 3)
    spacing = 40.0 * jnp.exp(jax.random.uniform(spacing_key) * math.log(25.0))
    harmonic = jnp.arange(1, 17)
    hz = jnp.asarray(mel_hz, jnp.float32)
    heard = (harmonic <= jax.random.randint(count_key, (), 1, 17)) & (harmonic * spacing < hz[-1])
    place = jnp.interp(harmonic * spacing, hz, jnp.arange(hz.size, dtype=jnp.float32))
    lines = jnp.maximum(0.0, 1.0 - jnp.abs(jnp.arange(hz.size)[:, None] - place))
    profile = jnp.where(heard, lines, 0.0).max(axis=1)[:, None, None]
    level = jax.random.uniform(level_key, (), minval=level_db[0], maxval=level_db[1])
    power = db_to_power(x)
    line = db_to_power(level) * strength * profile * power.mean(axis=1, keepdims=True)
    return power_to_db(power + line)


def transient(
    key: Key[Array, ""],
    x: Float[Array, "mels frames channels"],
    *,
    gain_db: tuple[float, float] = (3.0, 12.0),
    strength: ArrayLike = 1.0,
) -> Float[Array, "mels frames channels"]:
    """One to four short events, one to four frames long, louder in a band: knocks and clicks."""
    band_key, count_key, place_key, width_key, gain_key = jax.random.split(key, 5)
    events = jnp.arange(4) < jax.random.randint(count_key, (), 1, 5)
    middle = jax.random.uniform(place_key, (4,), maxval=float(x.shape[1]))
    width = jax.random.uniform(width_key, (4,), minval=0.5, maxval=1.5)
    away = (jnp.arange(x.shape[1])[:, None] + 0.5 - middle) / width
    profile = jnp.where(events, jnp.exp(-0.5 * jnp.square(away)), 0.0).max(axis=1)
    gain = strength * jax.random.uniform(gain_key, (), minval=gain_db[0], maxval=gain_db[1])
    return x + gain * _band(band_key, x.shape[0])[:, None, None] * profile[:, None]


def covariance_draw(
    key: Key[Array, ""],
    x: Float[Array, "mels frames channels"],
    factor: Float[Array, "mels channels rank"],
    *,
    scale: ArrayLike = 2.0,
) -> Float[Array, "mels frames channels"]:
    """Moves the whole clip along the normals' own covariance: x + scale F z, z standard normal."""
    z = jax.random.normal(key, (factor.shape[-1],))
    return x + scale * jnp.matmul(factor, z, precision=_HIGHEST)[:, None, :]


def _band(key: Key[Array, ""], mels: int) -> Float[Array, "mels"]:
    """A raised cosine over a twentieth to a third of the mel axis, at a random place, peak 1."""
    place_key, width_key = jax.random.split(key)
    half = jax.random.uniform(width_key, (), minval=0.025, maxval=1 / 6) * mels
    # The middle lies on a bin, so that even the narrowest band has its full height somewhere.
    away = jnp.abs(jnp.arange(mels) - jax.random.randint(place_key, (), 0, mels)) / half
    return jnp.where(away < 1.0, 0.5 + 0.5 * jnp.cos(math.pi * away), 0.0)


def _check_given(settings: PseudoAnomaly, others: Array, mel_hz: object, factor: object) -> None:
    short = others.shape[0] < settings.stack_sizes[1] - 1
    if settings.plus > 0 and settings.stacking != "self" and short:
        raise UserError(
            f"pseudo.stack_sizes={settings.stack_sizes} needs {settings.stack_sizes[1] - 1} other"
            f" clips, here are {others.shape[0]}."
        )
    if settings.tone_comb > 0 and mel_hz is None:
        raise UserError("pseudo.tone_comb needs the mel filters' frequencies (mel_hz).")
    if settings.covariance > 0 and factor is None:
        raise UserError("pseudo.covariance needs a factor of the normals' covariance.")
