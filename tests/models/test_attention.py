"""Each attention against NumPy written from its paper's formula, position by position."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from asd_jax.errors import UserError
from asd_jax.models import attention
from asd_jax.models.attention import ATTENTION, SIMAM_LAMBDA, Attention, make_attention

SHAPE = (2, 5, 4, 32)


def maps(shape=SHAPE, seed=0, scale=1.0):
    return scale * np.random.default_rng(seed).normal(0.3, 1.0, shape).astype(np.float32)


def randomised(variables, seed=1):
    """The same tree with every array drawn anew, so that no zero or one hides a mistake."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda v: jnp.asarray(rng.uniform(0.2, 1.0, v.shape) * rng.choice([-1, 1], v.shape)),
        variables,
    )


def run(settings, x, block_channels=8, train=False):
    module = make_attention(settings, block_channels=block_channels)
    x = jnp.asarray(x)
    variables = randomised(jax.jit(partial(module.init, train=False))(jax.random.key(0), x))
    if "batch_stats" in variables:
        variables["batch_stats"] = jax.tree.map(jnp.abs, variables["batch_stats"])
    out = jax.jit(partial(module.apply, train=train))(variables, x)
    return np.asarray(out), jax.tree.map(np.asarray, variables)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def dense(p, x):
    return x @ p["kernel"].astype(np.float64) + p["bias"]


def batch_norm(p, stats, x):
    return (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-5) * p["scale"] + p["bias"]


