"""A waveform network that hears how sound fluctuates: bands, levels, rates.

A convolution on raw samples (`models/temporal.py`) has to learn from a few hundred clips what a
filter bank, an energy and a logarithm are, and memorises them instead. Here these are given, as is
the modulation spectrum (Kingsbury, Morgan and Greenberg, "Robust speech recognition using the
modulation spectrogram", Speech Communication 25, 1998). Learned is which frequencies make a band,
and which fluctuations of which band tell machines apart.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from asd_jax.features.decibel import power_to_db
from asd_jax.features.logmel import mel_power
from asd_jax.features.modulation import modulation_spectrum, short_frames
from asd_jax.models.layers import BatchNorm, centred, dense
from asd_jax.models.model import Model, wrap

BANDS = 4
FRAMES = 64  # short frames whose levels are transformed together: about half a second


class Modulation(nn.Module):
    """Learned bands, the modulation spectrum of their levels, and a linear embedding of it.

    Attributes:
        sample_rate: of the waveform, in Hz.
        embed_dim: width of the embedding.
        embedding_norm: centre and scale the embedding by BatchNorm, see `GhostNetV2`.
    """

    sample_rate: int
    embed_dim: int = 128
    embedding_norm: bool = True

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch samples"], *, train: bool
    ) -> tuple[Float[Array, "batch dim"], dict[str, Array]]:
        """Embeds waveforms; intermediate: modulation `[batch, bands, rates]` in dB."""
        power = mel_power(x, spec=short_frames(self.sample_rate))
        shares = jax.nn.softmax(self.param("bands", _side_by_side, power.shape[1]), axis=0)
        level = power_to_db(jnp.einsum("bmt,mk->bkt", power, shares))
        spectrum = modulation_spectrum(level, frames=FRAMES)
        # One centre and scale for all: what hardly differs must not be blown up to unit size.
        rows = BatchNorm(name="norm")(spectrum[..., None], train=train).reshape(len(x), -1)
        embedding = dense(self.embed_dim, name="embedding")(rows)
        if self.embedding_norm:
            embedding = centred(embedding, train=train)
        return embedding, {"modulation": spectrum}


def _side_by_side(key: jax.Array, mels: int) -> Float[Array, "mels bands"]:
    """Logits of bands that lie side by side and overlap a little, before training."""
    del key
    width = mels / BANDS
    centres = (jnp.arange(BANDS) + 0.5) * width
    return -0.5 * jnp.square((jnp.arange(mels)[:, None] + 0.5 - centres) / (width / 2))


def modulation(input_shape: tuple[int], **options: Any) -> Model:
    """The network of modulations: from `[batch, samples]` to (embedding, intermediates).

    Args:
        input_shape: (samples,).
        options: the attributes of `Modulation`.
    """
    return wrap(Modulation(**options), (1, *input_shape))
