"""SimAM's hand-written pooling and gate against the form that JAX differentiates by itself."""

import functools

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.models import ops
from asd_jax.models.attention import SIMAM_LAMBDA, Attention, make_attention, simam
from asd_jax.models.ops import simam as forms

# Divided into slices of 2, 7, 14 and 16, and not at all.
SIZES = [(3, 4), (1, 2), (7, 7), (14, 14), (8, 8), (1, 17), (1, 1)]


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def gated(x, weight, definition, strength=0.1, channel=True):
    """The maps and what a channel gate of every pooled number makes of them."""
    mean, spread, peak = forms.pool(x)
    gate = jax.nn.sigmoid(weight[0] * mean + weight[1] * peak) if channel else None
    y = simam(x, mean, spread, gate, definition=definition, strength=strength)
    return y, 0.01 * spread + peak * mean


def values_and_gradients(function, form, *inputs):
    """Each form as a function of its own, since JAX keeps what it has traced."""

    def loss(*inputs):
        y, pooled = function(*inputs)
        wide = y.astype(jnp.float32)
        weight = draw(9, *y.shape[-4:])
        return jnp.sum(weight * wide) + jnp.sum(jnp.sin(pooled)), (y, pooled)

    with ops.implementation(form):
        found = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(*inputs)
    return [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(found)]


def assert_same(ours, reference, tolerance):
    assert len(ours) == len(reference) == 5
    for a, b in zip(ours, reference, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max())


@pytest.mark.parametrize("channel", [True, False])
@pytest.mark.parametrize("definition", SIMAM_LAMBDA)
@pytest.mark.parametrize("size", SIZES)
def test_values_and_gradients(size, definition, channel):
    x, weight = 2 * draw(0, 3, *size, 5) + 1, draw(1, 2, 5)
    function = functools.partial(gated, definition=definition, channel=channel)
    ours = values_and_gradients(function, "fast", x, weight)
    assert_same(ours, values_and_gradients(function, "lax", x, weight), 2e-5)


@pytest.mark.parametrize("definition", SIMAM_LAMBDA)
def test_maps_of_bfloat16(definition):
    """Against float32 of the same numbers: what is written is rounded, the sums are not."""
    x, weight = draw(0, 3, 7, 7, 5).astype(jnp.bfloat16), draw(1, 2, 5)
    function = functools.partial(gated, definition=definition)
    ours = values_and_gradients(function, "fast", x, weight)
    exact = values_and_gradients(function, "lax", x.astype(jnp.float32), weight)
    assert_same(ours, exact, 2e-2)


def test_a_maximum_at_several_places_shares_its_gradient():
    x = jnp.maximum(jnp.round(draw(0, 3, 5, 6, 4)), 0)  # few values, so many equal maxima
    x = x.at[0].set(0.0)  # flat maps
    function = functools.partial(gated, definition="official")
    ours = values_and_gradients(function, "fast", x, draw(1, 2, 4))
    assert_same(ours, values_and_gradients(function, "lax", x, draw(1, 2, 4)), 2e-5)


def test_deviations_of_maps_far_from_zero():
    x = 1000 + draw(0, 2, 14, 14, 3)
    with ops.implementation("fast"):
        mean, spread, peak = forms.pool(x)
    exact = np.asarray(x, np.float64)
    np.testing.assert_allclose(mean, exact.mean((1, 2)), rtol=1e-6)
    np.testing.assert_allclose(spread, exact.var((1, 2)) * 14 * 14, rtol=1e-4)
    np.testing.assert_array_equal(peak, exact.max((1, 2)))


@pytest.mark.parametrize("definition", SIMAM_LAMBDA)
def test_several_runs_side_by_side(definition):
    x, weight = draw(0, 3, 2, 6, 7, 4), draw(1, 3, 2, 4)

    def loss(x, weight):
        y, pooled = gated(x, weight, definition)
        return jnp.sum(jnp.sin(y)) + jnp.sum(pooled)

    with ops.implementation("fast"):
        gradient = jax.grad(loss, argnums=(0, 1))
        together = jax.jit(jax.vmap(gradient))(x, weight)
        alone = jax.jit(gradient)
        for run in range(3):
            for a, b in zip(together, alone(x[run], weight[run]), strict=True):
                np.testing.assert_allclose(a[run], b, rtol=1e-4, atol=1e-5)


def test_nothing_of_the_maps_size_is_kept_but_the_maps():
    x, weight = draw(0, 2, 4, 5, 3), draw(1, 2, 3)
    with ops.implementation("fast"):
        _, gradient = jax.vjp(lambda x: gated(x, weight, "official")[0], x)
    assert sum(jnp.shape(leaf) == x.shape for leaf in jax.tree.leaves(gradient)) <= 2
    kept = [leaf for leaf in jax.tree.leaves(gradient) if jnp.shape(leaf) == x.shape]
    assert all((leaf == x).all() for leaf in kept)  # once for the pool, once for the gate


@pytest.mark.parametrize("kind", ["simam", "simam_cbam"])
def test_a_batch_of_unknown_size(kind):
    module = make_attention(Attention(kind), block_channels=8)
    x = draw(0, 3, 6, 7, 8)
    variables = module.init(jax.random.key(0), x, train=False)
    (batch,) = jax.export.symbolic_shape("batch")
    with ops.implementation("fast"):
        function = jax.jit(lambda x: module.apply(variables, x, train=False))
        exported = jax.export.export(function)(jax.ShapeDtypeStruct((batch, 6, 7, 8), x.dtype))
    with ops.implementation("lax"):
        want = module.apply(variables, x, train=False)
    np.testing.assert_allclose(exported.call(x), want, rtol=1e-5, atol=1e-6)
    assert "gather" not in exported.mlir_module()
