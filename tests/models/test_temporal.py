import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.models import ops
from asd_jax.models.temporal import BLOCKS, InvertedResidual, Temporal, TemporalBlock, temporal
from tests.models.reference import random_variables, shapes_of


def outputs(module, samples):
    variables = shapes_of(module, (2, samples))
    x = jax.ShapeDtypeStruct((2, samples), jnp.float32)
    with ops.implementation("lax"):
        return jax.eval_shape(lambda v, x: module.apply(v, x, train=False), variables, x)


TABLE = (1250, 1250, 625, 313, 105, 53, 53, 27, 14, 7, 7)


def test_lengths_are_those_of_table_1():
    embedding, intermediates = outputs(Temporal(), 160_000)
    assert intermediates["final"].shape[2] == 512
    lengths = tuple(
        intermediates[name].shape[1] for name in ("stem", *(f"block{i}" for i in range(10)))
    )
    assert lengths == TABLE
    assert [intermediates[f"block{i}"].shape[2] for i in range(10)] == [
        32, 32, 32, 64, 128, 256, 256, 256, 256, 256,
    ]  # fmt: skip
    assert embedding.shape == (2, 512)


@pytest.mark.parametrize("samples", [16_000, 31_999, 160_000])
def test_other_lengths_are_pooled_over_what_remains(samples):
    assert outputs(Temporal(), samples)[0].shape == (2, 512)


def test_parameters_follow_from_the_table():
    # Weights of the convolutions by hand, and two numbers a channel for each BatchNorm.
    count, channels = 256 * 16 + 2 * 16, 16
    for block in BLOCKS:
        inner = block.expand * channels
        count += channels * inner + 3 * inner + inner * block.out + 2 * (2 * inner + block.out)
        channels = block.out
    count += 256 * 512 + 2 * 512
    variables = shapes_of(Temporal(), (1, 16_000))
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"])) == count


def correlate(x, kernel, stride, padding):
    """`[batch, length, channels]` with `[intermediates, channels, features]`, by NumPy."""
    x = np.pad(x, ((0, 0), (padding, padding), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, len(kernel), axis=1)[:, ::stride]
    return np.einsum("blct,tcf->blf", windows, kernel)


def normalised(x, params, stats):
    y = (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-5) * params["scale"] + params["bias"]
    return np.where(y > 0, y, 0.01 * y)


@pytest.mark.parametrize(
    "block",
    [
        TemporalBlock(3, 8, 1),
        TemporalBlock(2, 8, 2),
        TemporalBlock(2, 12, 3),
        TemporalBlock(2, 4, 1),
    ],
)
def test_block_is_that_of_figure_4(block):
    shape = (2, 1, 13, 8)
    variables = random_variables(InvertedResidual(block), shape)
    x = np.random.default_rng(3).normal(size=shape).astype("f4")
    got = jax.jit(lambda v, x: InvertedResidual(block).apply(v, x, train=False))(variables, x)

    params, stats = variables["params"], variables["batch_stats"]
    y = x[:, 0]
    for name, stride, padding in (
        ("expand", 1, 0),
        ("depthwise", block.stride, 1),
        ("project", 1, 0),
    ):
        kernel = np.asarray(params[name]["conv"]["kernel"])[0]
        if name == "depthwise":  # one filter a channel, as a full kernel
            kernel = kernel * np.eye(kernel.shape[-1])
        y = correlate(y, kernel, stride, padding)
        y = normalised(y, params[name]["bn"], stats[name]["bn"])
    if block.stride == 1 and block.out == 8:
        y = y + x[:, 0]
    np.testing.assert_allclose(got[:, 0], y, rtol=1e-4, atol=1e-4)


def test_stem_is_a_strided_correlation():
    model = temporal((2_000,))
    variables = random_variables(Temporal(), (1, 2_000))
    wave = np.random.default_rng(0).normal(size=(2, 2_000)).astype("f4")
    (_, intermediates), _ = jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, wave)
    stem = variables["params"]["stem"]
    y = correlate(wave[:, :, None], np.asarray(stem["conv"]["kernel"])[0], 128, 64)
    y = normalised(y, stem["bn"], variables["batch_stats"]["stem"]["bn"])
    np.testing.assert_allclose(intermediates["stem"], y, rtol=1e-4, atol=1e-4)


def test_the_printed_network_has_a_batch_norm_behind_each_convolution_and_no_other():
    printed, ours = (
        jax.eval_shape(temporal((3000,), embedding_norm=norm).init, jax.random.key(0))
        for norm in (False, True)
    )
    assert "embedding_norm" in ours["batch_stats"]
    assert printed["batch_stats"].keys() == ours["batch_stats"].keys() - {"embedding_norm"}
    assert jax.tree.structure(printed["params"]) == jax.tree.structure(ours["params"])
