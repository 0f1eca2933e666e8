"""MobileViT-S (Mehta 2022, arXiv 2110.02178): convolutions with transformers between patches."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from asd_jax.models.layers import Conv, ConvBN, check_channels, classify, dense, round_channels
from asd_jax.types import AnyMaps

EXPAND = 4  # channels inside an inverted residual over those of its input
HEADS = 4
PATCH = 2  # positions along each side of a patch


@dataclasses.dataclass(frozen=True)
class MobileViTBlock:
    """One stage: inverted residuals, the first with the stride, and perhaps a transformer.

    Attributes:
        out: channels of the result.
        repeats: inverted residuals.
        stride: of the first of them.
        dim: width of the transformer.
        depth: layers of the transformer; 0 for none.
    """

    out: int
    repeats: int
    stride: int
    dim: int = 0
    depth: int = 0


SMALL = (
    MobileViTBlock(32, 1, 1),
    MobileViTBlock(64, 3, 2),
    MobileViTBlock(96, 1, 2, dim=144, depth=2),
    MobileViTBlock(128, 1, 2, dim=192, depth=4),
    MobileViTBlock(160, 1, 2, dim=240, depth=3),
)


class InvertedResidual(nn.Module):
    """1 x 1 to four times the channels, depthwise 3 x 3, linear 1 x 1, shortcut where it fits."""

    out: int
    stride: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: AnyMaps, *, train: bool) -> AnyMaps:
        """Maps `[batch, height, width, channels]` to `[batch, out_h, out_w, out]`."""
        options = {"activation": nn.silu, "dtype": self.dtype}
        y = ConvBN(x.shape[-1] * EXPAND, **options, name="expand")(x, train=train)
        stride = (self.stride, self.stride)
        y = ConvBN(None, (3, 3), stride, **options, name="spatial")(y, train=train)
        y = ConvBN(self.out, dtype=self.dtype, name="project")(y, train=train)
        return x + y if x.shape == y.shape else y


class Layer(nn.Module):
    """A transformer layer with the normalisation first; the hidden layer has twice the width."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*sets tokens dim"]) -> Float[Array, "*sets tokens dim"]:
        """Attends among the tokens of each set."""
        dim = x.shape[-1]
        y = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="norm1")(x)
        packed = dense(3 * dim, name="qkv", dtype=self.dtype)(y)
        packed = packed.reshape(*y.shape[:-1], 3, HEADS, dim // HEADS)
        query, key, value = (packed[..., i, :, :] for i in range(3))
        scores = jnp.einsum("...qhd,...khd->...hqk", query, key) * (dim // HEADS) ** -0.5
        weights = jax.nn.softmax(scores.astype(jnp.float32)).astype(value.dtype)
        mixed = jnp.einsum("...hqk,...khd->...qhd", weights, value).reshape(y.shape)
        x = x + dense(dim, name="mix", dtype=self.dtype)(mixed)
        y = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="norm2")(x)
        y = nn.silu(dense(2 * dim, name="hidden", dtype=self.dtype)(y))
        return x + dense(dim, name="out", dtype=self.dtype)(y)


class Global(nn.Module):
    """The MobileViT block: local convolution, transformer across patches, fusion with the input.

    Every position of a 2 x 2 patch attends to the same position of all other patches.

    Attributes:
        dim: width of the transformer.
        depth: its layers.
        dtype: what it computes in.
    """

    dim: int
    depth: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: AnyMaps, *, train: bool) -> AnyMaps:
        """Works on `[batch, height, width, channels]`; the shape stays."""
        batch, height, width, channels = x.shape
        options = {"activation": nn.silu, "dtype": self.dtype}
        y = ConvBN(channels, (3, 3), **options, name="local")(x, train=train)
        y = Conv(self.dim, dtype=self.dtype, name="lift")(y)
        rows, columns = -(-height // PATCH), -(-width // PATCH)
        y = _resize(y, (rows * PATCH, columns * PATCH))

        y = y.reshape(batch, rows, PATCH, columns, PATCH, self.dim).transpose(0, 2, 4, 1, 3, 5)
        shape = y.shape
        y = y.reshape(batch, PATCH * PATCH, rows * columns, self.dim)
        for i in range(self.depth):
            y = Layer(self.dtype, name=f"layer{i}")(y)
        y = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="norm")(y)
        y = y.reshape(shape).transpose(0, 3, 1, 4, 2, 5)
        y = y.reshape(batch, rows * PATCH, columns * PATCH, self.dim)

        y = _resize(y, (height, width))
        y = ConvBN(channels, **options, name="project")(y, train=train)
        both = jnp.concatenate([x, y], axis=-1)
        return ConvBN(channels, (3, 3), **options, name="fuse")(both, train=train)


class MobileViT(nn.Module):
    """The trunk, the last 1 x 1 convolution, mean pooling, dropout and a linear layer.

    Attributes:
        num_outputs: logits; 0 for the pooled embedding.
        in_channels: channels of the input, checked.
        stages: the table.
        width: factor on all channels.
        dropout: before the linear layer, in training.
        dtype: what the body computes in.
    """

    num_outputs: int = 1
    in_channels: int = 3
    stages: tuple[MobileViTBlock, ...] = SMALL
    width: float = 1.0
    dropout: float = 0.1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> tuple[Float[Array, "batch dim"], dict[str, Array]]:
        """Returns (logits or embedding, intermediates): stem, stage1 to 5, final, embedding."""
        check_channels(x, self.in_channels)
        options = {"activation": nn.silu, "dtype": self.dtype}
        stem = round_channels(16 * self.width, 8)
        x = ConvBN(stem, (3, 3), (2, 2), **options, name="stem")(x, train=train)
        intermediates = {"stem": x}
        for stage, block in enumerate(self.stages, start=1):
            out = round_channels(block.out * self.width, 8)
            for i in range(block.repeats):
                stride, name = block.stride if i == 0 else 1, f"stage{stage}_block{i}"
                x = InvertedResidual(out, stride, self.dtype, name=name)(x, train=train)
            if block.depth:
                dim, name = (
                    round_channels(block.dim * self.width, 4 * HEADS),
                    f"stage{stage}_global",
                )
                x = Global(dim, block.depth, self.dtype, name=name)(x, train=train)
            intermediates[f"stage{stage}"] = x
        final = 4 * round_channels(self.stages[-1].out * self.width, 8)
        intermediates["final"] = x = ConvBN(final, **options, name="final")(x, train=train)
        return classify(x, intermediates, self.num_outputs, self.dropout, train=train)


def _resize(x: Array, size: tuple[int, int]) -> Array:
    """Bilinear, with half-pixel centres and no smoothing, as the reference does at odd sizes."""
    if x.shape[1:3] == size:
        return x
    shape = (x.shape[0], *size, x.shape[-1])
    return jax.image.resize(x, shape, "bilinear", antialias=False)
