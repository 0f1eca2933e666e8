"""How kernels start, and how to start a hundred of them without compiling a hundred generators."""

import contextlib
import contextvars
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array


class Draw:
    """Hands out the pieces of one long draw from U(-1, 1).

    A random generator is compiled for each shape that it is asked for, which takes longer than a
    training step of a network of many layers; one draw that is cut is compiled once.

    Args:
        values: the draw; None to hand out zeros and only count.
    """

    def __init__(self, values: Array | None) -> None:
        self.values = values
        self.used = 0

    def take(self, shape: Sequence[int]) -> Array:
        """The next piece, in the shape asked for."""
        size = math.prod(shape)
        start, self.used = self.used, self.used + size
        if self.values is None:
            return jnp.zeros(shape)
        return jax.lax.slice(self.values, (start,), (self.used,)).reshape(shape)


_current: contextvars.ContextVar[Draw | None] = contextvars.ContextVar("draw", default=None)


@contextlib.contextmanager
def drawing_from(draw: Draw) -> Iterator[None]:
    """Lets `kernel_init` take from `draw` instead of its key."""
    token = _current.set(draw)
    try:
        yield
    finally:
        _current.reset(token)


def kernel_init(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
    """U(-1, 1) / sqrt(fan in), PyTorch's default, which the reference networks start from.

    The fan in is the product of all axes but the last: of `[taps_h, taps_w, channels, features]` or
    `[channels, features]`.
    """
    draw = _current.get()
    unit = draw.take(shape) if draw else jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)
    return (unit / math.sqrt(math.prod(shape[:-1]))).astype(dtype)
