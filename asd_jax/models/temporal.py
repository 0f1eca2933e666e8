"""The waveform network (Liao et al. 2025, section 2.5, Table 1, Figure 4).

The table does not add up as printed: a stride of 64 gives 2500 positions, not 1250. Read with
stride 128 and padding 64 every length of the table follows. The other readings are options.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from asd_jax.models.layers import ConvBN, centred, leaky_relu, run_block
from asd_jax.models.model import Model, wrap
from asd_jax.types import AnyMaps


@dataclasses.dataclass(frozen=True)
class TemporalBlock:
    """One inverted residual: 1 x 1 to `expand` times the channels, depthwise 3, 1 x 1 to `out`."""

    expand: int
    out: int
    stride: int


BLOCKS: tuple[TemporalBlock, ...] = (
    TemporalBlock(3, 32, 1),
    TemporalBlock(3, 32, 2),
    TemporalBlock(3, 32, 2),
    TemporalBlock(2, 64, 3),
    TemporalBlock(2, 128, 2),
    TemporalBlock(2, 256, 1),
    TemporalBlock(2, 256, 2),
    TemporalBlock(2, 256, 2),
    TemporalBlock(2, 256, 2),
    TemporalBlock(2, 256, 1),
)

AT_A_TIME = 16  # clips of inference, whose maps then stay in the cache


class InvertedResidual(nn.Module):
    """The block of Figure 4: BatchNorm and LeakyReLU after *each* convolution."""

    block: TemporalBlock
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: AnyMaps, *, train: bool) -> AnyMaps:
        """Maps `[batch, 1, length, channels]` to `[batch, 1, out_length, out]`."""
        options = {"activation": leaky_relu, "dtype": self.dtype}
        block = self.block
        y = ConvBN(block.expand * x.shape[-1], **options, name="expand")(x, train=train)
        y = ConvBN(None, (1, 3), (1, block.stride), **options, name="depthwise")(y, train=train)
        y = ConvBN(block.out, **options, name="project")(y, train=train)
        return x + y if block.stride == 1 and x.shape == y.shape else y


class Temporal(nn.Module):
    """Table 1. Any length of input; the last pooling is over all that remains (7 for 10 s).

    Attributes:
        dtype: what the body computes in.
        rematerialise: keep no maps but the blocks' inputs for the backward pass.
        embedding_norm: centre and scale the embedding by a BatchNorm that Table 1 does not have.
    """

    dtype: Any = jnp.float32
    rematerialise: bool = False
    embedding_norm: bool = True

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch samples"], *, train: bool
    ) -> tuple[Float[Array, "batch dim"], dict[str, Array]]:
        """Embeds waveforms; intermediates `[batch, length, channels]`: stem, block0 to 9, final."""
        options = {"activation": leaky_relu, "dtype": self.dtype}
        x = x[:, None, :, None]
        x = ConvBN(16, (1, 256), (1, 128), (0, 64), **options, name="stem")(x, train=train)
        intermediates = {"stem": x[:, 0]}
        for number, block in enumerate(BLOCKS):
            name = f"block{number}"
            residual = InvertedResidual(block, self.dtype, name=name)
            x = run_block(residual, x, train=train, rematerialise=self.rematerialise)
            intermediates[name] = x[:, 0]
        x = ConvBN(512, **options, name="final")(x, train=train)  # 256 channels become 512
        intermediates["final"] = x = x[:, 0].astype(jnp.float32)
        mean = x.mean(axis=1)
        if self.embedding_norm:
            # What LeakyReLU leaves is mostly positive: uncentred, all cosines would be near 1.
            mean = centred(mean, train=train)
        return mean, intermediates


def temporal(input_shape: tuple[int], **options: Any) -> Model:
    """The waveform network: from `[batch, samples]` to (embedding of 512, intermediates).

    Args:
        input_shape: (samples,).
        options: the attributes of `Temporal`.
    """
    return wrap(Temporal(**options), (1, *input_shape), at_a_time=AT_A_TIME)
