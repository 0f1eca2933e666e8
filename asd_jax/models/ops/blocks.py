"""Convolution along a long signal with long strides, without cutting it into overlapping frames."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from asd_jax.models.ops.products import product
from asd_jax.types import Pair


def in_blocks(x: Array, kernel: Array, stride: Pair, padding: Pair) -> bool:
    """Whether `by_blocks` is for this convolution: what its product writes is less than x.

    x is `[batch, height, width, channels]`, the kernel `[height, width, channels, features]`.
    """
    if x.shape[1] != 1 or kernel.shape[0] != 1 or padding[0] or x.dtype != jnp.float32:
        return False
    if kernel.shape[1] <= stride[1] or x.shape[2] + 2 * padding[1] < kernel.shape[1]:
        return False
    parts = _parts(kernel.shape[1], stride[1], padding[1])
    return parts * kernel.shape[3] <= stride[1] * x.shape[3]


def _parts(kernel_size: int, stride: int, padding: int) -> int:
    """Counts the blocks that a frame touches."""
    return -(-(-padding % stride + kernel_size) // stride)


def by_blocks(
    x: Float[Array, "batch 1 samples channels"],
    kernel: Float[Array, "1 kernel_size channels features"],
    stride: int,
    padding: int,
) -> Float[Array, "batch 1 positions features"]:
    """Cross-correlation with `padding` zeros on both sides, steps of `stride`.

    Frames would hold each sample `kernel_size / stride` times, after a copy for the zeros.
    The signal stays as it is, in blocks of one stride; one product gives what each block
    contributes to each of the few frames that it is a part of, and these small maps are shifted
    and summed.
    """
    batch, _, samples, channels = x.shape
    kernel_size, features = kernel.shape[1], kernel.shape[-1]
    before = -(-padding // stride)  # blocks that the first frame begins before the signal
    parts, front = _parts(kernel_size, stride, padding), -padding % stride
    filters = jnp.pad(kernel[0], ((front, parts * stride - front - kernel_size), (0, 0), (0, 0)))
    filters = filters.reshape(parts, stride * channels, features).swapaxes(0, 1)
    blocks = -(-samples // stride)
    if blocks * stride > samples:
        x = jnp.pad(x, ((0, 0), (0, 0), (0, blocks * stride - samples), (0, 0)))
    rows = x.reshape(-1, stride * channels)
    each = product(rows, filters.reshape(-1, parts * features))
    positions = (samples + 2 * padding - kernel_size) // stride + 1
    y = _summed(each.reshape(batch, blocks, -1), parts, before, (blocks, positions))
    return y[:, None]


def _shift(x: Array, by: int, length: int) -> Array:
    """Returns `[batch, length, ...]`: x moved on by so many positions, zeros where nothing is."""
    room = (by, length - x.shape[1] - by, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), room, (0, 0, 0)])


@lambda function: jax.custom_vjp(function, nondiff_argnums=(1, 2, 3))
def _summed(each: Array, parts: int, before: int, sizes: Pair) -> Array:
    """Sums for every frame what its blocks contribute: block t + i - before its part i."""
    shifted = (
        _shift(part, before - i, sizes[1]) for i, part in enumerate(jnp.split(each, parts, axis=-1))
    )
    return functools.reduce(jnp.add, shifted)


def _forward(each: Array, parts: int, before: int, sizes: Pair) -> tuple[Array, None]:
    return _summed(each, parts, before, sizes), None


def _backward(parts: int, before: int, sizes: Pair, _: None, dy: Array) -> tuple[Array]:
    # By hand: slices transposed are sums of maps of the full width, mostly zeros.
    return (jnp.concatenate([_shift(dy, i - before, sizes[0]) for i in range(parts)], axis=-1),)


_summed.defvjp(_forward, _backward)
