"""MixUp of whole pictures with their labels, and binary label smoothing.

The only augmentation here that couples clips, because mixing is its point. The spliced mixup of
the ensemble is `asd_jax.augment.spectrogram.mix_batch`.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from asd_jax.augment.partners import draw_partners, take


def mixup(
    key: Array,
    x: Float[Array, "batch *shape"],
    target: Float[Array, "batch"],
    *,
    alpha: float = 0.2,
) -> tuple[Float[Array, "batch *shape"], Float[Array, "batch"]]:
    """Mixes each example with another of the batch, and their targets alike.

    Sun (2025), eq. 3 and 4, with the second x_i meant as x_j; Zhang et al. (2017). The share lambda
    is drawn from Beta(alpha, alpha) for each example. Sun gives no alpha.

    Args:
        key: of the partners and the shares.
        x: inputs.
        target: (smoothed) labels in [0, 1].
        alpha: 0 mixes nothing; the smaller, the nearer the shares are to 0 or 1.

    Returns:
        `lambda x_i + (1 - lambda) x_j` and the same of the targets.
    """
    if not alpha:
        return x, target
    partner_key, share_key = jax.random.split(key)
    partner = draw_partners(partner_key, x.shape[0])
    share = jax.random.beta(share_key, alpha, alpha, (x.shape[0],), jnp.float32)
    return mix(x, take(x, partner), share), mix(target, take(target, partner), share)


def mix(
    x: Float[Array, "batch *shape"], other: Float[Array, "batch *shape"], share: Float[Array, "b"]
) -> Float[Array, "batch *shape"]:
    """Returns `share * x + (1 - share) * other`, one share an example, in the type of `x`."""
    share = share.reshape(-1, *[1] * (x.ndim - 1)).astype(x.dtype)
    return share * x + (1 - share) * other


def smooth_labels(
    label: Float[Array, "batch"], *, epsilon: ArrayLike = 0.1
) -> Float[Array, "batch"]:
    """Returns y (1 - eps) + eps / 2: labels 0 and 1 as eps / 2 and 1 - eps / 2.

    Label smoothing (Szegedy et al., 2016) for one logit and two classes. Sun gives no eps; 0.1 is
    that of the official EfficientNetV2.
    """
    return label * (1.0 - epsilon) + 0.5 * epsilon
