"""A small convolutional network that keeps the frequency axis until its embedding.

Where in frequency a machine has changed is most of what a fault is: the maps are pooled over time
alone (mean, deviation and maximum), and one linear layer reads all of their rows. Five plain 3 x 3
convolutions learn from a few hundred clips in as many steps what deep separable ones do not.
"""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from asd_jax.errors import UserError
from asd_jax.models.layers import ConvBN, centred, dense, relu, round_channels
from asd_jax.models.model import Model, wrap

# Channels at width 1 and strides of both axes.
LAYERS = ((64, 2), (128, 2), (128, 1), (256, 2), (256, 1))
AT_A_TIME = 4  # clips of inference, whose maps then stay in the cache
SMALLEST = 16  # mels and pairs of frames that leave two rows and columns


class BandCNN(nn.Module):
    """3 x 3 convolutions, moments over time, and a linear embedding of all bands.

    Attributes:
        width: factor on all channels.
        embed_dim: width of the embedding.
        dtype: what the body computes in; BatchNorm's statistics and the parameters stay float32.
        rematerialise: not used: so few maps need no second computation.
        embedding_norm: centre and scale the embedding by BatchNorm, see `GhostNetV2`.
        members: networks side by side that see the same and differ in their first weights; each
            gives an equal part of the embedding.
    """

    width: float = 1.0
    embed_dim: int = 128
    dtype: Any = jnp.float32
    rematerialise: bool = False
    embedding_norm: bool = True
    members: int = 1

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch mels frames channels"], *, train: bool
    ) -> tuple[Float[Array, "batch dim"], dict[str, Array]]:
        """Embeds spectrograms; intermediates (first member): stage1 ... stage5, pool (vectors)."""
        batch, mels, frames, channels = x.shape
        # Pairs of frames: half the work, and levels that fluctuate less.
        x = x[:, :, : frames // 2 * 2].reshape(batch, mels, frames // 2, 2, channels).mean(axis=3)
        found = [self._member(x, k, train=train) for k in range(self.members)]
        return jnp.concatenate([embedding for embedding, _ in found], axis=-1), found[0][1]

    def _member(
        self, x: Float[Array, "batch mels frames channels"], number: int, *, train: bool
    ) -> tuple[Float[Array, "batch dim"], dict[str, Array]]:
        batch, prefix, intermediates = len(x), f"member{number}_" if number else "", {}
        for stage, (features, stride) in enumerate(LAYERS, start=1):
            layer = ConvBN(
                round_channels(features * self.width),
                (3, 3),
                (stride, stride),
                activation=relu,
                dtype=self.dtype,
                name=f"{prefix}layer{stage}",
            )
            intermediates[f"stage{stage}"] = x = layer(x, train=train)
        x = x.astype(jnp.float32)
        over_time = [x.mean(axis=2), jnp.sqrt(x.var(axis=2) + 1e-6), x.max(axis=2)]
        intermediates["pool"] = x = jnp.concatenate(over_time, axis=-1).reshape(batch, -1)
        x = dense(self.embed_dim // self.members, name=f"{prefix}embedding")(x)
        if self.embedding_norm:
            x = centred(x, train=train, name=f"{prefix}embedding_norm")
        return x, intermediates


def band_cnn(input_shape: tuple[int, int, int], **options: Any) -> Model:
    """`BandCNN` for inputs `[batch, mels, frames, channels]`; gives (embedding, intermediates).

    Args:
        input_shape: (mels, frames, channels).
        options: the attributes of `BandCNN`.

    Raises:
        UserError: for spectrograms that shrink to nothing on the way.
    """
    if min(input_shape[0], input_shape[1] // 2) < SMALLEST:
        raise UserError(
            f"A spectrogram of {input_shape[0]} mels and {input_shape[1]} frames is too small for "
            f"the encoder band_cnn, which needs {SMALLEST} mels and {2 * SMALLEST} frames: raise "
            "data.clip_seconds or features.n_mels, or lower features.hop_length."
        )
    return wrap(BandCNN(**options), (1, *input_shape), at_a_time=AT_A_TIME)
