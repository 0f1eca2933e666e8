"""Batch normalisation with a gradient written out by hand.

Derived automatically, the gradient sums over the maps six times and keeps a dozen small vectors;
by hand it needs two sums. The network is bound by memory, and each sum reads all of it again.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

Vector = Float[Array, "channels"]


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def batch_norm(
    x: Float[Array, "batch *positions channels"], scale: Vector, bias: Vector, epsilon: float
) -> tuple[Float[Array, "batch *positions channels"], Vector, Vector]:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, over all axes but the last.

    Args:
        x: the maps; the sums are in float32, the result in x's type.
        scale: one factor a channel.
        bias: one summand a channel.
        epsilon: added to the variance.

    Returns:
        The normalised maps, and mean and (biased) variance of each channel in float32. No gradient
        flows through these two.
    """
    return _normalise(x, scale, bias, epsilon)[0]


def _normalise(x: Array, scale: Array, bias: Array, epsilon: float) -> tuple:
    wide = x.astype(jnp.float32)
    axes = tuple(range(x.ndim - 1))
    mean = wide.mean(axes)
    if (
        x.ndim == 2
    ):  # embeddings may lie far from zero for their spread, and are cheap to read twice
        variance = jnp.square(wide - mean).mean(axes)
    else:
        variance = jnp.maximum(jnp.square(wide).mean(axes) - jnp.square(mean), 0.0)
    inverse = lax.rsqrt(variance + epsilon)
    y = (wide - mean) * (inverse * scale) + bias
    return (y.astype(x.dtype), mean, variance), (x, scale, mean, inverse)


def _backward(epsilon: float, saved: tuple, gradients: tuple) -> tuple[Array, Array, Array]:
    x, scale, mean, inverse = saved
    dy = gradients[0].astype(jnp.float32)
    axes, count = tuple(range(x.ndim - 1)), math.prod(x.shape[:-1])
    centred = x.astype(jnp.float32) - mean
    sum_dy = dy.sum(axes)
    dscale = (dy * centred).sum(axes) * inverse
    slope = inverse * dscale / count
    dx = (dy - centred * slope - sum_dy / count) * (inverse * scale)
    return dx.astype(x.dtype), dscale, sum_dy


batch_norm.defvjp(_normalise, _backward)
