"""ResNet-50 (He 2016) in the form of today's references: the stride sits in the 3 x 3."""

import math
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from asd_jax.models.layers import ConvBN, check_channels, classify, relu, round_channels
from asd_jax.types import AnyMaps

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))  # inner channels, blocks
WIDEN = 4  # channels of a block's output over its inner ones


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions beside a shortcut.

    Attributes:
        inner: channels of the 3 x 3 convolution.
        stride: of the 3 x 3 convolution and the shortcut.
        dtype: what it computes in.
    """

    inner: int
    stride: int = 1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: AnyMaps, *, train: bool) -> AnyMaps:
        """Maps `[batch, height, width, channels]` to `[batch, out_h, out_w, 4 inner]`."""
        options = {"activation": relu, "dtype": self.dtype}
        stride, out = (self.stride, self.stride), self.inner * WIDEN
        y = ConvBN(self.inner, **options, name="reduce")(x, train=train)
        y = ConvBN(self.inner, (3, 3), stride, **options, name="spatial")(y, train=train)
        y = ConvBN(out, dtype=self.dtype, name="expand")(y, train=train)
        if self.stride > 1 or x.shape[-1] != out:
            x = ConvBN(out, (1, 1), stride, dtype=self.dtype, name="shortcut")(x, train=train)
        return relu(x + y)


class ResNet(nn.Module):
    """The trunk, mean pooling, dropout and a linear layer.

    Attributes:
        num_outputs: logits; 0 for the pooled embedding.
        in_channels: channels of the input, checked.
        width: factor on all channels.
        depth: factor on the blocks of every stage, rounded up.
        dropout: before the linear layer, in training.
        dtype: what the body computes in.
    """

    num_outputs: int = 1
    in_channels: int = 3
    width: float = 1.0
    depth: float = 1.0
    dropout: float = 0.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> tuple[Float[Array, "batch dim"], dict[str, Array]]:
        """Returns (logits or embedding, intermediates): stem, stage1 ... stage4, and embedding."""
        check_channels(x, self.in_channels)
        stem = round_channels(64 * self.width, 8)
        options = {"activation": relu, "dtype": self.dtype, "name": "stem"}
        x = ConvBN(stem, (7, 7), (2, 2), **options)(x, train=train)
        intermediates = {"stem": x}
        # Flax has no types here: pyright reads `padding: str` off the default.
        x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))  # pyright: ignore[reportArgumentType]
        for stage, (inner, blocks) in enumerate(STAGES, start=1):
            inner = round_channels(inner * self.width, 8)
            for i in range(math.ceil(blocks * self.depth)):
                stride = 2 if i == 0 and stage > 1 else 1
                name = f"stage{stage}_block{i}"
                x = Bottleneck(inner, stride, self.dtype, name=name)(x, train=train)
            intermediates[f"stage{stage}"] = x
        return classify(x, intermediates, self.num_outputs, self.dropout, train=train)
