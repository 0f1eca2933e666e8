"""Sorting along an axis by compare and exchange, for a CPU."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from asd_jax import target


def loudest_first(x: Float[Array, "*batch frames"]) -> Float[Array, "*batch frames"]:
    """The values along the last axis in descending order.

    XLA's sort for a CPU takes one row after another, with a call for each comparison. There a
    bitonic network (Batcher, "Sorting networks and their applications", 1968) exchanges whole
    rows of values at once.
    """
    if target.platform() != "cpu":
        return -jnp.sort(-x, axis=-1)
    frames = x.shape[-1]
    across = _network(_padded(x).reshape(-1, _length(frames)).T)
    return across[:frames].T.reshape(x.shape)


def _length(frames: int) -> int:
    """The next power of two."""
    return 1 << (frames - 1).bit_length()


def _padded(x: Array) -> Array:
    more = _length(x.shape[-1]) - x.shape[-1]
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, more)], constant_values=-jnp.inf)


def _network(x: Float[Array, "ranks rows"]) -> Float[Array, "ranks rows"]:
    """Sorts along the first axis, a power of two long, the largest first."""
    ranks = x.shape[0]
    size = 2
    while size <= ranks:
        # Two sorted runs, the second read backwards, become one: all exchanges point one way.
        halves = x.reshape(ranks // size, 2, size // 2, -1)
        first, second = halves[:, 0], halves[:, 1, ::-1]
        more, less = jnp.maximum(first, second), jnp.minimum(first, second)
        x = jnp.stack([more, less[:, ::-1]], axis=1).reshape(ranks, -1)
        step = size // 4
        while step:
            halves = x.reshape(ranks // (2 * step), 2, step, -1)
            first, second = halves[:, 0], halves[:, 1]
            exchanged = [jnp.maximum(first, second), jnp.minimum(first, second)]
            x = jnp.stack(exchanged, axis=1).reshape(ranks, -1)
            step //= 2
        size *= 2
    return x
