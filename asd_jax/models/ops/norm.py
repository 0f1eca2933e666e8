"""Batch normalisation and the activation after it, with a gradient written out by hand.

Training is bound by memory here: what counts is how often the maps are read and written, and how
many of them are kept. Derived automatically, the gradient sums over the maps six times, and the
backward pass needs x, x - mean, the normalised maps and what the activation keeps of them. By hand
it needs two sums and x alone.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

Vector = Float[Array, "channels"]
Activation = Callable[[Array], Array]


def identity(x: Array) -> Array:
    """Returns x."""
    return x


@lambda function: jax.custom_vjp(function, nondiff_argnums=(3, 4))
def batch_norm(
    x: Float[Array, "batch *positions channels"],
    scale: Vector,
    bias: Vector,
    epsilon: float,
    activation: Activation = identity,
) -> tuple[Float[Array, "batch *positions channels"], Vector, Vector]:
    """activation((x - mean) / sqrt(variance + epsilon) * scale + bias), over all axes but the last.

    Args:
        x: the maps; the sums are in float32, the result in x's type.
        scale: one factor a channel.
        bias: one summand a channel.
        epsilon: added to the variance.
        activation: of each number by itself. It is computed again for the gradient.

    Returns:
        The maps, and mean and (biased) variance of each channel in float32. No gradient flows
        through these two.
    """
    return _normalise(x, scale, bias, epsilon, activation)[0]


def _normalise(
    x: Array, scale: Array, bias: Array, epsilon: float, activation: Activation
) -> tuple:
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
    y = activation((wide - mean) * (inverse * scale) + bias)
    return (y.astype(x.dtype), mean, variance), (x, scale, bias, mean, inverse)


def _backward(
    epsilon: float, activation: Activation, saved: tuple, gradients: tuple
) -> tuple[Array, Array, Array]:
    x, scale, bias, mean, inverse = saved
    axes, count = tuple(range(x.ndim - 1)), math.prod(x.shape[:-1])
    wide, factor = x.astype(jnp.float32), inverse * scale
    # Not written as in `_normalise`, or the compiler would keep what that has computed.
    y = wide * factor + (bias - mean * factor)
    (dy,) = jax.vjp(activation, y)[1](gradients[0].astype(jnp.float32))
    sum_dy = dy.sum(axes)
    if x.ndim == 2:
        dscale = (dy * (wide - mean)).sum(axes) * inverse
    else:  # x - mean is not a part of any map that is there: it would be written and read for this
        dscale = ((dy * wide).sum(axes) - mean * sum_dy) * inverse
    slope = inverse * dscale / count
    dx = (dy - (wide - mean) * slope - sum_dy / count) * factor
    return dx.astype(x.dtype), dscale, sum_dy


batch_norm.defvjp(_normalise, _backward)
