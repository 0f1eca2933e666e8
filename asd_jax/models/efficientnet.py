"""EfficientNetV2-S (Tan 2021; Sun 2025, Table 2) and EfficientNet B0 to B7 (Tan 2019).

Both are a table of `EfficientNetBlock` rows. Stochastic depth, BatchNorm's constants, the squeeze
ratio and TensorFlow's padding are those of the released networks, which Sun's paper does not
repeat.
"""

import dataclasses
import math
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from asd_jax.models.attention import Attention, make_attention
from asd_jax.models.layers import (
    ConvBN,
    check_channels,
    classify,
    drop_path,
    round_channels,
    run_block,
)
from asd_jax.types import AnyMaps

EPSILON = 1e-3  # of every BatchNorm here; its momentum is that of layers.py, 0.9
DROP_PATH = 0.2  # rate to which stochastic depth rises


@dataclasses.dataclass(frozen=True)
class EfficientNetBlock:
    """One row of the table: a stage of `repeats` residual blocks.

    Attributes:
        kernel: size of the kernel of the spatial convolution.
        stride: of the first block; the others have 1.
        expand: expanded channels as a multiple of the input's.
        out: channels of the result.
        repeats: number of blocks.
        fused: one full convolution in place of the 1 x 1 and the depthwise one (Fused-MBConv).
        attention: the released network has squeeze-and-excitation here.
    """

    kernel: int
    stride: int
    expand: int
    out: int
    repeats: int
    fused: bool = False
    attention: bool = True


V2_S = (
    EfficientNetBlock(3, 1, 1, 24, 2, fused=True, attention=False),
    EfficientNetBlock(3, 2, 4, 48, 4, fused=True, attention=False),
    EfficientNetBlock(3, 2, 4, 64, 4, fused=True, attention=False),
    EfficientNetBlock(3, 2, 4, 128, 6),
    EfficientNetBlock(3, 1, 6, 160, 9),
    EfficientNetBlock(3, 2, 6, 256, 15),
)

B0 = (
    EfficientNetBlock(3, 1, 1, 16, 1),
    EfficientNetBlock(3, 2, 6, 24, 2),
    EfficientNetBlock(5, 2, 6, 40, 2),
    EfficientNetBlock(3, 2, 6, 80, 3),
    EfficientNetBlock(5, 1, 6, 112, 3),
    EfficientNetBlock(5, 2, 6, 192, 4),
    EfficientNetBlock(3, 1, 6, 320, 1),
)

# Width, depth, input size and dropout of B0 to B7.
SCALES = (
    (1.0, 1.0, 224, 0.2),
    (1.0, 1.1, 240, 0.2),
    (1.1, 1.2, 260, 0.3),
    (1.2, 1.4, 300, 0.3),
    (1.4, 1.8, 380, 0.4),
    (1.6, 2.2, 456, 0.4),
    (1.8, 2.6, 528, 0.5),
    (2.0, 3.1, 600, 0.5),
)


def scale_width(channels: int, width: float) -> int:
    """Channels times width, rounded to a multiple of 8."""
    return round_channels(channels * width, 8)


def scale_stages(
    stages: tuple[EfficientNetBlock, ...], width: float, depth: float
) -> tuple[EfficientNetBlock, ...]:
    """Compound scaling: channels times width, rounded; repeats times depth, rounded up."""
    return tuple(
        dataclasses.replace(
            block, out=scale_width(block.out, width), repeats=math.ceil(block.repeats * depth)
        )
        for block in stages
    )


def drop_path_rates(stages: tuple[EfficientNetBlock, ...], last: float) -> list[list[float]]:
    """Stochastic depth of each block of each stage: last * index / number of blocks."""
    total, index, rates = sum(block.repeats for block in stages), 0, []
    for block in stages:
        rates.append([last * (index + i) / total for i in range(block.repeats)])
        index += block.repeats
    return rates


class Residual(nn.Module):
    """One MBConv or Fused-MBConv block with attention and stochastic depth.

    Attributes:
        block: its row.
        stride: its own stride.
        attention: what it carries; kind "none" for nothing.
        dtype: what it computes in.
    """

    block: EfficientNetBlock
    stride: int
    attention: Attention
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: AnyMaps, drop: Float[Array, ""] | float, *, train: bool) -> AnyMaps:
        """Maps `[batch, height, width, channels]` to `[batch, out_h, out_w, out]`.

        Args:
            x: the maps.
            drop: probability to leave the block out, in training.
            train: mode.
        """
        block, channels = self.block, x.shape[-1]
        norm = {"epsilon": EPSILON, "dtype": self.dtype}
        act = {"activation": nn.silu, **norm}
        kernel_size, stride = (block.kernel,) * 2, (self.stride,) * 2
        spatial = {"kernel": kernel_size, "stride": stride, "padding": "same"}
        attend = make_attention(self.attention, block_channels=channels, name="attention")

        if block.fused:
            width = block.out if block.expand == 1 else channels * block.expand
            y = ConvBN(width, **spatial, **act, name="spatial")(x, train=train)
        else:
            y = x
            if block.expand > 1:
                y = ConvBN(channels * block.expand, **act, name="expand")(y, train=train)
            y = ConvBN(None, **spatial, **act, name="spatial")(y, train=train)
        y = attend(y, train=train)
        if not (block.fused and block.expand == 1):
            y = ConvBN(block.out, **norm, name="project")(y, train=train)
        if self.stride > 1 or channels != block.out:
            return y
        return x + drop_path(self, y, drop, train=train)


