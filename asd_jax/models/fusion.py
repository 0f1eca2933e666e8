"""The classifier over both frozen networks (Liao et al. 2025, section 2.6, Table 2).

Both embeddings become one map with a channel each. The paper gives neither the maps' size nor the
strides; 24 x 24 with two strides of 2 is the size that ends in the 6 x 6 of its fourth layer.
"""

import dataclasses
import math

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from asd_jax.errors import UserError
from asd_jax.models.layers import ConvBN, PReLU, SqueezeExcite, dense
from asd_jax.models.model import Model, wrap
from asd_jax.types import Pair


@dataclasses.dataclass(frozen=True)
class Layout:
    """How an embedding becomes a map.

    Attributes:
        shape: height and width of the map.
        project: a learned dense layer first gives the embedding the map's size.
        strides: of layers 2 and 3.
        kernel: of layers 2 and 3.
        last: kernel of layer 4; what remains after it is averaged.
    """

    shape: Pair
    project: bool
    strides: tuple[Pair, Pair]
    kernel: Pair = (3, 3)
    last: Pair = (6, 6)


LAYOUTS: dict[str, Layout] = {
    "24x24": Layout((24, 24), True, ((2, 2), (2, 2))),
    "16x32": Layout((16, 32), False, ((2, 2), (1, 1))),
    "flat_1d": Layout((1, 512), False, ((1, 2), (1, 2)), kernel=(1, 3), last=(1, 6)),
}


class Fusion(nn.Module):
    """Table 2: four convolutions, channel attention after the first two, a 128-d embedding.

    Attributes:
        layout: how the embeddings become maps.
        embed_dim: width of the fused embedding (layer 5).
    """

    layout: Layout = LAYOUTS["24x24"]
    embed_dim: int = 128

    @nn.compact
    def __call__(
        self,
        temporal: Float[Array, "batch dim_temporal"],
        spectral: Float[Array, "batch dim_spectral"],
        *,
        train: bool,
    ) -> tuple[Float[Array, "batch dim"], dict[str, Array]]:
        """Fuses two embeddings of each clip; intermediates: input, layer1 ... layer4."""
        layout = self.layout
        maps = [self._map("temporal", temporal), self._map("spectral", spectral)]
        intermediates = {"input": jnp.concatenate(maps, axis=-1)}

        x = PReLU(name="prelu1")(ConvBN(16, name="layer1")(intermediates["input"], train=train))
        intermediates["layer1"] = x = SqueezeExcite(8, name="squeeze1")(x)
        x = ConvBN(64, layout.kernel, layout.strides[0], name="layer2")(x, train=train)
        x = PReLU(name="prelu2")(x)
        intermediates["layer2"] = x = SqueezeExcite(32, name="squeeze2")(x)
        x = ConvBN(256, layout.kernel, layout.strides[1], name="layer3")(x, train=train)
        intermediates["layer3"] = x
        x = ConvBN(512, layout.last, (1, 1), (0, 0), name="layer4")(x, train=train)
        intermediates["layer4"] = x = x.mean(axis=(1, 2), keepdims=True)
        x = ConvBN(self.embed_dim, name="layer5")(x, train=train)
        return x[:, 0, 0], intermediates

    def _map(self, name: str, embedding: Array) -> Array:
        if self.layout.project:
            embedding = dense(math.prod(self.layout.shape), name=f"project_{name}")(embedding)
        return embedding.reshape(-1, *self.layout.shape, 1)


def fusion(dims: Pair, *, layout: str = "24x24", embed_dim: int = 128) -> Model:
    """The fusion classifier: `apply` maps (temporal, spectral) to (embedding, intermediates).

    Args:
        dims: widths of the temporal and the spectral embedding.
        layout: one of `LAYOUTS`; all but '24x24' need embeddings of 512.
        embed_dim: width of the result.

    Raises:
        UserError: for an unknown layout, or one that the embeddings do not fit.
    """
    if layout not in LAYOUTS:
        raise UserError(f"fusion.layout is {layout!r}; known are {', '.join(LAYOUTS)}.")
    size = math.prod(LAYOUTS[layout].shape)
    if not LAYOUTS[layout].project and any(dim != size for dim in dims):
        raise UserError(
            f"fusion.layout {layout!r} needs two embeddings of {size}, not {dims[0]} and "
            f"{dims[1]}: set encoder.embed_dim, or take the layout '24x24'."
        )
    return wrap(Fusion(LAYOUTS[layout], embed_dim), (1, dims[0]), (1, dims[1]))
