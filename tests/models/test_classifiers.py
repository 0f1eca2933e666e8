import json

import jax
import jax.numpy as jnp
import pytest

from asd_jax.errors import UserError
from asd_jax.models.attention import ATTENTION, Attention
from asd_jax.models.classifiers import CLASSIFIERS, build_classifier, classifier_module
from tests.models.reference import GOLDEN, shapes_of

COUNTS = json.loads((GOLDEN / "timm_counts.json").read_text())


@pytest.mark.parametrize("timm_name", COUNTS)
def test_parameters_are_as_many_as_timms(timm_name):
    name = timm_name.removeprefix("tf_")
    params = shapes_of(classifier_module(name, num_outputs=1000), (1, 64, 64, 3))
    assert sum(leaf.size for leaf in jax.tree.leaves(params["params"])) == COUNTS[timm_name]


@pytest.mark.parametrize(
    "name", ["efficientnetv2_s", "mobilevit_s", "resnet50", "conformer", "cnn"]
)
def test_all_return_logits_and_an_embedding(name):
    small = {"width": 0.25, "depth": 0.1} if name != "mobilevit_s" else {"width": 0.25}
    if name == "cnn":
        small = {
            "width": 0.25,
            "depth": 1,
        }  # a neutral value is not an error where there is no option
    x = jnp.zeros((3, 32, 32, 2))
    variables = shapes_of(classifier_module(name, in_channels=2, **small), x.shape)
    model = build_classifier(name, in_channels=2, input_size=32, **small)

    def run(variables, x):
        output, stats = model.apply(variables, x, train=True, key=jax.random.key(0))
        jax.tree.map(lambda old, new: None, variables["batch_stats"], stats)
        return output

    logits, intermediates = jax.eval_shape(run, variables, x)
    assert logits.shape == (3, 1) and intermediates["embedding"].ndim == 2
    bare = classifier_module(name, in_channels=2, num_outputs=0, **small)
    shapes = shapes_of(bare, x.shape)
    assert "classifier" not in shapes["params"]
    embedding, _ = jax.eval_shape(lambda v, x: bare.apply(v, x, train=False), shapes, x)
    assert embedding.shape == intermediates["embedding"].shape


@pytest.mark.parametrize("kind", ATTENTION)
def test_attention_changes_by_one_field(kind):
    params = shapes_of(
        classifier_module("efficientnetv2_s", attention=kind, width=0.25, depth=0.3), (1, 32, 32, 3)
    )["params"]
    carriers = {name for name in params if "attention" in params[name]}
    learned = kind not in ("none", "simam")
    assert {name.split("_")[0] for name in carriers} == (
        {"stage4", "stage5", "stage6"} if learned else set()
    )


def test_options_reach_the_module():
    module = classifier_module(
        "efficientnet_b3", attention="simam_cbam", simam="sun", dropout=0.4, drop_path=0.1
    )
    assert module.attention == Attention("simam_cbam", simam="sun")
    assert (module.dropout, module.drop_path) == (0.4, 0.1)
    assert classifier_module("efficientnet_b3").dropout == 0.3
    assert classifier_module("efficientnet_b3").attention == Attention("se")


def test_published_input_sizes():
    sizes = [CLASSIFIERS[f"efficientnet_b{i}"].size for i in range(8)]
    assert sizes == [224, 240, 260, 300, 380, 456, 528, 600]


def test_mistakes_are_named():
    with pytest.raises(UserError, match=r"network.name is 'vgg'; known are efficientnetv2_s"):
        build_classifier("vgg")
    with pytest.raises(UserError, match=r"attention is 'se', but resnet50 carries none"):
        build_classifier("resnet50", attention="se")
    with pytest.raises(UserError, match=r"network.depth is 2, but cnn has no such option"):
        build_classifier("cnn", depth=2)
    with pytest.raises(UserError, match="in_channels=3 but its input has 2"):
        classifier_module("cnn").init(jax.random.key(0), jnp.zeros((1, 8, 8, 2)), train=False)