class EfficientNet(nn.Module):
    """The trunk, the last 1 x 1 convolution, mean pooling, dropout and a linear layer.

    Attributes:
        num_outputs: logits; 0 for the pooled embedding.
        in_channels: channels of the input, checked.
        stages: the table.
        stem: channels of the first convolution.
        head: channels of the last one.
        attention: what the blocks carry.
        attention_stages: numbers, from 1, of the stages that carry it; none at all
            for those where the released network has squeeze-and-excitation (4, 5 and 6 of V2-S,
            all of B0 to B7).
        dropout: before the linear layer, in training.
        drop_path: rate to which stochastic depth rises, linearly over the blocks.
        dtype: what the body computes in; BatchNorm's statistics and the parameters stay float32.
        rematerialise: keep no maps but the blocks' inputs for the backward pass.
    """

    num_outputs: int = 1
    in_channels: int = 3
    stages: tuple[EfficientNetBlock, ...] = V2_S
    stem: int = 24
    head: int = 1280
    attention: Attention = Attention("se")
    attention_stages: tuple[int, ...] = ()
    dropout: float = 0.2
    drop_path: float = DROP_PATH
    dtype: Any = jnp.float32
    rematerialise: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> tuple[Float[Array, "batch dim"], dict[str, Array]]:
        """Returns (logits or embedding, intermediates): stem, stage1 ..., final, and embedding."""
        check_channels(x, self.in_channels)
        act = {"activation": nn.silu, "epsilon": EPSILON, "dtype": self.dtype}
        stem = {"kernel": (3, 3), "stride": (2, 2), "padding": "same"}
        x = ConvBN(self.stem, **stem, **act, name="stem")(x, train=train)
        intermediates = {"stem": x}
        rates = drop_path_rates(self.stages, self.drop_path)
        for number, (block, drops) in enumerate(zip(self.stages, rates, strict=True), start=1):
            intermediates[f"stage{number}"] = x = self._stage(number, block, drops, x, train)
        intermediates["final"] = x = ConvBN(self.head, **act, name="final")(x, train=train)
        return classify(x, intermediates, self.num_outputs, self.dropout, train=train)

    def _stage(
        self, number: int, block: EfficientNetBlock, drops: list[float], x: Array, train: bool
    ) -> Array:
        carries = block.attention
        if self.attention_stages:
            carries = number in self.attention_stages
        attention = self.attention if carries else Attention("none")
        name = f"stage{number}_block"
        mode = {"train": train, "rematerialise": self.rematerialise}
        for i, drop in enumerate(drops):
            stride = 1 if i else block.stride
            residual = Residual(block, stride, attention, self.dtype, name=f"{name}{i}")
            x = run_block(residual, x, drop, **mode)
        return x


def efficientnetv2_s(*, width: float = 1.0, depth: float = 1.0, **options: Any) -> EfficientNet:
    """EfficientNetV2-S; options are the attributes of `EfficientNet`.

    Args:
        width: factor on all channels.
        depth: factor on the repeats of every stage.
        options: attributes.
    """
    table = {
        "stages": scale_stages(V2_S, width, depth),
        "stem": scale_width(24, width),
        "head": scale_width(1280, width),
    }
    return EfficientNet(**{**table, **options})


def efficientnet_b(
    number: int, *, width: float = 1.0, depth: float = 1.0, **options: Any
) -> EfficientNet:
    """EfficientNet B0 to B7; options are the attributes of `EfficientNet`.

    Args:
        number: 0 to 7.
        width: factor on all channels, beside that of the variant.
        depth: factor on the repeats of every stage, beside that of the variant.
        options: attributes.
    """
    own_width, own_depth, _, dropout = SCALES[number]
    table = {
        "stages": scale_stages(B0, own_width * width, own_depth * depth),
        "stem": scale_width(32, own_width * width),
        "head": scale_width(1280, own_width * width),
        "dropout": dropout,
    }
    return EfficientNet(**{**table, **options})
