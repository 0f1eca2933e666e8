"""Full convolutions: every output channel sees every input channel."""

import functools
import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from asd_jax import target
from asd_jax.models.ops.blocks import by_blocks, in_blocks
from asd_jax.models.ops.depthwise import shifted, spread
from asd_jax.models.ops.products import product, sum_of_products
from asd_jax.models.ops.winograd import suits, winograd
from asd_jax.types import Pair


def pointwise(
    x: Float[Array, "*positions channels"], kernel: Float[Array, "channels features"]
) -> Float[Array, "*positions features"]:
    """A 1 x 1 convolution: one matrix product over all positions."""
    flat = x.reshape(-1, x.shape[-1])
    y = product(flat, kernel) if target.form() == "fast" else flat @ kernel
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
    stride, padding = (stride[0], stride[1]), (padding[0], padding[1])  # lists too
    if kernel.shape[:2] == (1, 1) and padding == (0, 0):
        # Not x[:, ::step]: with a batch of unknown size that would be traced as a gather.
        seen = x if stride == (1, 1) else lax.slice(x, (0,) * 4, x.shape, (1, *stride, 1))
        return pointwise(seen, kernel[0, 0])
    if target.form() == "lax":
        return conv_lax(x, kernel, stride, padding)
    if suits(x, kernel, stride, padding):
        return winograd(x, kernel)
    if in_blocks(x, kernel, stride, padding):
        return by_blocks(x, kernel, stride[1], padding[1])
    form = _matmul_form if x.shape[1] == kernel.shape[0] == 1 else _plain
    return form(x, kernel, stride, padding)


def conv_lax(x: Array, kernel: Array, stride: Pair, padding: Pair) -> Array:
    """The reference form of `conv`: XLA's convolution; shapes as there."""
    both = [(n, n) for n in padding]
    return lax.conv_general_dilated(
        x, kernel, stride, both, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _plain(x: Array, kernel: Array, stride: Pair, padding: Pair) -> Array:
    """XLA's plain convolution, with gradients that XLA's CPU backend is good at too."""
    if x.shape[-1] % 2 and x.shape[-1] > 1:
        # Odd numbers of channels do not fill vector registers: three are slower than four.
        x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, 1)))
        kernel = jnp.pad(kernel, ((0, 0), (0, 0), (0, 1), (0, 0)))
    return _one_by_one(functools.partial(conv_lax, stride=stride, padding=padding))(x, kernel)


def _forward(x: Array, kernel: Array, stride: Pair, padding: Pair) -> tuple:
    return _plain(x, kernel, stride, padding), (x, kernel)


