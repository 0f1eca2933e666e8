"""Halving and restoring the resolution of maps."""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float


def average_pool_2x2(
    x: Float[Array, "batch height width channels"],
) -> Float[Array, "batch half_height half_width channels"]:
    """Means of 2 x 2 positions; an odd last row or column is left out."""
    rows = _odd_or_even(x, 1, 0) + _odd_or_even(x, 1, 1)
    return (_odd_or_even(rows, 2, 0) + _odd_or_even(rows, 2, 1)) * 0.25


def _odd_or_even(x: Array, axis: int, first: int) -> Array:
    """Every second position along an axis from the first or second on, as many of both."""
    last = first + x.shape[axis] // 2 * 2 - 1
    # Not x[:, 0::2]: with a batch of unknown size that would be traced as a gather.
    return lax.slice_in_dim(x, first, last, stride=2, axis=axis)


def upsample_nearest(
    x: Float[Array, "batch height width channels"], size: tuple[int, int]
) -> Float[Array, "batch out_height out_width channels"]:
    """Repeats rows and columns: position i shows position floor(i * in / out).

    `jax.image.resize` takes the nearest centre instead, which differs where the sizes are odd.
    """
    return _repeat(_repeat(x, 1, size[0]), 2, size[1])


def _repeat(x: Array, axis: int, out: int) -> Array:
    """Upsamples along one axis, by broadcasting where the pattern is regular."""
    size = x.shape[axis]
    if out == size:
        return x
    if out // size == 0 or out % size not in (0, 1) or (out % size == 1 and out // size != 2):
        return jnp.take(x, np.arange(out) * size // out, axis=axis)
    times = out // size
    shape = list(x.shape)
    shape.insert(axis + 1, times)
    y = jnp.broadcast_to(jnp.expand_dims(x, axis + 1), shape)
    y = y.reshape(*x.shape[:axis], size * times, *x.shape[axis + 1 :])
    if out % size:  # out = 2 size + 1: the first is seen three times
        first = jnp.take(x, np.arange(1), axis=axis)
        y = jnp.concatenate([first, y], axis=axis)
    return y
