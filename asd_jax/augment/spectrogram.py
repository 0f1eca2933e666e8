"""Cut, splice and mixup of two spectrograms (Liao et al. 2025, section 2.3)."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int, Key

from asd_jax.augment.partners import draw_partners, take
from asd_jax.augment.settings import Mixing
from asd_jax.errors import UserError


def splice_mask(key: Key[Array, ""], *, mels: int, frames: int) -> Bool[Array, "mels frames"]:
    """True where the other clip goes: the top-left and the bottom-right rectangle (eq. 1).

    The corner (x, y) has 1 < x < 3/4 mels and 1 < y < 3/4 frames. As the two rectangles touch in
    it, every row and every column holds a piece of both clips, which is what the paper claims:

        other | own
        ------+------
        own   | other

    Raises:
        UserError: if a side is shorter than 4.
    """
    if min(mels, frames) < 4:
        raise UserError(f"A spectrogram of {mels} x {frames} is too small to splice: use 4 x 4.")
    row_key, column_key = jax.random.split(key)
    x = jax.random.randint(row_key, (), 2, -(-3 * mels // 4))
    y = jax.random.randint(column_key, (), 2, -(-3 * frames // 4))
    above, left = jnp.arange(mels)[:, None] < x, jnp.arange(frames) < y
    return above == left


def mix_pair(
    own: Float[Array, "mels frames channels"],
    other: Float[Array, "mels frames channels"],
    mask: Bool[Array, "mels frames"],
    ratio: ArrayLike,
) -> Float[Array, "mels frames channels"]:
    """Eq. 2 on the two spliced spectrograms: (1 - ratio) first + ratio second.

    The first is `own` with pieces of `other` where the mask is True, the second its complement.
    """
    share = jnp.where(mask, 1.0 - ratio, ratio)[..., None]
    return own + share * (other - own)


def mix_batch(
    key: Key[Array, ""],
    x: Float[Array, "batch mels frames channels"],
    *,
    settings: Mixing,
) -> tuple[Float[Array, "batch mels frames channels"], Int[Array, "batch"], Float[Array, "batch"]]:
    """Mixes each spectrogram of a batch with another one of the batch.

    Here a clip depends on its neighbours by intention; `partner` says on which.

    Args:
        key: for the whole batch.
        x: features, normalised or in dB.
        settings: what to do; ratio and probability may be traced, for runs that differ in them.

    Returns:
        The mixed features, the index of each clip's partner in the batch, and the partner's share
        of the label (0 where nothing was mixed).
    """
    batch, mels, frames, _ = x.shape
    partner_key, ratio_key, coin_key, mask_key = jax.random.split(key, 4)
    partner = draw_partners(partner_key, batch)
    shares = jnp.full(batch, settings.mix_ratio, jnp.float32)
    if settings.mix_beta > 0:
        shares = jax.random.beta(ratio_key, settings.mix_beta, settings.mix_beta, (batch,))
    mask = jnp.zeros((batch, mels, frames), bool)
    if settings.splice:
        draw = jax.vmap(lambda k: splice_mask(k, mels=mels, frames=frames))
        mask = draw(jax.random.split(mask_key, batch))
    mixed = jax.vmap(mix_pair)(x, take(x, partner), mask, shares)
    weight = shares
    if settings.mix_label == "area_corrected":
        area = mask.mean(axis=(1, 2))
        weight = area * (1.0 - shares) + (1.0 - area) * shares
    chosen = jax.random.bernoulli(coin_key, settings.mix_probability, (batch,))
    mixed = jnp.where(chosen[:, None, None, None], mixed, x)
    return mixed, partner, jnp.where(chosen, weight, 0.0)
