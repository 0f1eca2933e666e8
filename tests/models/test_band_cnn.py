"""The small network against NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.errors import UserError
from asd_jax.models import backbone

SHAPE = (32, 40, 2)


def made(**options):
    model = backbone("band_cnn", SHAPE, **({"width": 0.125, "embed_dim": 8} | options))
    variables = model.init(jax.random.key(0))
    rng = np.random.default_rng(0)  # BatchNorm's averages as after training

    def average(path, x):
        low, high = (0.5, 1.5) if path[-1].key == "var" else (-0.2, 0.2)
        return rng.uniform(low, high, x.shape)

    stats = jax.tree_util.tree_map_with_path(average, variables["batch_stats"])
    return model, {**variables, "batch_stats": jax.tree.map(jnp.float32, stats)}


def normalised(x, params, stats):
    x = (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-5)
    return x * params.get("scale", 1.0) + params.get("bias", 0.0)


def oracle(x, variables, prefix=""):
    both = (jax.tree.map(np.float64, variables[k]) for k in ("params", "batch_stats"))
    params, stats = (
        {k.removeprefix(prefix): v for k, v in tree.items() if k.startswith(prefix)}
        for tree in both
    )
    x = x.astype(np.float64).reshape(len(x), 32, 20, 2, 2).mean(3)
    for number, stride in enumerate((2, 2, 1, 2, 1), start=1):
        kernel = params[f"layer{number}"]["conv"]["kernel"]
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        x = np.einsum("bhwcij,ijcf->bhwf", windows[:, ::stride, ::stride], kernel)
        norm = params[f"layer{number}"]["bn"], stats[f"layer{number}"]["bn"]
        x = np.maximum(normalised(x, *norm), 0.0)
    pooled = np.concatenate([x.mean(2), np.sqrt(x.var(2) + 1e-6), x.max(2)], -1)
    dense = params["embedding"]
    embedded = pooled.reshape(len(x), -1) @ dense["kernel"] + dense["bias"]
    return normalised(embedded, {}, stats["embedding_norm"])


def spectrograms(seed=0):
    return np.random.default_rng(seed).normal(size=(3, *SHAPE)).astype(np.float32)


def test_it_equals_numpy():
    model, variables = made()
    apply = jax.jit(functools.partial(model.apply, train=False))
    (embedding, intermediates), _ = apply(variables, spectrograms())
    np.testing.assert_allclose(embedding, oracle(spectrograms(), variables), rtol=1e-3, atol=1e-4)
    assert intermediates["stage5"].shape == (3, 4, 3, 32) and intermediates["pool"].shape == (
        3,
        4 * 3 * 32,
    )
    (folded, _), _ = apply(model.fold(variables), spectrograms())
    np.testing.assert_allclose(folded, embedding, rtol=1e-3, atol=1e-4)


def test_without_its_norm_and_too_small_an_input():
    _, variables = made(embedding_norm=False)
    assert "embedding_norm" not in variables["batch_stats"]
    with pytest.raises(UserError, match="15 mels"):
        backbone("band_cnn", (15, 64, 2))
    with pytest.raises(UserError, match="30 frames"):
        backbone("band_cnn", (64, 30, 2))


def test_members_stand_side_by_side_and_each_is_a_network_of_its_own():
    model, variables = made(members=2, embed_dim=16)
    apply = jax.jit(functools.partial(model.apply, train=False))
    (embedding, _), _ = apply(variables, spectrograms())
    each = [oracle(spectrograms(), variables, prefix) for prefix in ("", "member1_")]
    np.testing.assert_allclose(embedding, np.concatenate(each, 1), rtol=1e-3, atol=1e-4)
    assert np.abs(each[0] - each[1]).max() > 0.1
