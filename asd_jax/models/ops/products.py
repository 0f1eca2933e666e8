"""Matrix products whose gradients are in the form that is fast on a CPU."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


@jax.custom_vjp
def product(
    x: Float[Array, "rows channels"], kernel: Float[Array, "channels features"]
) -> Float[Array, "rows features"]:
    """Returns `x @ kernel`, for many more rows than channels and features."""
    return x @ kernel


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return product(x, kernel), (x, kernel)


def _backward(saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    return dy @ kernel.T, sum_of_products(x, dy).astype(kernel.dtype)


product.defvjp(_forward, _backward)


def sum_of_products(
    left: Float[Array, "rows a"], right: Float[Array, "rows b"]
) -> Float[Array, "a b"]:
    """Returns `left.T @ right`, summed in float32.

    XLA's kernel for a CPU is faster where the result has fewer rows than columns.
    """
    if left.shape[1] <= right.shape[1]:
        return _summed(left, right)
    # Without the barrier XLA turns the transposed product round again.
    return lax.optimization_barrier(_summed(right, left)).T


def _summed(left: Array, right: Array) -> Array:
    return jnp.matmul(left.T, right, preferred_element_type=jnp.float32)
