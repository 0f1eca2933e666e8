import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from asd_jax.errors import UserError
from asd_jax.models import ops
from asd_jax.models.classifiers import classifier_module
from asd_jax.models.pretrained import adapt_input, check_padding, from_timm, load_safetensors
from tests.models.golden.seeded import image
from tests.models.reference import (
    efficientnet_blocks,
    ours_and_theirs,
    random_variables,
    timm_state,
)

NAME, TIMM = "efficientnet_b0", "tf_efficientnet_b0"
SHAPE = (1, 32, 32, 3)


@pytest.fixture(scope="module")
def state():
    return timm_state(TIMM)


def module(**options):
    return classifier_module(NAME, **{"num_outputs": 5, **options})


def leaves(tree):
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in flat}


def test_a_file_gives_timms_output_block_by_block(tmp_path, state):
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    blocks = efficientnet_blocks(TIMM)
    assert len(blocks) == 18
    with ops.implementation("lax"):
        got, want, seen, wanted = ours_and_theirs(NAME, TIMM, blocks, state=load_safetensors(path))
    for block, values in wanted.items():
        np.testing.assert_allclose(seen[block], values, atol=1e-4, err_msg=block)
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_a_classifier_of_another_size_is_kept(state):
    before = random_variables(module(num_outputs=1), SHAPE)
    after = from_timm(NAME, state, before)
    kept, loaded = before["params"]["classifier"], after["params"]["classifier"]
    jax.tree.map(np.testing.assert_array_equal, kept, loaded)
    trunk = {key: value for key, value in state.items() if not key.startswith("classifier")}
    from_timm(NAME, trunk, before)
    without = random_variables(module(num_outputs=0), SHAPE)
    assert "classifier" not in from_timm(NAME, state, without)["params"]


def test_other_attention_keeps_its_own_weights(state):
    before = random_variables(module(attention="simam_cbam", attention_stages=(5, 6, 7)), SHAPE)
    before, after = leaves(before), leaves(from_timm(NAME, state, before))
    kept = {path for path in before if np.array_equal(before[path], after[path])}
    assert kept == {path for path in before if "attention" in path} and kept
    soca = random_variables(module(attention="soca"), SHAPE)
    from_timm(NAME, state, soca)


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_other_input_channels_follow_timms_rule(state, channels):
    theirs = state["conv_stem.weight"]
    shape = (*SHAPE[:3], channels)
    ours = from_timm(NAME, state, random_variables(module(in_channels=channels), shape))
    kernel = np.asarray(ours["params"]["stem"]["conv"]["kernel"]).transpose(3, 2, 0, 1)
    if channels == 1:
        want = theirs[:, :1] + theirs[:, 1:2] + theirs[:, 2:]
    else:
        want = np.stack([theirs[:, i % 3] for i in range(channels)], 1) * 3 / channels
    np.testing.assert_allclose(kernel, want, rtol=1e-6, atol=1e-7)


def test_grey_input_gives_the_same_response_whatever_its_channels():
    theirs, grey = image((4, 3, 3, 3)), image((3, 3))
    for channels in (1, 3, 6):
        kernel = adapt_input(theirs, channels)
        assert kernel.shape[1] == channels
        np.testing.assert_allclose(
            np.einsum("ocij,ij->o", kernel, grey),
            np.einsum("ocij,ij->o", theirs, grey),
            rtol=1e-5,
        )


def test_wrong_weights_are_named(state):
    variables = random_variables(module(), SHAPE)
    missing = {key: value for key, value in state.items() if key != "blocks.2.1.bn3.running_var"}
    with pytest.raises(UserError, match=r"no tensor 'blocks.2.1.bn3.running_var'"):
        from_timm(NAME, missing, variables)
    with pytest.raises(UserError, match=r"a tensor 'aux_head.weight'"):
        from_timm(NAME, {**state, "aux_head.weight": np.zeros(3)}, variables)
    with pytest.raises(UserError, match=r"has the shape .*width, depth"):
        from_timm(NAME, state, random_variables(module(width=2.0), SHAPE))
    with pytest.raises(UserError, match="no map of timm's weights to 'cnn'"):
        from_timm("cnn", state, variables)


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"no file .*absent"):
        load_safetensors(tmp_path / "absent.safetensors")
    path = tmp_path / "broken.safetensors"
    path.write_bytes(b"not a header at all")
    with pytest.raises(UserError, match=r"broken.safetensors is not a readable"):
        load_safetensors(path)


@pytest.mark.parametrize("stem", ["efficientnet_b0.ra_in1k", "model", "efficientnet_tf_b0"])
def test_weights_of_the_other_padding_are_refused(tmp_path, stem):
    """They have the same names and shapes, and would give other outputs without a word."""
    path = tmp_path / f"{stem}.safetensors"
    with pytest.raises(UserError, match=r"tf_efficientnet_b0.*config\.json"):
        check_padding("efficientnet_b0", path)
    (tmp_path / "config.json").write_text('{"architecture": "efficientnet_b0"}')
    with pytest.raises(UserError, match="'efficientnet_b0'"):
        check_padding("efficientnet_b0", path)


def test_weights_of_our_padding_are_taken(tmp_path):
    check_padding("efficientnet_b0", tmp_path / "tf_efficientnet_b0.ns_jft_in1k.safetensors")
    (tmp_path / "config.json").write_text('{"architecture": "tf_efficientnetv2_s"}')
    check_padding("efficientnetv2_s", tmp_path / "model.safetensors")
    check_padding("mobilevit_s", tmp_path / "other.safetensors")  # there is one kind only
    (tmp_path / "config.json").write_text("not json")
    with pytest.raises(UserError, match="tf_efficientnetv2_s"):
        check_padding("efficientnetv2_s", tmp_path / "model.safetensors")
