"""The classifier over both frozen networks (Liao et al. 2025, section 2.6, Table 2).

Both embeddings become one map with a channel each. The paper gives neither the maps' size nor the
strides; 24 x 24 with two strides of 2 is the size that ends in the 6 x 6 of its fourth layer.
"""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from asd_jax.models.layers import ConvBN, PReLU, SqueezeExcite, dense
from asd_jax.models.model import Model, wrap
from asd_jax.types import Pair

SIDE = 24  # of the square map that an embedding becomes


class Fusion(nn.Module):
    """Table 2: four convolutions, channel attention after the first two, a 128-d embedding.

    Attributes:
        embed_dim: width of the fused embedding (layer 5).
    """

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
        maps = [
            dense(SIDE**2, name=f"project_{name}")(x).reshape(-1, SIDE, SIDE, 1)
            for name, x in (("temporal", temporal), ("spectral", spectral))
        ]
        intermediates = {"input": jnp.concatenate(maps, axis=-1)}

        x = PReLU(name="prelu1")(ConvBN(16, name="layer1")(intermediates["input"], train=train))
        intermediates["layer1"] = x = SqueezeExcite(8, name="squeeze1")(x)
        x = ConvBN(64, (3, 3), (2, 2), name="layer2")(x, train=train)
        x = PReLU(name="prelu2")(x)
        intermediates["layer2"] = x = SqueezeExcite(32, name="squeeze2")(x)
        x = ConvBN(256, (3, 3), (2, 2), name="layer3")(x, train=train)
        intermediates["layer3"] = x
        x = ConvBN(512, (6, 6), (1, 1), (0, 0), name="layer4")(x, train=train)
        intermediates["layer4"] = x
        x = ConvBN(self.embed_dim, name="layer5")(x, train=train)
        return x[:, 0, 0], intermediates


def fusion(dims: Pair, *, embed_dim: int = 128) -> Model:
    """The fusion classifier: `apply` maps (temporal, spectral) to (embedding, intermediates).

    Args:
        dims: widths of the temporal and the spectral embedding.
        embed_dim: width of the result.
    """
    return wrap(Fusion(embed_dim), (1, dims[0]), (1, dims[1]))
