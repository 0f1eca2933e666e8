"""Depthwise convolution: one small filter for each channel."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from asd_jax import target
from asd_jax.types import Pair


def depthwise(
    x: Float[Array, "batch height width channels"],
    kernel: Float[Array, "taps_h taps_w 1 channels"],
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
) -> Float[Array, "batch out_height out_width channels"]:
    """Cross-correlates each channel with its own filter.

    Args:
        x: the maps. One-dimensional signals have height 1.
        kernel: the filters.
        stride: steps along height and width.
        padding: zeros on *both* sides of height and of width. (XLA's "SAME" pads unevenly when the
            stride is 2, which shifts the features.)
    """
    form = _shift_add if target.form() == "fast" else depthwise_lax
    return form(x, kernel, (stride[0], stride[1]), (padding[0], padding[1]))


def depthwise_lax(x: Array, kernel: Array, stride: Pair, padding: Pair) -> Array:
    """The reference form of `depthwise`: XLA's grouped convolution; shapes as there."""
    return lax.conv_general_dilated(
        x,
        kernel,
        stride,
        [(n, n) for n in padding],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def shifted(x: Array, i: int, j: int, out: Pair, stride: Pair) -> Array:
    """Tap (i, j) of padded maps `[batch, height, width, channels]`: `[batch, *out, channels]`."""
    batch, _, _, channels = x.shape
    last = (i + stride[0] * (out[0] - 1) + 1, j + stride[1] * (out[1] - 1) + 1)
    return lax.slice(x, (0, i, j, 0), (batch, *last, channels), (1, *stride, 1))


def _sum_of_shifts(x: Array, kernel: Array, stride: Pair) -> Array:
    """The correlation without padding: one fused pass over x with a product for each tap."""
    kernel_size = kernel.shape[:2]
    height, width = (
        (n - k) // s + 1 for n, k, s in zip(x.shape[1:3], kernel_size, stride, strict=True)
    )
    terms = (
        shifted(x, i, j, (height, width), stride) * kernel[i, j, 0]
        for i in range(kernel_size[0])
        for j in range(kernel_size[1])
    )
    return functools.reduce(jnp.add, terms)


def spread(dy: Array, size: Pair, kernel_size: Pair, stride: Pair, padding: Pair) -> Array:
    """Gradients of the results, apart by the stride, with zeros around them.

    The gradient of x, of `size`, is their correlation with the filters turned round. dy is
    `[batch, out_height, out_width, features]`.
    """
    around = [
        (k - 1 - pad, n + pad - s * (out - 1) - 1, s - 1)
        for n, k, s, pad, out in zip(size, kernel_size, stride, padding, dy.shape[1:3], strict=True)
    ]
    return lax.pad(dy, jnp.zeros((), dy.dtype), [(0, 0, 0), *around, (0, 0, 0)])


def _pad(x: Array, padding: Pair) -> Array:
    return jnp.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _shift_add(x: Array, kernel: Array, stride: Pair, padding: Pair) -> Array:
    return _sum_of_shifts(_pad(x, padding), kernel, stride)


def _forward(x: Array, kernel: Array, stride: Pair, padding: Pair) -> tuple:
    return _shift_add(x, kernel, stride, padding), (x, kernel)


def _backward(stride: Pair, padding: Pair, saved: tuple, dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    size, kernel_size = (x.shape[1], x.shape[2]), (kernel.shape[0], kernel.shape[1])
    apart = spread(dy, size, kernel_size, stride, padding)
    return _sum_of_shifts(apart, kernel[::-1, ::-1], (1, 1)), _grad_kernel(
        _pad(x, padding), dy, kernel_size, stride
    )


_shift_add.defvjp(_forward, _backward)


def _grad_kernel(x: Array, dy: Array, kernel_size: Pair, stride: Pair) -> Array:
    """Sums for each tap x times dy over batch and positions, per channel.

    A reduction that is fused with the slices of x runs unvectorised. So a few clips at a time are
    added up into maps of one clip, which stay in the cache, and a product with a row of ones sums
    these: XLA never fuses into a matrix product. Taps and clips are loops: unrolled, they would be
    most of the program and of its time to compile.
    """
    batch, height, width, channels = dy.shape
    group = next(n for n in (4, 3, 2, 1) if batch % n == 0)
    ones = jnp.ones((1, height * width), dy.dtype)
    span = (1, stride[0] * (height - 1) + 1, stride[1] * (width - 1) + 1, channels)

    def tap(number: Array) -> Array:
        i, j = number // kernel_size[1], number % kernel_size[1]

        def add(first: Array, total: Array) -> Array:
            for clip in range(group):
                at = first * group + clip
                seen = lax.dynamic_slice(x, (at, i, j, 0), span)[:, :: stride[0], :: stride[1]]
                total += seen * lax.dynamic_slice_in_dim(dy, at, 1)
            return total

        start = jnp.zeros((1, height, width, channels), dy.dtype)
        total = lax.fori_loop(0, batch // group, add, start)
        return (ones @ total.reshape(-1, channels))[0]

    return lax.map(tap, jnp.arange(kernel_size[0] * kernel_size[1])).reshape(
        *kernel_size, 1, channels
    )
