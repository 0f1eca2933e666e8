"""A Conformer encoder (Gulati 2020, arXiv 2005.08100) over the columns of a picture.

Sun's Table 4 names it without sizes; the defaults are those of the paper's small model.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from asd_jax.models.layers import (
    BatchNorm,
    Conv,
    Depthwise,
    check_channels,
    dense,
    relu,
    round_channels,
)

Frames = Float[Array, "batch frames dim"]


class FeedForward(nn.Module):
    """Half a step: LayerNorm, four times the width, swish, back."""

    dropout: float = 0.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Frames, *, train: bool) -> Frames:
        """Works on `[batch, frames, dim]`; the shape stays."""
        drop = nn.Dropout(self.dropout, deterministic=not train)
        y = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="norm")(x)
        y = drop(nn.silu(dense(4 * x.shape[-1], name="hidden", dtype=self.dtype)(y)))
        return drop(dense(x.shape[-1], name="out", dtype=self.dtype)(y))


class RelativeAttention(nn.Module):
    """Self-attention with relative positions (Dai 2019, Transformer-XL, section 3.3).

    The score of query i for key j is ((q_i + u) k_j + (q_i + v) W r_(i-j)) / sqrt(dim of a head),
    with r the sinusoidal code of the distance and u, v learned for each head.
    """

    heads: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Frames) -> Frames:
        """Works on `[batch, frames, dim]`; the shape stays."""
        batch, frames, dim = x.shape
        shape = (self.heads, dim // self.heads)
        zeros = nn.initializers.zeros_init()
        of_content = self.param("content_bias", zeros, shape, jnp.float32).astype(self.dtype)
        of_place = self.param("place_bias", zeros, shape, jnp.float32).astype(self.dtype)

        def project(name: str, x: Array, bias: bool = True) -> Array:
            layer = dense(dim, name=name, dtype=self.dtype, bias=bias)
            return layer(x).reshape(*x.shape[:-1], *shape)

        query, key, value = (project(name, x) for name in ("query", "key", "value"))
        distance = project("distance", jnp.asarray(distance_codes(frames, dim)), bias=False)
        scores = jnp.einsum("bqhd,bkhd->bhqk", query + of_content, key)
        by_distance = jnp.einsum("bqhd,rhd->bhqr", query + of_place, distance)
        scores = (scores + _shift(by_distance)) * shape[1] ** -0.5
        weights = jax.nn.softmax(scores.astype(jnp.float32)).astype(value.dtype)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, value).reshape(batch, frames, dim)
        return dense(dim, name="out", dtype=self.dtype)(mixed)


class ConvolutionModule(nn.Module):
    """LayerNorm, 1 x 1 with a gated linear unit, depthwise, BatchNorm, swish, 1 x 1."""

    kernel: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Frames, *, train: bool) -> Frames:
        """Works on `[batch, frames, dim]`; the shape stays."""
        dim = x.shape[-1]
        y = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="norm")(x)
        y = nn.glu(dense(2 * dim, name="gate", dtype=self.dtype)(y))
        y = Depthwise((1, self.kernel), dtype=self.dtype, name="depthwise")(y[:, None])[:, 0]
        y = nn.silu(BatchNorm(dtype=self.dtype, name="bn")(y, train=train))
        return dense(dim, name="out", dtype=self.dtype)(y)


class ConformerBlock(nn.Module):
    """Half a feed-forward step, attention, convolution, half a step, LayerNorm (section 2.4).

    Attributes:
        heads: of the attention.
        kernel: odd size of the kernel of the depthwise convolution.
        dropout: in training, of each branch.
        dtype: what it computes in.
    """

    heads: int = 4
    kernel: int = 31
    dropout: float = 0.1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Frames, *, train: bool) -> Frames:
        """Works on `[batch, frames, dim]`; the shape stays."""
        drop = nn.Dropout(self.dropout, deterministic=not train)
        half = {"dropout": self.dropout, "dtype": self.dtype}
        x = x + 0.5 * FeedForward(**half, name="before")(x, train=train)
        y = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="attention_norm")(x)
        x = x + drop(RelativeAttention(self.heads, self.dtype, name="attention")(y))
        x = x + drop(ConvolutionModule(self.kernel, self.dtype, name="convolution")(x, train=train))
        x = x + 0.5 * FeedForward(**half, name="after")(x, train=train)
        return nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="norm")(x)


class Conformer(nn.Module):
    """Subsampling by 4, Conformer blocks over the columns, mean over time, a linear layer.

    Attributes:
        num_outputs: logits; 0 for the pooled embedding.
        in_channels: channels of the input, checked.
        dim: width of the encoder.
        blocks: number of blocks.
        heads: of the attention.
        kernel: odd size of the kernel of the depthwise convolutions.
        width: factor on `dim`.
        depth: factor on `blocks`, rounded up.
        dropout: in training, inside the blocks and before the linear layer.
        dtype: what the body computes in.
    """

    num_outputs: int = 1
    in_channels: int = 3
    dim: int = 144
    blocks: int = 16
    heads: int = 4
    kernel: int = 31
    width: float = 1.0
    depth: float = 1.0
    dropout: float = 0.1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch mels frames channels"], *, train: bool
    ) -> tuple[Float[Array, "batch dim"], dict[str, Array]]:
        """Returns (logits or embedding, intermediates): stem `[batch, frames / 4, dim]`, block0."""
        check_channels(x, self.in_channels)
        dim = round_channels(self.dim * self.width, 2 * self.heads)
        drop = nn.Dropout(self.dropout, deterministic=not train)
        for i in range(2):
            x = relu(Conv(dim, (3, 3), (2, 2), dtype=self.dtype, name=f"subsample{i}")(x))
        x = x.transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1)
        x = drop(dense(dim, name="lift", dtype=self.dtype)(x))
        intermediates = {"stem": x}
        options = {"dropout": self.dropout, "dtype": self.dtype}
        for i in range(math.ceil(self.blocks * self.depth)):
            block = ConformerBlock(self.heads, self.kernel, **options, name=f"block{i}")
            intermediates[f"block{i}"] = x = block(x, train=train)
        intermediates["embedding"] = x = x.mean(axis=1, dtype=jnp.float32)
        return (
            dense(self.num_outputs, name="classifier")(drop(x)) if self.num_outputs else x
        ), intermediates


def distance_codes(frames: int, dim: int) -> Float[np.ndarray, "distances dim"]:
    """Sinusoidal codes of the distances frames - 1, ..., 1 - frames; sines, then cosines."""
    distances = np.arange(frames - 1, -frames, -1)[:, None]
    angles = distances / 10000 ** (np.arange(0, dim, 2) / dim)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def _shift(
    scores: Float[Array, "batch heads frames distances"],
) -> Float[Array, "batch heads frames frames"]:
    """Shifts scores by (query i, distance) to scores by (query i, key j).

    Column frames - 1 - (i - j) holds distance i - j. One padded column and a reshape move row i by
    i columns, without a gather.
    """
    batch, heads, frames, distances = scores.shape
    padded = jnp.pad(scores, ((0, 0), (0, 0), (0, 0), (1, 0)))
    rows = padded.reshape(batch, heads, distances + 1, frames)[:, :, 1:]
    return rows.reshape(batch, heads, frames, distances)[..., :frames]
