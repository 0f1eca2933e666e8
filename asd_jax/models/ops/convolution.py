"""Full convolutions: every output channel sees every input channel."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from asd_jax.models.ops.backend import chosen

Pair = tuple[int, int]


def pointwise(
    x: Float[Array, "*positions channels"], kernel: Float[Array, "channels features"]
) -> Float[Array, "*positions features"]:
    """A 1 x 1 convolution: one matrix product over all positions."""
    y = x.reshape(-1, x.shape[-1]) @ kernel
    return y.reshape(*x.shape[:-1], kernel.shape[-1])


def conv(
    x: Float[Array, "batch height width channels"],
    kernel: Float[Array, "taps_h taps_w channels features"],
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
) -> Float[Array, "batch out_height out_width features"]:
    """Cross-correlation with zeros on both sides of height and of width.

    Args:
        x: the maps. One-dimensional signals have height 1.
        kernel: the filters.
        stride: steps along height and width.
        padding: zeros on *both* sides of height and of width.
    """
    if kernel.shape[:2] == (1, 1) and tuple(stride) == (1, 1) and tuple(padding) == (0, 0):
        return pointwise(x, kernel[0, 0])
    form = _matmul_form if chosen() == "fast" else conv_lax
    return form(x, kernel, tuple(stride), tuple(padding))


def conv_lax(x: Array, kernel: Array, stride: Pair, padding: Pair) -> Array:
    """The reference form: XLA's convolution."""
    both = [(n, n) for n in padding]
    return lax.conv_general_dilated(
        x, kernel, stride, both, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _matmul_form(x: Array, kernel: Array, stride: Pair, padding: Pair) -> Array:
    """Patches times filters: the gradients are matrix products and shifted sums too."""
    patches = _patches(x, kernel.shape[:2], stride, padding)
    return pointwise(patches, kernel.reshape(-1, kernel.shape[-1]))


def _patches(x: Array, taps: Pair, stride: Pair, padding: Pair) -> Array:
    """`[batch, out_height, out_width, taps * channels]`: what the filters see at each position."""
    x = jnp.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)))
    if x.shape[1] == taps[0] == 1 and taps[1] % stride[1] == 0:
        return _frames(x, taps[1], stride[1])
    batch, height, width, channels = x.shape
    out = [(n - k) // s + 1 for n, k, s in zip((height, width), taps, stride, strict=True)]
    shifts = []
    for i in range(taps[0]):
        for j in range(taps[1]):
            last = (i + stride[0] * (out[0] - 1) + 1, j + stride[1] * (out[1] - 1) + 1)
            shifts.append(lax.slice(x, (0, i, j, 0), (batch, *last, channels), (1, *stride, 1)))
    return jnp.concatenate(shifts, axis=-1)


def _frames(x: Array, taps: int, stride: int) -> Array:
    """Overlapping frames of a signal `[batch, 1, samples, channels]`, cut without a gather."""
    batch, _, samples, channels = x.shape
    count = (samples - taps) // stride + 1
    overlap = taps // stride
    blocks = x[:, :, : (count + overlap - 1) * stride]
    blocks = blocks.reshape(batch, 1, count + overlap - 1, stride * channels)
    return jnp.concatenate([blocks[:, :, i : i + count] for i in range(overlap)], axis=-1)
