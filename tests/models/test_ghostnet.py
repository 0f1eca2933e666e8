"""GhostNetV2 against timm's, block by block, with the same seeded weights."""

import json
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax import models
from asd_jax.errors import UserError
from asd_jax.models import ops
from asd_jax.models.ghostnet import STAGES, Bottleneck, GhostBlock, GhostNetV2
from asd_jax.models.layers import ConvBN, round_channels
from asd_jax.models.pretrained import from_timm
from asd_jax.models.timm_names import GHOSTNET_GROUPS
from tests.models.golden.seeded import image, sample, seeded_state
from tests.models.reference import random_variables, shapes_of

GOLDEN = pathlib.Path(__file__).parent / "golden" / "ghostnetv2.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def state(golden):
    names, shapes = zip(*json.loads(str(golden["names"])), strict=True)
    return seeded_state(names, [tuple(shape) for shape in shapes], float(golden["gain"]))


def block_names():
    """timm's name of each of our blocks."""
    groups = [f"{i}.{j}" for i, size in enumerate(GHOSTNET_GROUPS) for j in range(size)]
    ours = {f"block{number}": name for number, name in enumerate(groups)}
    return {"stem": "stem", **ours, "final": f"{len(GHOSTNET_GROUPS)}.0"}


def run(module, variables, x, train):
    """Output, stages, every block's output, new statistics; the forms that compile fastest."""
    with ops.implementation("lax"):
        return jax.jit(
            lambda variables, x: module.apply(
                variables,
                x,
                train=train,
                capture_intermediates=lambda m, _: isinstance(m, Bottleneck | ConvBN),
                mutable=["intermediates", "batch_stats"],
            )
        )(variables, x)


@pytest.fixture(scope="module")
def loaded(golden, state):
    module = GhostNetV2(embed_dim=0)
    shape = tuple(golden["shape"])
    empty = jax.tree.map(lambda v: np.zeros(v.shape, v.dtype), shapes_of(module, shape))
    return module, from_timm("ghostnetv2", state, empty), jnp.asarray(image(shape))


@pytest.fixture(scope="module")
def trained(loaded):
    return run(*loaded, True)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_is_timms_block_by_block(golden, loaded, trained, mode):
    (head, intermediates), new = trained if mode == "train" else run(*loaded, False)
    # Small batches of 3 x 3 maps amplify rounding in training mode.
    tolerance = {"rtol": 1e-4, "atol": 2e-4} if mode == "eval" else {"rtol": 2e-3, "atol": 2e-3}
    for ours, theirs in block_names().items():
        maps = np.asarray(new["intermediates"][ours]["__call__"][0])
        wanted = golden[f"{mode}:block:{theirs}"]
        np.testing.assert_allclose(sample(maps), wanted, **tolerance, err_msg=ours)
        np.testing.assert_allclose(np.abs(maps).mean(), golden[f"{mode}:size:{theirs}"], rtol=1e-4)
    np.testing.assert_allclose(head, golden[f"{mode}:head"], **tolerance)
    np.testing.assert_array_equal(head, intermediates["head"])


ATTENTION8 = ("block8", "ghost1", "attention")


@pytest.mark.parametrize(
    ("theirs", "ours", "count"),
    [
        ("bn1", ("stem",), 48 * 38),
        ("blocks.3.0.bn_dw", ("block3", "depthwise"), 12 * 10),
        (
            "blocks.6.2.ghost1.short_conv.5",
            ("block8", "ghost1", "attention", "along_height"),
            3 * 2,
        ),
        ("blocks.9.0.bn1", ("final",), 3 * 3),
    ],
)
def test_running_statistics_move_as_pytorchs_do(golden, state, trained, theirs, ours, count):
    stats = trained[1]["batch_stats"]
    for name in (*ours, "bn"):
        stats = stats[name]
    np.testing.assert_allclose(stats["mean"], golden[f"mean:{theirs}"], rtol=1e-3, atol=1e-4)
    # PyTorch's running variance is the unbiased one.
    count *= golden["shape"][0]
    old = 0.9 * state[f"{theirs}.running_var"]
    wanted = old + (golden[f"var:{theirs}"] - old) * (count - 1) / count
    np.testing.assert_allclose(stats["var"], wanted, rtol=1e-3)


def test_weights_of_three_channels_are_adapted_to_two(state):
    module = GhostNetV2(embed_dim=7)
    variables = random_variables(module, (1, 33, 33, 2))
    kernel = np.random.default_rng(0).normal(size=(16, 3, 3, 3)).astype("f4")
    loaded = from_timm("ghostnetv2", {**state, "conv_stem.weight": kernel}, variables)
    wanted = kernel[:, :2].transpose(2, 3, 1, 0) * 1.5
    np.testing.assert_allclose(loaded["params"]["stem"]["conv"]["kernel"], wanted, rtol=1e-6)
    np.testing.assert_array_equal(  # what timm does not have stays
        loaded["params"]["embedding"]["kernel"], variables["params"]["embedding"]["kernel"]
    )
    with pytest.raises(UserError, match="conv_head"):
        from_timm("ghostnetv2", {k: v for k, v in state.items() if "head" not in k}, variables)


