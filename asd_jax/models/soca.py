"""Second-order channel attention (Dai et al. 2019, SAN)."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float

from asd_jax.models.layers import dense
from asd_jax.types import Maps

ITERATIONS = 5  # of Newton-Schulz, as in the paper
TINY = 1e-10  # a flat map has trace 0
_HIGHEST = jax.lax.Precision.HIGHEST


class Soca(nn.Module):
    """SOCA: gate = sigmoid(W2 relu(W1 z)), z the row means of the square root of the covariance.

    Attributes:
        reduction: the hidden layer has channels / reduction units.
    """

    reduction: int = 8

    @nn.compact
    def __call__(self, x: Maps, *, train: bool) -> Maps:
        """Returns x gated by channel."""
        batch, h, w, channels = x.shape
        pooled = second_order_pool(x.astype(jnp.float32).reshape(batch, h * w, channels))
        hidden = nn.relu(dense(max(1, channels // self.reduction), name="squeeze")(pooled))
        gate = nn.sigmoid(dense(channels, name="excite")(hidden))
        return x * gate[:, None, None].astype(x.dtype)


def second_order_pool(
    x: Float[Array, "batch positions channels"],
) -> Float[Array, "batch channels"]:
    """Row means of the square root of each clip's channel covariance, by 5 Newton-Schulz steps.

    The iterate is Y = A Z with Z a polynomial of the scaled covariance A = X'X / trace. Only Y
    times a vector of ones is wanted, and X'X Z(X'X) 1 = X' Z(XX') X 1, so the iteration runs on the
    smaller of the two Gram matrices: 49 x 49 in place of 1536 x 1536 in the last stage. This is
    what makes SOCA affordable on expanded channels.
    """
    _, positions, channels = x.shape
    x = (x - jnp.mean(x, 1, keepdims=True)) / jnp.sqrt(positions)
    trace = jnp.maximum(jnp.sum(jnp.square(x), (1, 2)), TINY)
    x = x / jnp.sqrt(trace)[:, None, None]
    total = jnp.sum(x, 2)  # X 1
    if channels <= positions:
        gram = jnp.einsum("bpc,bpd->bcd", x, x, precision=_HIGHEST)
        ones = jnp.ones((x.shape[0], channels), jnp.float32)
        root = jnp.einsum("bcd,bd->bc", gram, _inverse_root(gram, ones), precision=_HIGHEST)
    else:
        gram = jnp.einsum("bpc,bqc->bpq", x, x, precision=_HIGHEST)
        root = jnp.einsum("bpc,bp->bc", x, _inverse_root(gram, total), precision=_HIGHEST)
    return root * (jnp.sqrt(trace) / channels)[:, None]


def _inverse_root(
    a: Float[Array, "batch n n"], vector: Float[Array, "batch n"]
) -> Float[Array, "batch n"]:
    """Z vector, where Z goes to the inverse square root of `a` (eigenvalues in [0, 1]).

    Coupled iteration from Y = a, Z = I: T = (3 I - Z Y) / 2, Y <- Y T, Z <- T Z.
    """

    def times(left: Array, right: Array) -> Array:
        return jnp.matmul(left, right, precision=_HIGHEST)

    identity = jnp.eye(a.shape[-1], dtype=a.dtype)
    z = 1.5 * identity - 0.5 * a
    y = times(a, z)
    for _ in range(ITERATIONS - 2):
        t = 1.5 * identity - 0.5 * times(z, y)
        y, z = times(y, t), times(t, z)
    vector = times(z, vector[..., None])
    return (1.5 * vector - 0.5 * times(z, times(y, vector)))[..., 0]
