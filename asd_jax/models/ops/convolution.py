"""Full convolutions: every output channel sees every input channel."""

import functools
import math
from collections.abc import Callable

import jax
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
    stride, padding = tuple(stride), tuple(padding)
    if kernel.shape[:2] == (1, 1) and padding == (0, 0):
        # Not x[:, ::step]: with a batch of unknown size that would be traced as a gather.
        seen = x if stride == (1, 1) else lax.slice(x, (0,) * 4, x.shape, (1, *stride, 1))
        return pointwise(seen, kernel[0, 0])
    if chosen() == "lax":
        return conv_lax(x, kernel, stride, padding)
    form = _matmul_form if x.shape[1] == kernel.shape[0] == 1 else _plain
    return form(x, kernel, stride, padding)


def conv_lax(x: Array, kernel: Array, stride: Pair, padding: Pair) -> Array:
    """The reference form: XLA's convolution."""
    both = [(n, n) for n in padding]
    return lax.conv_general_dilated(
        x, kernel, stride, both, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _plain(x: Array, kernel: Array, stride: Pair, padding: Pair) -> Array:
    """XLA's plain convolution, with gradients that XLA's CPU backend is good at too.

    The gradient of x is another plain convolution. That of the kernel is a matrix product for each
    clip: its patches stay in the cache, and those of a whole batch need not be stored.
    """
    return _one_by_one(functools.partial(conv_lax, stride=stride, padding=padding))(x, kernel)


def _forward(x: Array, kernel: Array, stride: Pair, padding: Pair) -> tuple:
    return _plain(x, kernel, stride, padding), (x, kernel)


def _backward(stride: Pair, padding: Pair, saved: tuple, dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    grad_x = functools.partial(_grad_input, size=x.shape[1:3], stride=stride, padding=padding)
    grad_k = functools.partial(_grad_kernel, taps=kernel.shape[:2], stride=stride, padding=padding)
    return _one_by_one(grad_x)(dy, kernel), _one_by_one(grad_k)(x, dy)


_plain.defvjp(_forward, _backward)


def _one_by_one(function: Callable[..., Array]) -> Callable[..., Array]:
    """Lets vmap run it in a loop.

    With a kernel for each of many runs XLA would make a grouped convolution, which is slow on CPUs.
    """
    return jax.custom_batching.sequential_vmap(function)


def _grad_input(dy: Array, kernel: Array, *, size: Pair, stride: Pair, padding: Pair) -> Array:
    """The correlation of dy, spread out by the stride, with the filters turned round."""
    around = [
        (k - 1 - pad, n + pad - s * (out - 1) - 1, s - 1)
        for n, k, s, pad, out in zip(
            size, kernel.shape[:2], stride, padding, dy.shape[1:3], strict=True
        )
    ]
    spread = lax.pad(dy, jnp.zeros((), dy.dtype), [(0, 0, 0), *around, (0, 0, 0)])
    return conv_lax(spread, kernel[::-1, ::-1].transpose(0, 1, 3, 2), (1, 1), (0, 0))


def _grad_kernel(x: Array, dy: Array, *, taps: Pair, stride: Pair, padding: Pair) -> Array:
    """The sum over clips of patches times dy, in float32."""
    shape = (*taps, x.shape[-1], dy.shape[-1])

    def add(total: Array, clip: tuple[Array, Array]) -> tuple[Array, None]:
        patches = _patches(clip[0][None], taps, stride, padding)
        flat = patches.reshape(-1, patches.shape[-1]).T
        dense = clip[1].reshape(-1, shape[-1])
        return total + jnp.matmul(flat, dense, preferred_element_type=jnp.float32), None

    start = jnp.zeros((math.prod(shape[:-1]), shape[-1]), jnp.float32)
    return lax.scan(add, start, (x, dy))[0].reshape(shape).astype(x.dtype)


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
