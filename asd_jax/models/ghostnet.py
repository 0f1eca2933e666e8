"""GhostNetV2 (Tang et al. 2022, arXiv 2211.12905): cheap feature maps and long-range attention.

A ghost module computes half of its channels with a 1 x 1 convolution and makes the other half from
them with a 3 x 3 depthwise one. Decoupled fully connected (DFC) attention weighs the first module
of a bottleneck by strips of 1 x 5 and 5 x 1 at half resolution.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from asd_jax.errors import UserError
from asd_jax.models import ops
from asd_jax.models.layers import (
    Activation,
    ConvBN,
    SqueezeExcite,
    centred,
    dense,
    relu,
    round_channels,
    run_block,
)
from asd_jax.models.model import Model, wrap
from asd_jax.types import AnyMaps


@dataclasses.dataclass(frozen=True)
class GhostBlock:
    """One bottleneck, at width 1.

    Attributes:
        kernel: size of the kernel of its depthwise convolution, where the stride is 2.
        expanded: channels between the two ghost modules.
        out: channels of the result.
        squeeze: hidden width of squeeze-and-excitation as a share of `expanded`; 0 for none.
        stride: 1, or 2 to halve the resolution.
        attention: DFC attention on the first ghost module.
    """

    kernel: int
    expanded: int
    out: int
    squeeze: float
    stride: int
    attention: bool = True


# The rows of the reference networks, by stage. The first two bottlenecks have no attention.
STAGES: tuple[tuple[GhostBlock, ...], ...] = (
    (GhostBlock(3, 16, 16, 0, 1, attention=False),),
    (GhostBlock(3, 48, 24, 0, 2, attention=False), GhostBlock(3, 72, 24, 0, 1)),
    (GhostBlock(5, 72, 40, 0.25, 2), GhostBlock(5, 120, 40, 0.25, 1)),
    (
        GhostBlock(3, 240, 80, 0, 2),
        GhostBlock(3, 200, 80, 0, 1),
        GhostBlock(3, 184, 80, 0, 1),
        GhostBlock(3, 184, 80, 0, 1),
        GhostBlock(3, 480, 112, 0.25, 1),
        GhostBlock(3, 672, 112, 0.25, 1),
    ),
    (
        GhostBlock(5, 672, 160, 0.25, 2),
        GhostBlock(5, 960, 160, 0, 1),
        GhostBlock(5, 960, 160, 0.25, 1),
        GhostBlock(5, 960, 160, 0, 1),
        GhostBlock(5, 960, 160, 0.25, 1),
    ),
)


AT_A_TIME = 4  # clips of inference, whose maps then stay in the cache
POOLS = ("global", "frequency")
SMALLEST = 33  # height and width of an input whose last maps can still be halved for attention


class DFCAttention(nn.Module):
    """Weights in (0, 1) for maps of the input's size, from strips at half its resolution."""

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: AnyMaps, *, train: bool) -> AnyMaps:
        """Maps `[batch, height, width, channels]` to `[batch, height, width, features]`."""
        size = x.shape[1], x.shape[2]
        x = ops.average_pool_2x2(x)
        x = ConvBN(self.features, dtype=self.dtype, name="mix")(x, train=train)
        x = ConvBN(None, (1, 5), dtype=self.dtype, name="along_width")(x, train=train)
        x = ConvBN(None, (5, 1), dtype=self.dtype, name="along_height")(x, train=train)
        return ops.upsample_nearest(jax.nn.sigmoid(x), size)


class Ghost(nn.Module):
    """The ghost module: half of the channels computed, the other half derived from them."""

    features: int
    activation: Activation = None
    attention: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: AnyMaps, *, train: bool) -> AnyMaps:
        """Maps `[batch, height, width, channels]` to `[batch, height, width, features]`."""
        options = {"activation": self.activation, "dtype": self.dtype}
        half = -(-self.features // 2)
        primary = ConvBN(half, **options, name="primary")(x, train=train)
        cheap = ConvBN(None, (3, 3), **options, name="cheap")(primary, train=train)
        y = jnp.concatenate([primary, cheap[..., : self.features - half]], axis=-1)
        if self.attention:
            y = y * DFCAttention(self.features, self.dtype, name="attention")(x, train=train)
        return y


class Bottleneck(nn.Module):
    """Ghost module, depthwise where strided, squeeze-and-excitation, ghost module, shortcut."""

    block: GhostBlock
    width: float = 1.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: AnyMaps, *, train: bool) -> AnyMaps:
        """Maps `[batch, height, width, channels]` to `[batch, out_h, out_w, out]`."""
        block = self.block
        expanded = round_channels(block.expanded * self.width)
        out = round_channels(block.out * self.width)
        kernel_size, strides = (block.kernel, block.kernel), (block.stride, block.stride)

        y = Ghost(expanded, relu, block.attention, self.dtype, name="ghost1")(x, train=train)
        if block.stride > 1:
            y = ConvBN(None, kernel_size, strides, dtype=self.dtype, name="depthwise")(
                y, train=train
            )
        if block.squeeze:
            squeezed = round_channels(expanded * block.squeeze)
            y = SqueezeExcite(squeezed, jax.nn.hard_sigmoid, dtype=self.dtype, name="squeeze")(y)
        y = Ghost(out, None, dtype=self.dtype, name="ghost2")(y, train=train)

        if block.stride > 1 or x.shape[-1] != out:
            depthwise = ConvBN(
                None, kernel_size, strides, dtype=self.dtype, name="shortcut_depthwise"
            )
            x = depthwise(x, train=train)
            x = ConvBN(out, dtype=self.dtype, name="shortcut_pointwise")(x, train=train)
        return y + x