def _backward(stride: Pair, padding: Pair, saved: tuple, dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    # By products first where these have fewer channels than dy.
    form = _scattered if 2 * kernel.shape[2] <= kernel.shape[3] else _spread
    grad_x = functools.partial(form, size=x.shape[1:3], stride=stride, padding=padding)
    grad_k = functools.partial(
        _grad_kernel, kernel_size=kernel.shape[:2], stride=stride, padding=padding
    )
    return _one_by_one(grad_x)(dy, kernel), _one_by_one(grad_k)(x, dy)


_plain.defvjp(_forward, _backward)


def _one_by_one(function: Callable[..., Array]) -> Callable[..., Array]:
    """Lets vmap run it in a loop.

    With a kernel for each of many runs XLA would make a grouped convolution, which is slow on CPUs.
    """
    return jax.custom_batching.sequential_vmap(function)


def _spread(dy: Array, kernel: Array, *, size: Pair, stride: Pair, padding: Pair) -> Array:
    """Gradient of x: the correlation of dy, spread out by the stride, with filters turned round."""
    kernel_size = (kernel.shape[0], kernel.shape[1])
    apart = spread(dy, size, kernel_size, stride, padding)
    return conv_lax(apart, kernel[::-1, ::-1].transpose(0, 1, 3, 2), (1, 1), (0, 0))


def _scattered(dy: Array, kernel: Array, *, size: Pair, stride: Pair, padding: Pair) -> Array:
    """Gradient of x: what each tap gives back, as one matrix product, then summed where it belongs.

    Position s a + r of x has got from tap i the output a - q, with s q = i - padding - r, for all i
    that leave no remainder: a sum of shifted maps for each phase r, and the phases interleaved.
    """
    (*kernel_size, channels, features), (batch, *out, _) = kernel.shape, dy.shape
    given = pointwise(dy, kernel.transpose(3, 0, 1, 2).reshape(features, -1))
    given = given.reshape(batch, *out, *kernel_size, channels)
    each = [-(-n // s) for n, s in zip(size, stride, strict=True)]  # positions of a phase

    def phase(*remainder: int) -> Array:
        total = jnp.zeros((batch, *each, channels), dy.dtype)
        for tap in itertools.product(*map(range, kernel_size)):
            rest = [i - pad - r for i, pad, r in zip(tap, padding, remainder, strict=True)]
            if any(n % s for n, s in zip(rest, stride, strict=True)):
                continue
            shift = [n // s for n, s in zip(rest, stride, strict=True)]
            room = [(q, a - o - q, 0) for q, a, o in zip(shift, each, out, strict=True)]
            part = given[:, :, :, *tap]
            total += lax.pad(part, jnp.zeros((), dy.dtype), [(0, 0, 0), *room, (0, 0, 0)])
        return total

    rows = [jnp.stack([phase(i, j) for j in range(stride[1])], axis=3) for i in range(stride[0])]
    whole = jnp.stack(rows, axis=2)
    whole = whole.reshape(batch, each[0] * stride[0], each[1] * stride[1], channels)
    return whole[:, : size[0], : size[1]]


def _grad_kernel(x: Array, dy: Array, *, kernel_size: Pair, stride: Pair, padding: Pair) -> Array:
    """Gradient of the kernel: for each row of taps, what it saw times dy; sums in float32."""
    # Patches of one row of taps: those of all rows would be as many times more to write.
    x = jnp.pad(x, ((0, 0), (padding[0],) * 2, (0, 0), (0, 0)))
    seen = _patches(x, (1, kernel_size[1]), (1, stride[1]), (0, padding[1]))
    last = stride[0] * (dy.shape[1] - 1) + 1
    dense = dy.reshape(-1, dy.shape[-1])
    rows = []
    for i in range(kernel_size[0]):
        row = lax.slice_in_dim(seen, i, i + last, stride[0], axis=1)
        rows.append(sum_of_products(row.reshape(-1, row.shape[-1]), dense))
    shape = (*kernel_size, x.shape[-1], dy.shape[-1])
    return jnp.stack(rows).reshape(shape).astype(x.dtype)


def _matmul_form(x: Array, kernel: Array, stride: Pair, padding: Pair) -> Array:
    """Patches times filters: the gradients are matrix products and shifted sums too."""
    patches = _patches(x, (kernel.shape[0], kernel.shape[1]), stride, padding)
    return pointwise(patches, kernel.reshape(-1, kernel.shape[-1]))


def _patches(x: Array, kernel_size: Pair, stride: Pair, padding: Pair) -> Array:
    """Returns patches `[batch, out_height, out_width, taps * channels]`, one for each position."""
    x = jnp.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)))
    if x.shape[1] == kernel_size[0] == 1 and kernel_size[1] % stride[1] == 0:
        return _frames(x, kernel_size[1], stride[1])
    height, width = (
        (n - k) // s + 1 for n, k, s in zip(x.shape[1:3], kernel_size, stride, strict=True)
    )
    taps = itertools.product(*map(range, kernel_size))
    return jnp.concatenate([shifted(x, i, j, (height, width), stride) for i, j in taps], axis=-1)


def _frames(x: Array, kernel_size: int, stride: int) -> Array:
    """Overlapping frames of a signal `[batch, 1, samples, channels]`, cut without a gather."""
    batch, _, samples, channels = x.shape
    count = (samples - kernel_size) // stride + 1
    overlap = kernel_size // stride
    blocks = x[:, :, : (count + overlap - 1) * stride]
    blocks = blocks.reshape(batch, 1, count + overlap - 1, stride * channels)
    return jnp.concatenate([blocks[:, :, i : i + count] for i in range(overlap)], axis=-1)
