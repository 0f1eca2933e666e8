"""The Conformer block against NumPy written from the papers' formulas, distance by distance."""

import jax
import jax.numpy as jnp
import numpy as np

from asd_jax.models import ops
from asd_jax.models.conformer import Conformer, ConformerBlock, RelativeAttention
from tests.models.reference import random_variables, shapes_of

FRAMES, DIM, HEADS, KERNEL = 7, 12, 2, 5


def frames(batch=2):
    return np.random.default_rng(0).standard_normal((batch, FRAMES, DIM)).astype(np.float32)


def run(module, x):
    variables = random_variables_of(module, x)
    out = jax.jit(lambda v, x: module.apply(v, x))(variables, jnp.asarray(x))
    return np.asarray(out), to64(variables["params"])


def random_variables_of(module, x, **mode):
    shapes = jax.eval_shape(lambda key: module.init(key, jnp.asarray(x), **mode), jax.random.key(0))
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        if path[-1].key == "var":
            return jnp.asarray(rng.uniform(0.5, 1.5, leaf.shape), leaf.dtype)
        return jnp.asarray(0.4 * rng.standard_normal(leaf.shape), leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, dict(shapes))


def to64(tree):
    return jax.tree.map(lambda v: np.asarray(v, np.float64), tree)


def dense(p, x):
    return x @ p["kernel"] + p.get("bias", 0)


def layer_norm(p, x):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-5) * p["scale"] + p["bias"]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def attention_oracle(p, x):
    """Dai 2019, section 3.3, terms (a) to (d), pair by pair."""
    size = DIM // HEADS
    rates = 10000.0 ** -(np.arange(0, DIM, 2) / DIM)
    out = np.zeros_like(x)
    for b in range(len(x)):
        for h in range(HEADS):
            cut = slice(h * size, (h + 1) * size)
            query, key, value = (dense(p[n], x[b])[:, cut] for n in ("query", "key", "value"))
            scores = np.zeros((FRAMES, FRAMES))
            for i, j in np.ndindex(FRAMES, FRAMES):
                code = np.concatenate([np.sin((i - j) * rates), np.cos((i - j) * rates)])
                place = (code @ p["distance"]["kernel"])[cut]
                scores[i, j] = (query[i] + p["content_bias"][h]) @ key[j]
                scores[i, j] += (query[i] + p["place_bias"][h]) @ place
            weights = np.exp(scores / np.sqrt(size))
            out[b, :, cut] = weights / weights.sum(1, keepdims=True) @ value
    return dense(p["out"], out)


def feed_forward(p, x):
    y = dense(p["hidden"], layer_norm(p["norm"], x))
    return dense(p["out"], y * sigmoid(y))


def convolution_oracle(p, stats, x):
    left, right = np.split(dense(p["gate"], layer_norm(p["norm"], x)), 2, -1)
    gated = np.pad(left * sigmoid(right), ((0, 0), (KERNEL // 2, KERNEL // 2), (0, 0)))
    y = np.zeros_like(x)
    for i in range(KERNEL):
        y += gated[:, i : i + FRAMES] * p["depthwise"]["kernel"][0, i, 0]
    y = (y - stats["mean"]) / np.sqrt(stats["var"] + 1e-5) * p["bn"]["scale"] + p["bn"]["bias"]
    return dense(p["out"], y * sigmoid(y))


def test_relative_attention():
    x = frames()
    out, p = run(RelativeAttention(HEADS), x)
    np.testing.assert_allclose(out, attention_oracle(p, x.astype(np.float64)), atol=1e-5)


def test_block():
    x = frames()
    module = ConformerBlock(HEADS, KERNEL, dropout=0.3)
    variables = random_variables_of(module, x, train=False)
    out = jax.jit(lambda v, x: module.apply(v, x, train=False))(variables, jnp.asarray(x))
    p, stats = to64(variables["params"]), to64(variables["batch_stats"])
    y = x.astype(np.float64)
    y = y + 0.5 * feed_forward(p["before"], y)
    y = y + attention_oracle(p["attention"], layer_norm(p["attention_norm"], y))
    y = y + convolution_oracle(p["convolution"], stats["convolution"]["bn"], y)
    y = y + 0.5 * feed_forward(p["after"], y)
    np.testing.assert_allclose(out, layer_norm(p["norm"], y), atol=2e-5)


def test_encoder_keeps_a_quarter_of_the_frames():
    module = Conformer(dim=16, blocks=2, heads=2, num_outputs=3, in_channels=2)
    x = np.random.default_rng(0).standard_normal((2, 24, 30, 2)).astype(np.float32)
    variables = random_variables(module, x.shape)
    with ops.implementation("lax"):
        logits, intermediates = jax.jit(lambda v, x: module.apply(v, x, train=False))(variables, x)
    assert intermediates["stem"].shape == intermediates["block1"].shape == (2, 8, 16)
    np.testing.assert_allclose(
        intermediates["embedding"], intermediates["block1"].mean(1), rtol=1e-5, atol=1e-6
    )
    assert logits.shape == (2, 3)


def test_a_block_has_the_papers_layers():
    params = shapes_of(Conformer(num_outputs=0), (1, 32, 32, 3))["params"]
    assert sum(name.startswith("block") for name in params) == 16
    dim = 144
    feed = 2 * (8 * dim * dim + 5 * dim + 2 * dim)
    attend = 5 * dim * dim + 4 * dim + 2 * dim + 2 * dim
    convolve = 3 * dim * dim + 3 * dim + 31 * dim + 2 * dim + 2 * dim
    total = sum(leaf.size for leaf in jax.tree.leaves(params["block0"]))
    assert total == feed + attend + convolve + 2 * dim