class GhostNetV2(nn.Module):
    """The trunk, its 1280-wide head and a linear embedding in place of the classifier.

    The embedding is centred and scaled by BatchNorm, as ArcFace's authors do (Deng et al. 2019,
    section 3.1): all cosines are near 1 without it, and identification then learns nothing.

    Attributes:
        width: factor on all channels but the head's, 0.35 to 1.6.
        embed_dim: width of the embedding; 0 for the head's output itself.
        head: width of the hidden layer after the pooling.
        dropout: on the head's output, in training. The classifier of the reference has 0.2.
        stages: the table of bottlenecks.
        dtype: what the body computes in; BatchNorm's statistics and the parameters stay float32.
        rematerialise: keep no maps but the blocks' inputs for the backward pass.
        embedding_norm: whether the embedding has that BatchNorm; the paper's has none.
        pool: 'global', over both axes and through the head, as the reference; 'frequency', over
            time alone, and the embedding reads every row.
    """

    width: float = 1.0
    embed_dim: int = 512
    head: int = 1280
    dropout: float = 0.0
    stages: tuple[tuple[GhostBlock, ...], ...] = STAGES
    dtype: Any = jnp.float32
    rematerialise: bool = False
    embedding_norm: bool = True
    pool: str = "global"

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch mels frames channels"], *, train: bool
    ) -> tuple[Float[Array, "batch dim"], dict[str, Array]]:
        """Embeds spectrograms; intermediates: stem, stage1 ... stage5, final, pool and head.

        The last two are vectors, the others maps.
        """
        options = {"activation": relu, "dtype": self.dtype}
        stem = round_channels(16 * self.width)
        x = ConvBN(stem, (3, 3), (2, 2), **options, name="stem")(x, train=train)
        intermediates, number = {"stem": x}, 0
        for stage, blocks in enumerate(self.stages, start=1):
            for block in blocks:
                name = f"block{number}"
                bottleneck = Bottleneck(block, self.width, self.dtype, name=name)
                x = run_block(bottleneck, x, train=train, rematerialise=self.rematerialise)
                number += 1
            intermediates[f"stage{stage}"] = x

        features = round_channels(self.stages[-1][-1].expanded * self.width)
        intermediates["final"] = x = ConvBN(features, **options, name="final")(x, train=train)
        x = x.astype(jnp.float32)
        if self.pool == "frequency":
            intermediates["pool"] = x = x.mean(axis=2).reshape(x.shape[0], -1)
        else:
            intermediates["pool"] = x = x.mean(axis=(1, 2))
            intermediates["head"] = x = relu(dense(self.head, name="head")(x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        if self.embed_dim:
            x = dense(self.embed_dim, name="embedding")(x)
        if self.embed_dim and self.embedding_norm:
            x = centred(x, train=train)
        return x, intermediates


def ghostnetv2(input_shape: tuple[int, int, int], **options: Any) -> Model:
    """GhostNetV2 for inputs `[batch, mels, frames, channels]`; returns (embedding, intermediates).

    Args:
        input_shape: (mels, frames, channels).
        options: the attributes of `GhostNetV2`.

    Raises:
        UserError: for spectrograms that shrink to nothing on the way.
    """
    if options.get("pool", "global") not in POOLS:
        raise UserError(f"encoder.pool is {options['pool']!r}; known are {', '.join(POOLS)}.")
    if min(input_shape[:2]) < SMALLEST:
        raise UserError(
            f"A spectrogram of {input_shape[0]} mels and {input_shape[1]} frames is too small for "
            f"GhostNetV2, which needs {SMALLEST} of both: raise data.clip_seconds or "
            "features.n_mels, or lower features.hop_length."
        )
    return wrap(GhostNetV2(**options), (1, *input_shape), at_a_time=AT_A_TIME)
