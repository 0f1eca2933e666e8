"""Attention inside a convolutional block: every kind of Sun's Table 5 behind one interface.

An attention is a linen module called as `module(x, train=...)` on `[batch, height, width,
channels]`; it returns x times a gate of the same shape, in x's dtype. Pooling and gates are always
computed in float32, whatever the network body computes in.

Sources: SE (Hu 2018, as EfficientNet uses it), CBAM (Woo 2018), SimAM (Yang 2021), ECA (Wang 2020),
SOCA (Dai 2019), NAM (Liu 2021), and the improved CBAM of Sun (2025), section 2.2.2.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float

from asd_jax.errors import UserError
from asd_jax.models import layers, ops
from asd_jax.models.initialise import kernel_init
from asd_jax.models.layers import BatchNorm, dense
from asd_jax.models.ops.simam import RECIPROCAL, SIGMOID, gate_by_deviation, pool
from asd_jax.types import Maps

SIMAM_LAMBDA = {"official": 1e-4, "sun": 1.0}
SE_RATIO = 0.25  # squeezed channels of 'se' as a share of the *block's input* channels
KERNEL_SIZE = 3  # of 'eca'


@dataclasses.dataclass(frozen=True)
class Attention:
    """Which attention a block carries, and its settings.

    Attributes:
        kind: a name in `ATTENTION`.
        simam: 'official' (Yang 2021) or 'sun' (Sun 2025, eq. 1 and 2); for 'simam', 'simam_cbam'.
    """

    kind: str = "se"
    simam: str = "official"

    def __post_init__(self) -> None:
        for field, known in (("kind", ATTENTION), ("simam", SIMAM_LAMBDA)):
            if getattr(self, field) not in known:
                raise UserError(
                    f"attention {field} is {getattr(self, field)!r}; known are {', '.join(known)}."
                )


def make_attention(
    settings: Attention, *, block_channels: int, name: str | None = None
) -> nn.Module:
    """Builds the attention module of one block.

    Args:
        settings: kind and settings.
        block_channels: channels that enter the block, to which SE's ratio refers.
        name: the module's name in the parameter tree.
    """
    return ATTENTION[settings.kind](settings, block_channels, name)


class NoAttention(nn.Module):
    """Returns its input."""

    @nn.compact
    def __call__(self, x: Maps, *, train: bool) -> Maps:
        """Returns x."""
        return x


class SqueezeExcite(layers.SqueezeExcite):
    """SE as EfficientNet has it: gate = sigmoid(W2 silu(W1 mean(x))), one number a channel.

    Attributes:
        squeezed: width of the hidden layer.
    """

    activation: Callable[[Array], Array] = nn.silu

    def __call__(self, x: Maps, *, train: bool = False) -> Maps:
        """Returns x gated by channel."""
        return super().__call__(x)


class Eca(nn.Module):
    """ECA: gate = sigmoid(1-D convolution of mean(x) along the channels), without bias."""

    @nn.compact
    def __call__(self, x: Maps, *, train: bool) -> Maps:
        """Returns x gated by channel."""
        channels = x.shape[-1]
        weight = self.param("kernel", kernel_init, (KERNEL_SIZE, 1))
        pooled = jnp.mean(x, (1, 2), dtype=jnp.float32)
        padded = jnp.pad(pooled, ((0, 0), (KERNEL_SIZE // 2, KERNEL_SIZE // 2)))
        mixed = sum(weight[i] * padded[:, i : i + channels] for i in range(KERNEL_SIZE))
        return x * nn.sigmoid(mixed)[:, None, None].astype(x.dtype)


class ChannelGate(nn.Module):
    """CBAM's channel attention: sigmoid(mlp(mean(x)) + mlp(max(x))) with one shared MLP.

    Attributes:
        reduction: the MLP's hidden layer has channels / reduction units.
    """

    reduction: int = 16

    @nn.compact
    def __call__(
        self, mean: Float[Array, "batch channels"], peak: Float[Array, "batch channels"]
    ) -> Float[Array, "batch channels"]:
        """Returns one gate a channel from the mean and the maximum of its map."""
        channels = mean.shape[-1]
        both = jnp.stack([mean, peak])
        hidden = nn.relu(dense(max(1, channels // self.reduction), name="reduce")(both))
        return nn.sigmoid(jnp.sum(dense(channels, name="expand")(hidden), 0))


class Cbam(nn.Module):
    """CBAM: channel attention, then sigmoid(BN(7x7 conv([max, mean] over channels)))."""

    @nn.compact
    def __call__(self, x: Maps, *, train: bool) -> Maps:
        """Returns x gated by channel and then by position."""
        mean, peak = jnp.mean(x, (1, 2), dtype=jnp.float32), jnp.max(x, (1, 2))
        gate = ChannelGate(name="channel")(mean, peak.astype(jnp.float32))
        x = x * gate[:, None, None].astype(x.dtype)
        pooled = jnp.stack([jnp.max(x, -1), jnp.mean(x, -1)], -1).astype(jnp.float32)
        kernel = self.param("spatial", kernel_init, (7, 7, 2, 1))
        mixed = ops.conv(pooled, kernel, padding=(3, 3))
        mixed = BatchNorm(name="spatial_norm")(mixed, train=train)
        return x * nn.sigmoid(mixed).astype(x.dtype)


class Simam(nn.Module):
    """SimAM by itself; no parameters. See `simam`.

    Attributes:
        definition: 'official' or 'sun'.
    """

    definition: str = "official"

    @nn.compact
    def __call__(self, x: Maps, *, train: bool) -> Maps:
        """Returns x gated by position and channel."""
        mean, spread, _ = pool(x)
        strength = SIMAM_LAMBDA[self.definition]
        return simam(x, mean, spread, definition=self.definition, strength=strength)


class ImprovedCbam(nn.Module):
    """Sun's improved CBAM: CBAM's channel attention, then SimAM in place of the 7x7 convolution.

    SimAM sees x scaled by the channel gate. The moments of a scaled map follow from those of the
    map, so one pass over x pools it and a second one writes the result; the scaled map is never
    stored.

    Attributes:
        definition: SimAM 'official' or 'sun'.
    """

    definition: str = "official"

    @nn.compact
    def __call__(self, x: Maps, *, train: bool) -> Maps:
        """Returns x gated by channel and then by position and channel."""
        mean, spread, peak = pool(x)
        channel, strength = ChannelGate(name="channel")(mean, peak), SIMAM_LAMBDA[self.definition]
        return simam(x, mean, spread, channel, definition=self.definition, strength=strength)


class Nam(nn.Module):
    """NAM's channel attention: sigmoid(w BN(x)), w = abs(gamma) / sum(abs(gamma)).

    The paper has no activation between; gamma is the BatchNorm's own scale.
    """

    @nn.compact
    def __call__(self, x: Maps, *, train: bool) -> Maps:
        """Returns x gated by position and channel."""
        norm = BatchNorm(name="bn")
        scaled = norm(x, train=train)
        gamma = jnp.abs(norm.variables["params"]["scale"])
        gate = nn.sigmoid(gamma / jnp.sum(gamma) * scaled.astype(jnp.float32))
        return x * gate.astype(x.dtype)


def simam(
    x: Maps,
    mean: Float[Array, "batch channels"],
    spread: Float[Array, "batch channels"],
    channel: Float[Array, "batch channels"] | None = None,
    *,
    definition: str = "official",
    strength: float = 1e-4,
) -> Maps:
    """Returns `channel * x` times SimAM's gate; the gate is computed in float32.

    With n positions, d the deviation from the map's mean and S the sum of d squared:

    - 'official' (Yang 2021, and its code): v = S / (n - 1),
      gate = sigmoid(d^2 / (4 (v + lambda)) + 1/2): in [0.62, 1), larger where x stands out.
    - 'sun' (Sun 2025, eq. 1 and 2): E = (x_i - mu_-i)^2 + lambda var_-i, gate = 1 / (1 + E), where
      moments leave out position i: x_i - mu_-i = d n / (n - 1) and
      var_-i = (S - d^2 n / (n - 1)) / (n - 1). As printed it is *smaller* where x stands out.

    Args:
        x: the maps before channel gating.
        mean: mean of each map.
        spread: S of each map.
        channel: a factor for each map; None means 1.
        definition: 'official' or 'sun'.
        strength: lambda.
    """
    n = x.shape[1] * x.shape[2]
    others = max(n - 1, 1)
    channel = jnp.ones_like(mean) if channel is None else channel
    scale = jnp.square(channel)
    if definition == "official":
        factor = scale / (4 * (scale * spread / others + strength))
        half = jnp.full_like(mean, 0.5)
        return gate_by_deviation(x, mean, channel, factor, half, SIGMOID)
    ratio = n / others
    factor = scale * (ratio * ratio - strength * ratio / others)
    offset = 1 + scale * strength * spread / others
    return gate_by_deviation(x, mean, channel, factor, offset, RECIPROCAL)


ITERATIONS = 5  # of Newton-Schulz, as in the paper
TINY = 1e-10  # a flat map has trace 0
_HIGHEST = jax.lax.Precision.HIGHEST


class Soca(nn.Module):
    """SOCA: gate = sigmoid(W2 relu(W1 z)), z the row means of the square root of the covariance.

    Attributes:
        reduction: the hidden layer has channels / reduction units.
    """

    reduction: int = 8

    @nn.compact
    def __call__(self, x: Maps, *, train: bool) -> Maps:
        """Returns x gated by channel."""
        batch, h, w, channels = x.shape
        pooled = second_order_pool(x.astype(jnp.float32).reshape(batch, h * w, channels))
        hidden = nn.relu(dense(max(1, channels // self.reduction), name="squeeze")(pooled))
        gate = nn.sigmoid(dense(channels, name="excite")(hidden))
        return x * gate[:, None, None].astype(x.dtype)


def second_order_pool(
    x: Float[Array, "batch positions channels"],
) -> Float[Array, "batch channels"]:
    """Row means of the square root of each clip's channel covariance, by 5 Newton-Schulz steps.

    The iterate is Y = A Z with Z a polynomial of the scaled covariance A = X'X / trace. Only Y
    times a vector of ones is wanted, and X'X Z(X'X) 1 = X' Z(XX') X 1, so the iteration runs on the
    smaller of the two Gram matrices: 49 x 49 in place of 1536 x 1536 in the last stage. This is
    what makes SOCA affordable on expanded channels.
    """
    _, positions, channels = x.shape
    x = (x - jnp.mean(x, 1, keepdims=True)) / jnp.sqrt(positions)
    trace = jnp.maximum(jnp.sum(jnp.square(x), (1, 2)), TINY)
    x = x / jnp.sqrt(trace)[:, None, None]
    total = jnp.sum(x, 2)  # X 1
    if channels <= positions:
        gram = jnp.einsum("bpc,bpd->bcd", x, x, precision=_HIGHEST)
        ones = jnp.ones((x.shape[0], channels), jnp.float32)
        root = jnp.einsum("bcd,bd->bc", gram, _inverse_root(gram, ones), precision=_HIGHEST)
    else:
        gram = jnp.einsum("bpc,bqc->bpq", x, x, precision=_HIGHEST)
        root = jnp.einsum("bpc,bp->bc", x, _inverse_root(gram, total), precision=_HIGHEST)
    return root * (jnp.sqrt(trace) / channels)[:, None]


def _inverse_root(
    a: Float[Array, "batch n n"], vector: Float[Array, "batch n"]
) -> Float[Array, "batch n"]:
    """Z vector, where Z goes to the inverse square root of `a` (eigenvalues in [0, 1]).

    Coupled iteration from Y = a, Z = I: T = (3 I - Z Y) / 2, Y <- Y T, Z <- T Z.
    """

    def times(left: Array, right: Array) -> Array:
        return jnp.matmul(left, right, precision=_HIGHEST)

    identity = jnp.eye(a.shape[-1], dtype=a.dtype)
    z = 1.5 * identity - 0.5 * a
    y = times(a, z)
    for _ in range(ITERATIONS - 2):
        t = 1.5 * identity - 0.5 * times(z, y)
        y, z = times(y, t), times(t, z)
    vector = times(z, vector[..., None])
    return (1.5 * vector - 0.5 * times(z, times(y, vector)))[..., 0]


ATTENTION: dict[str, Callable[[Attention, int, str | None], nn.Module]] = {
    "none": lambda s, block, name: NoAttention(name=name),
    "se": lambda s, block, name: SqueezeExcite(max(1, round(SE_RATIO * block)), name=name),
    "cbam": lambda s, block, name: Cbam(name=name),
    "simam": lambda s, block, name: Simam(s.simam, name=name),
    "simam_cbam": lambda s, block, name: ImprovedCbam(s.simam, name=name),
    "eca": lambda s, block, name: Eca(name=name),
    "soca": lambda s, block, name: Soca(name=name),
    "nam": lambda s, block, name: Nam(name=name),
}