def test_parameters_are_as_many_as_timms(golden):
    variables = shapes_of(GhostNetV2(embed_dim=0), (1, 64, 64, 3))
    trunk = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))
    assert trunk == golden["trunk"] == 4_875_908
    assert trunk + 1280 * 1000 + 1000 == golden["parameters"] == 6_156_908


@pytest.mark.parametrize("width", [0.35, 1.6])  # 1.0 is timm's above
def test_shapes_of_ten_seconds_at_any_width(width):
    module = GhostNetV2(width=width)
    variables = shapes_of(module, (1, 224, 313, 2))
    x = jax.ShapeDtypeStruct((3, 224, 313, 2), jnp.float32)
    with ops.implementation("lax"):
        embedding, intermediates = jax.eval_shape(
            lambda v, x: module.apply(v, x, train=False), variables, x
        )
    assert embedding.shape == (3, 512)
    sizes = [(112, 157), (56, 79), (28, 40), (14, 20), (7, 10)]
    for stage, size in enumerate(sizes, start=1):
        channels = round_channels(STAGES[stage - 1][-1].out * width)
        assert channels % 4 == 0
        assert intermediates[f"stage{stage}"].shape == (3, *size, channels)
    assert intermediates["stem"].shape == (3, 112, 157, round_channels(16 * width))
    assert intermediates["final"].shape == (3, 7, 10, intermediates["pool"].shape[1])
    assert intermediates["head"].shape == (3, 1280)


def test_attention_is_where_the_reference_has_it():
    blocks = [block for stage in STAGES for block in stage]
    assert [block.attention for block in blocks] == [False, False] + [True] * 14
    params = shapes_of(GhostNetV2(), (1, 64, 64, 2))["params"]
    has = ["attention" in params[f"block{i}"]["ghost1"] for i in range(16)]
    assert has == [False, False] + [True] * 14
    assert not any("attention" in params[f"block{i}"]["ghost2"] for i in range(16))


@pytest.mark.parametrize("block", [GhostBlock(5, 24, 12, 0.25, 2), GhostBlock(3, 16, 8, 0, 1)])
def test_fast_forms_make_the_same_bottleneck(block):
    module, shape = Bottleneck(block), (2, 9, 11, 8)
    variables = random_variables(module, shape)
    x = jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)

    def loss(params, x):
        y, new = module.apply(
            {**variables, "params": params}, x, train=True, mutable=["batch_stats"]
        )
        return jnp.mean(jnp.sin(y)), (y, new)

    results = []
    for form in ("fast", "lax"):
        with ops.implementation(form):
            gradient = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
            results.append(gradient(variables["params"], x))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), *results)


def test_bfloat16_body_stays_near_and_keeps_float32_statistics():
    block = GhostBlock(3, 16, 8, 0.25, 2)
    shape = (4, 12, 10, 8)
    variables = random_variables(Bottleneck(block), shape)
    x = jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)
    results = []
    for dtype in (jnp.float32, jnp.bfloat16):
        module = Bottleneck(block, dtype=dtype)
        with ops.implementation("lax"):
            results.append(
                jax.jit(lambda v, x, m=module: m.apply(v, x, train=True, mutable=["batch_stats"]))(
                    variables, x
                )
            )
    (wide, _), (half, new) = results
    assert half.dtype == jnp.bfloat16
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(new))
    assert np.corrcoef(np.ravel(wide), np.ravel(half.astype(jnp.float32)))[0, 1] > 0.995


def test_smallest_input_still_embeds_and_smaller_is_refused():
    module = GhostNetV2(width=0.35, embed_dim=4)
    shapes_of(module, (1, 33, 33, 2))
    models.backbone("ghostnetv2", (33, 33, 2))
    with pytest.raises(UserError, match=r"32 frames is too small.*clip_seconds"):
        models.backbone("ghostnetv2", (224, 32, 2))


def test_unknown_backbone_lists_the_known():
    with pytest.raises(UserError, match="ghostnetv2, band_cnn, temporal"):
        models.backbone("ghostnet", (64, 64, 2))


def test_the_embeddings_batch_norm_can_be_left_out():
    shape = (64, 64, 2)
    printed, ours = (
        jax.eval_shape(models.ghostnetv2(shape, embedding_norm=norm).init, jax.random.key(0))
        for norm in (False, True)
    )
    assert "embedding_norm" in ours["batch_stats"]
    assert printed["batch_stats"].keys() == ours["batch_stats"].keys() - {"embedding_norm"}
