import numpy as np

from asd_jax.models import ops
from asd_jax.models.resnet import ResNet
from tests.models.reference import ours_and_theirs, shapes_of


def test_resnet50_is_timms_stage_by_stage():
    last = {"stage1_block2": "layer1", "stage2_block3": "layer2"}
    last |= {"stage3_block5": "layer3", "stage4_block2": "layer4"}
    with ops.implementation("lax"):
        got, want, seen, wanted = ours_and_theirs("resnet50", "resnet50", last)
    for block, values in wanted.items():
        np.testing.assert_allclose(seen[block], values, atol=1e-4, err_msg=block)
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_width_and_depth():
    params = shapes_of(ResNet(width=0.25, depth=0.5), (1, 32, 32, 3))["params"]
    assert sorted(name for name in params if "stage3" in name) == [
        f"stage3_block{i}" for i in range(3)
    ]
    assert params["stage3_block0"]["expand"]["conv"]["kernel"].shape == (1, 1, 64, 256)
