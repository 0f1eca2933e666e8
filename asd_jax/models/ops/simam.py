"""SimAM's gate and the pooling it needs, with gradients written out by hand.

Derived automatically, the gradient keeps x - mean, its square and the gate of every position, and
passes over them one by one; by hand it keeps x alone and computes the gate again, once.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from asd_jax import target
from asd_jax.types import Maps

Vector = Float[Array, "batch channels"]

AT_ONCE = 16  # slices of a map that one pass adds up


class Curve(NamedTuple):
    """A gate of one number, and its slope as a function of its value."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


SIGMOID = Curve(jax.nn.sigmoid, lambda gate: gate * (1 - gate))
RECIPROCAL = Curve(lambda u: 1 / u, lambda gate: -gate * gate)


def pool(x: Maps) -> tuple[Vector, Vector, Vector]:
    """Mean, sum of squared deviations from it, and maximum of each map, in float32."""
    return (_pool if target.form() == "fast" else pool_lax)(x)


def gate_by_deviation(
    x: Maps, mean: Vector, scale: Vector, factor: Vector, offset: Vector, curve: Curve
) -> Maps:
    """x * scale * curve(factor * (x - mean)^2 + offset): float32 inside, in x's type.

    Args:
        x: the maps.
        mean: of each map; the gradient flows through it.
        scale: of each map.
        factor: of the squared deviations of each map.
        offset: of each map.
        curve: the gate.
    """
    form = _gated if target.form() == "fast" else gate_lax
    return form(x, mean, scale, factor, offset, curve)


def pool_lax(x: Maps) -> tuple[Vector, Vector, Vector]:
    """The reference form of `pool`."""
    x = x.astype(jnp.float32)
    mean = jnp.mean(x, (1, 2))
    return mean, jnp.sum(jnp.square(x - _wide(mean)), (1, 2)), jnp.max(x, (1, 2))


def gate_lax(
    x: Maps, mean: Vector, scale: Vector, factor: Vector, offset: Vector, curve: Curve
) -> Maps:
    """The reference form of `gate_by_deviation`."""
    squared = jnp.square(x.astype(jnp.float32) - _wide(mean))
    gate = curve.value(squared * _wide(factor) + _wide(offset))
    return x * (_wide(scale) * gate).astype(x.dtype)


def _wide(vector: Vector) -> Float[Array, "batch 1 1 channels"]:
    return vector[:, None, None]


def _sum(x: Maps) -> Vector:
    """The sum over positions.

    Slices are added in the pass that computes them, and a product with ones, into which XLA never
    fuses, sums the rest. The ones are there for each clip: with one row for all, XLA turned the
    other factor round in that pass, which is then slower.
    """
    batch, h, w, channels = x.shape
    count = max(n for n in range(1, AT_ONCE + 1) if h * w % n == 0)
    size = h * w // count
    x = x.reshape(batch, h * w, channels)
    slices = (lax.slice_in_dim(x, i * size, (i + 1) * size, axis=1) for i in range(count))
    ones = jnp.ones((batch, 1, size), x.dtype)
    total = functools.reduce(jnp.add, slices)
    return jnp.matmul(ones, total, precision=lax.Precision.HIGHEST).reshape(batch, channels)


@jax.custom_vjp
def _pool(x: Maps) -> tuple[Vector, Vector, Vector]:
    return _pool_forward(x)[0]


def _pool_forward(x: Maps) -> tuple:
    wide = x.astype(jnp.float32)
    mean = _sum(wide) / (x.shape[1] * x.shape[2])
    spread = _sum(jnp.square(wide - _wide(mean)))
    peak = jnp.max(x, (1, 2)).astype(jnp.float32)
    return (mean, spread, peak), (x, mean, peak)


def _pool_backward(saved: tuple, gradients: tuple) -> tuple[Maps]:
    """Returns 2 (x - mean) dspread + dmean / n, and dpeak shared by positions of the maximum."""
    x, mean, peak = saved
    dmean, dspread, dpeak = gradients
    wide = x.astype(jnp.float32)
    top = wide == _wide(peak)
    share = dpeak / _sum(jnp.where(top, 1.0, 0.0))
    constant = dmean / (x.shape[1] * x.shape[2]) - 2 * dspread * mean
    dx = wide * _wide(2 * dspread) + _wide(constant) + jnp.where(top, _wide(share), 0.0)
    return (dx.astype(x.dtype),)


_pool.defvjp(_pool_forward, _pool_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def _gated(
    x: Maps, mean: Vector, scale: Vector, factor: Vector, offset: Vector, curve: Curve
) -> Maps:
    """Computes `gate_lax`, with a gradient of few passes over the maps."""
    # The barrier keeps the gate out of the convolution after it, with which XLA would fuse it.
    return lax.optimization_barrier(gate_lax(x, mean, scale, factor, offset, curve))


def _gated_forward(x: Maps, *vectors_and_curve) -> tuple:
    return _gated(x, *vectors_and_curve), (x, *vectors_and_curve[:-1])


def _gated_backward(curve: Curve, saved: tuple, dy: Maps) -> tuple:
    x, mean, scale, factor, offset = saved
    wide, dy = x.astype(jnp.float32), dy.astype(jnp.float32)
    # Turned round, or the compiler would keep the forward pass's gate.
    d = _wide(mean) - wide
    gate = curve.value(d * (d * _wide(factor)) + _wide(offset))
    du = dy * wide * curve.slope(gate)  # of curve's argument, up to `scale`, as all below
    dscale = _sum(dy * wide * gate)
    dfactor = _sum(du * jnp.square(d))
    dmean = _sum(du * d) * (2 * factor)
    dx = dy * gate * _wide(scale) - du * d * _wide(2 * factor * scale)
    return dx.astype(x.dtype), dmean * scale, dscale, dfactor * scale, _sum(du) * scale


_gated.defvjp(_gated_forward, _gated_backward)