def simam_oracle(x, definition, strength):
    """Neuron by neuron, as the papers print it; x float64."""
    out = np.empty_like(x)
    batch, _, w, channels = x.shape
    for b, c in np.ndindex(batch, channels):
        values = x[b, :, :, c].ravel()
        for i, value in enumerate(values):
            rest = np.delete(values, i)
            if definition == "official":
                variance = np.sum((values - values.mean()) ** 2) / (values.size - 1)
                gate = sigmoid((value - values.mean()) ** 2 / (4 * (variance + strength)) + 0.5)
            else:
                gate = 1 / (1 + (value - rest.mean()) ** 2 + strength * rest.var())
            out[b, i // w, i % w, c] = value * gate
    return out


def channel_oracle(p, x):
    def mlp(v):
        return dense(p["expand"], np.maximum(dense(p["reduce"], v), 0))

    return sigmoid(mlp(x.mean((1, 2))) + mlp(x.max((1, 2))))[:, None, None] * x


def test_squeeze_excite():
    x = maps()
    out, v = run(Attention("se"), x, block_channels=8)
    p = v["params"]
    assert p["reduce"]["kernel"].shape == (32, 2)  # a quarter of the block's input, not of x
    hidden = dense(p["reduce"], x.astype(np.float64).mean((1, 2)))
    gate = sigmoid(dense(p["expand"], hidden * sigmoid(hidden)))
    np.testing.assert_allclose(out, x * gate[:, None, None], rtol=1e-5)


def test_cbam():
    x = maps()
    out, v = run(Attention("cbam"), x)
    p = v["params"]
    assert p["channel"]["reduce"]["kernel"].shape == (32, 2)
    y = channel_oracle(p["channel"], x.astype(np.float64))
    pooled = np.stack([y.max(-1), y.mean(-1)], -1)
    padded = np.pad(pooled, ((0, 0), (3, 3), (3, 3), (0, 0)))
    mixed = np.zeros(y.shape[:3])
    for b, i, j in np.ndindex(mixed.shape):
        mixed[b, i, j] = np.sum(padded[b, i : i + 7, j : j + 7] * p["spatial"][..., 0])
    stats = v["batch_stats"]["spatial_norm"]
    gate = sigmoid(batch_norm(p["spatial_norm"], stats, mixed[..., None]))
    np.testing.assert_allclose(out, y * gate, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("definition", SIMAM_LAMBDA)
@pytest.mark.parametrize("scale", [0.01, 1.0])  # lambda matters in the first, not in the second
def test_simam(definition, scale):
    x = maps(scale=scale)
    out, v = run(Attention("simam", simam=definition), x)
    assert not v.get("params")
    strength = {"official": 1e-4, "sun": 1.0}[definition]
    want = simam_oracle(x.astype(np.float64), definition, strength)
    np.testing.assert_allclose(out, want, rtol=2e-5, atol=1e-8)


@pytest.mark.parametrize("definition", SIMAM_LAMBDA)
def test_improved_cbam_is_channel_attention_then_simam(definition):
    x = maps()
    out, v = run(Attention("simam_cbam", simam=definition), x)
    gated = channel_oracle(v["params"]["channel"], x.astype(np.float64))
    np.testing.assert_allclose(
        out, simam_oracle(gated, definition, SIMAM_LAMBDA[definition]), rtol=3e-5, atol=1e-7
    )


def test_eca():
    x, kernel_size = maps(), 3
    out, v = run(Attention("eca"), x)
    weight = v["params"]["kernel"][:, 0]
    assert weight.shape == (kernel_size,)
    pooled = np.pad(
        x.astype(np.float64).mean((1, 2)), ((0, 0), (kernel_size // 2, kernel_size // 2))
    )
    mixed = np.stack([pooled[:, c : c + kernel_size] @ weight for c in range(32)], -1)
    np.testing.assert_allclose(out, x * sigmoid(mixed)[:, None, None], rtol=1e-5)


def soca_root(x):
    """The paper's iteration on the full covariance, in float64: `[batch, channels, channels]`."""
    roots = []
    for clip in x.reshape(x.shape[0], -1, x.shape[-1]).astype(np.float64):
        covariance = np.cov(clip, rowvar=False, bias=True)
        identity = np.eye(covariance.shape[0])
        y, z = covariance / np.trace(covariance), identity
        for _ in range(attention.ITERATIONS):
            t = (3 * identity - z @ y) / 2
            y, z = y @ t, t @ z
        roots.append(np.sqrt(np.trace(covariance)) * y)
    return np.stack(roots)


@pytest.mark.parametrize("shape", [(2, 8, 9, 16), (2, 3, 3, 16)])  # more positions; more channels
def test_soca(shape):
    x = maps(shape)
    out, v = run(Attention("soca"), x)
    p = v["params"]
    assert p["squeeze"]["kernel"].shape == (16, 2)
    pooled = soca_root(x).mean(1)
    gate = sigmoid(dense(p["excite"], np.maximum(dense(p["squeeze"], pooled), 0)))
    np.testing.assert_allclose(out, x * gate[:, None, None], rtol=2e-5)


def test_soca_pools_the_square_root_of_the_covariance(monkeypatch):
    monkeypatch.setattr(attention, "ITERATIONS", 25)  # five only come near
    x = maps((2, 12, 12, 6))
    pooled = attention.second_order_pool(jnp.asarray(x.reshape(2, -1, 6)))
    for clip, row in zip(x.reshape(2, -1, 6), pooled, strict=True):
        root = scipy.linalg.sqrtm(np.cov(clip.astype(np.float64), rowvar=False, bias=True))
        np.testing.assert_allclose(row, root.mean(0), atol=2e-5)


def test_soca_of_a_flat_map_is_finite():
    x = jnp.ones((1, 4, 4, 16))
    gradient = jax.jit(
        jax.grad(lambda x: jnp.sum(attention.second_order_pool(x.reshape(1, 16, 16))))
    )(x)
    assert np.isfinite(gradient).all()


def test_nam():
    x = maps()
    out, v = run(Attention("nam"), x)
    p, stats = v["params"]["bn"], v["batch_stats"]["bn"]
    weight = np.abs(p["scale"]) / np.abs(p["scale"]).sum()
    np.testing.assert_allclose(
        out, x * sigmoid(weight * batch_norm(p, stats, x.astype(np.float64))), rtol=1e-5
    )


def test_none_returns_its_input():
    x = maps()
    np.testing.assert_array_equal(run(Attention("none"), x)[0], x)


@pytest.mark.parametrize("kind", ATTENTION)
@pytest.mark.parametrize("size", [(1, 1), (3, 2)])
def test_any_size_any_dtype_finite_gradients(kind, size):
    x = jnp.asarray(maps((2, *size, 16)), jnp.bfloat16)
    module = make_attention(Attention(kind), block_channels=16)
    variables = jax.jit(partial(module.init, train=False))(jax.random.key(0), x)

    def total(variables, x):
        out, _ = module.apply(variables, x, train=True, mutable=["batch_stats"])
        assert out.shape == x.shape and out.dtype == x.dtype
        return jnp.sum(out.astype(jnp.float32))

    for leaf in jax.tree.leaves(jax.jit(jax.grad(total, argnums=(0, 1)))(variables, x)):
        assert np.isfinite(np.asarray(leaf, np.float32)).all()


def test_unknown_names_list_the_known_ones():
    with pytest.raises(UserError, match=r"kind is 'SE'.*simam_cbam"):
        Attention("SE")
    with pytest.raises(UserError, match="official, sun"):
        Attention("simam", simam="yang")
