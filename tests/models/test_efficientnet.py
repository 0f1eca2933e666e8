from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.models import ops
from asd_jax.models.attention import Attention
from asd_jax.models.classifiers import build_classifier
from asd_jax.models.efficientnet import V2_S, EfficientNet, EfficientNetBlock, drop_path_rates
from tests.models.reference import efficientnet_blocks, ours_and_theirs, random_variables, shapes_of

TINY = (
    EfficientNetBlock(3, 1, 1, 8, 2, fused=True, attention=False),
    EfficientNetBlock(3, 2, 2, 8, 2, fused=True, attention=False),
    EfficientNetBlock(3, 2, 4, 16, 4),
)


def tiny(**options):
    return EfficientNet(**{"stages": TINY, "stem": 8, "head": 16, "num_outputs": 2, **options})


def picture(seed=0, shape=(4, 24, 20, 3)):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


@pytest.fixture
def quick():
    """The forms of the operations that compile fastest."""
    with ops.implementation("lax"):
        yield


def test_v2_s_is_timms_block_by_block():
    blocks = efficientnet_blocks("tf_efficientnetv2_s")
    assert len(blocks) == 42
    got, want, seen, wanted = ours_and_theirs("efficientnetv2_s", "tf_efficientnetv2_s", blocks)
    for block, values in wanted.items():
        np.testing.assert_allclose(seen[block], values, atol=1e-4, err_msg=block)
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_table_is_the_papers():
    # Sun 2025, Table 2: repeats, output channels, expansion, kernel, stride of the first block.
    rows = [(b.repeats, b.out, b.expand, b.kernel, b.stride) for b in V2_S]
    assert rows == [
        (2, 24, 1, 3, 1),
        (4, 48, 4, 3, 2),
        (4, 64, 4, 3, 2),
        (6, 128, 4, 3, 2),
        (9, 160, 6, 3, 1),
        (15, 256, 6, 3, 2),
    ]
    assert [b.attention for b in V2_S] == [b.fused is False for b in V2_S]


def test_stochastic_depth_rises_from_block_to_block():
    rates = drop_path_rates(V2_S, 0.2)
    np.testing.assert_allclose(np.concatenate(rates), 0.2 * np.arange(40) / 40)


def test_stochastic_depth_leaves_out_whole_examples(quick):
    # With a rate near 1 all blocks with a shortcut are left out, so the training output is that of
    # a network without them; the first block of each stage has none or the rate 0.
    module = tiny(drop_path=0.0, dropout=0.0)
    dropping = tiny(drop_path=0.5, dropout=0.0)
    x = picture()
    variables = random_variables(module, x.shape)

    @jax.jit
    def stages(key):
        (_, intermediates), _ = dropping.apply(
            variables, x, train=True, rngs={"dropout": key}, mutable=["batch_stats"]
        )
        return intermediates["stage2"], intermediates["stage1"]

    draws = [stages(jax.random.key(i)) for i in range(12)]
    assert len({np.asarray(d[1]).tobytes() for d in draws}) > 1
    same = [np.asarray(a[1][i] == b[1][i]).all() for a in draws for b in draws for i in range(4)]
    assert 48 < sum(same) < len(same)  # some examples agree between two draws, others do not


def test_drop_path_scales_what_it_keeps():
    from flax import linen as nn

    from asd_jax.models.layers import drop_path

    class Branch(nn.Module):
        @nn.compact
        def __call__(self, x, rate, train):
            return drop_path(self, x, rate, train=train)

    x = jnp.ones((4000, 1, 1, 2))
    rngs = {"dropout": jax.random.key(0)}
    out = np.asarray(Branch().apply({}, x, 0.25, True, rngs=rngs))
    assert set(np.unique(out)) == {0.0, np.float32(1 / 0.75)}
    assert (out[..., 0] == out[..., 1]).all()
    np.testing.assert_allclose(out.mean(), 1, atol=0.05)
    np.testing.assert_array_equal(Branch().apply({}, x, 0.25, False), x)
    np.testing.assert_array_equal(Branch().apply({}, x, 0.0, True), x)  # asks for no numbers


def test_batch_norm_keeps_nine_tenths_of_its_statistics(quick):
    module, x = tiny(), picture()
    variables = random_variables(module, x.shape)
    stats = variables["batch_stats"]["stem"]["bn"]

    @jax.jit
    def run(variables, x):
        rngs = {"dropout": jax.random.key(0)}
        return module.apply(variables, x, train=True, rngs=rngs, mutable=["batch_stats"])[1]

    updated = run(variables, x)["batch_stats"]["stem"]["bn"]
    kernel = variables["params"]["stem"]["conv"]["kernel"]
    y = jax.lax.conv_general_dilated(
        x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    mean, var = y.mean((0, 1, 2)), y.var((0, 1, 2))
    np.testing.assert_allclose(updated["mean"], 0.9 * stats["mean"] + 0.1 * mean, atol=1e-5)
    np.testing.assert_allclose(updated["var"], 0.9 * stats["var"] + 0.1 * var, rtol=1e-4)


def carriers(**options):
    """The blocks that have attention parameters."""
    params = shapes_of(tiny(**options), (1, 16, 16, 3))["params"]
    return {name for name, block in params.items() if "attention" in block}


def test_attention_sits_where_it_is_asked_for():
    third = {f"stage3_block{i}" for i in range(4)}
    assert carriers() == third
    assert carriers(attention=Attention("none")) == set()
    fused = carriers(attention=Attention("simam_cbam"), attention_stages=(1, 2))
    assert fused == {f"stage{s}_block{i}" for s in (1, 2) for i in range(2)}


def test_half_precision_body(quick):
    module = tiny(dtype=jnp.bfloat16, attention=Attention("simam_cbam"))
    x = picture()
    variables = random_variables(module, x.shape)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    logits, intermediates = jax.jit(partial(module.apply, train=False))(variables, x)
    assert intermediates["stage3"].dtype == jnp.bfloat16 and logits.dtype == jnp.float32
    full = tiny(attention=Attention("simam_cbam"))
    full, _ = jax.jit(partial(full.apply, train=False))(variables, x)
    np.testing.assert_allclose(logits, full, atol=0.1)


def test_repeated_blocks_start_differently():
    model = build_classifier("efficientnetv2_s", width=0.25, depth=0.2, input_size=32)
    params = model.init(jax.random.key(0))["params"]
    first, second = (params[f"stage6_block{i}"]["expand"]["conv"]["kernel"] for i in (1, 2))
    assert first.shape == second.shape and not np.array_equal(first, second)
