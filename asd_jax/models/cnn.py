"""The plain convolutional network of Sun's Table 4, which the paper names and does not describe."""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from asd_jax.models.layers import ConvBN, check_channels, classify, relu, round_channels


class CNN(nn.Module):
    """3 x 3 convolutions with BatchNorm and ReLU, each followed by a 2 x 2 maximum; mean pooling.

    Attributes:
        num_outputs: logits; 0 for the pooled embedding.
        in_channels: channels of the input, checked.
        features: channels of each convolution.
        width: factor on them.
        dropout: before the linear layer, in training.
        dtype: what the body computes in.
    """

    num_outputs: int = 1
    in_channels: int = 3
    features: tuple[int, ...] = (32, 64, 128, 256)
    width: float = 1.0
    dropout: float = 0.2
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> tuple[Float[Array, "batch dim"], dict[str, Array]]:
        """Returns (logits or embedding, intermediates): stage1 ..., and embedding."""
        check_channels(x, self.in_channels)
        intermediates = {}
        for stage, features in enumerate(self.features, start=1):
            features = round_channels(features * self.width, 8)
            options = {"activation": relu, "dtype": self.dtype, "name": f"stage{stage}"}
            x = ConvBN(features, (3, 3), **options)(x, train=train)
            intermediates[f"stage{stage}"] = x = nn.max_pool(x, (2, 2), strides=(2, 2))
        return classify(x, intermediates, self.num_outputs, self.dropout, train=train)
