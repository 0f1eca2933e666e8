"""What our modules are called in timm's networks."""

import dataclasses
from collections.abc import Callable

from asd_jax.types import Tree

Path = tuple[str, ...]


# GhostNetV2: how timm groups the sixteen bottlenecks, and where the layers of each stand in timm's
# sequences of convolution and BatchNorm: our path, the sequence, the convolution's place in it.
GHOSTNET_GROUPS = (1, 1, 1, 1, 1, 1, 5, 1, 4)
GHOSTNET_LAYERS: tuple[tuple[Path, str, int], ...] = (
    (("ghost1", "primary"), "ghost1.primary_conv", 0),
    (("ghost1", "cheap"), "ghost1.cheap_operation", 0),
    (("ghost1", "attention", "mix"), "ghost1.short_conv", 0),
    (("ghost1", "attention", "along_width"), "ghost1.short_conv", 2),
    (("ghost1", "attention", "along_height"), "ghost1.short_conv", 4),
    (("ghost2", "primary"), "ghost2.primary_conv", 0),
    (("ghost2", "cheap"), "ghost2.cheap_operation", 0),
    (("shortcut_depthwise",), "shortcut", 0),
    (("shortcut_pointwise",), "shortcut", 2),
)


@dataclasses.dataclass
class Modules:
    """The names of one network.

    Attributes:
        names: timm's module for each of ours, by path in the parameter tree.
        first: path of the first convolution's kernel.
        ignored: beginnings of timm's names that we have no use for.
    """

    names: dict[Path, str]
    first: Path = ("stem", "conv", "kernel")
    ignored: tuple[str, ...] = ()

    def convbn(self, ours: Path, conv: str, bn: str) -> None:
        """Adds a `ConvBN`."""
        self.names[(*ours, "conv")] = conv
        self.names[(*ours, "bn")] = bn


def efficientnet(params: Tree) -> Modules:
    """EfficientNet B0 to B7 and EfficientNetV2-S."""
    modules = Modules({("classifier",): "classifier"}, ignored=_unused_classifier(params))
    modules.convbn(("stem",), "conv_stem", "bn1")
    modules.convbn(("final",), "conv_head", "bn2")
    for name in params:
        if "_block" in name:
            stage, number = name.removeprefix("stage").split("_block")
            theirs = f"blocks.{int(stage) - 1}.{number}."
            _efficientnet_block(modules, name, params[name], theirs)
    return modules


def _efficientnet_block(modules: Modules, name: str, block: Tree, theirs: str) -> None:
    # Our layers in their order, against what timm calls them in each of its four kinds of block.
    if "expand" in block:
        convs = {"expand": "conv_pw", "spatial": "conv_dw", "project": "conv_pwl"}
    elif "project" not in block:
        convs = {"spatial": "conv"}
    elif block["spatial"]["conv"]["kernel"].shape[2] == 1:
        convs = {"spatial": "conv_dw", "project": "conv_pw"}
    else:
        convs = {"spatial": "conv_exp", "project": "conv_pwl"}
    for number, (ours, conv) in enumerate(convs.items(), start=1):
        modules.convbn((name, ours), theirs + conv, f"{theirs}bn{number}")
    if "reduce" in block.get("attention", {}):  # squeeze-and-excitation, not another kind
        for layer in ("reduce", "expand"):
            modules.names[(name, "attention", layer)] = f"{theirs}se.conv_{layer}"
    else:
        modules.ignored += (theirs + "se.",)


def mobilevit(params: Tree) -> Modules:
    """MobileViT-S."""
    modules = Modules({("classifier",): "head.fc"}, ignored=_unused_classifier(params, "head.fc"))
    for ours, theirs in (("stem", "stem"), ("final", "final_conv")):
        modules.convbn((ours,), f"{theirs}.conv", f"{theirs}.bn")
    for name, block in params.items():
        stage, _, kind = name.removeprefix("stage").partition("_")
        if kind.startswith("block"):
            theirs = f"stages.{int(stage) - 1}.{kind.removeprefix('block')}."
            layers = {"expand": "conv1_1x1", "spatial": "conv2_kxk", "project": "conv3_1x1"}
        elif kind == "global":
            theirs = f"stages.{int(stage) - 1}.1."
            layers = {"local": "conv_kxk", "project": "conv_proj", "fuse": "conv_fusion"}
            _transformer(modules, name, block, theirs)
        else:
            continue
        for ours, layer in layers.items():
            modules.convbn((name, ours), f"{theirs}{layer}.conv", f"{theirs}{layer}.bn")
    return modules


def _transformer(modules: Modules, name: str, block: Tree, theirs: str) -> None:
    layers = {
        "norm1": "norm1",
        "qkv": "attn.qkv",
        "mix": "attn.proj",
        "norm2": "norm2",
        "hidden": "mlp.fc1",
        "out": "mlp.fc2",
    }
    modules.names[(name, "lift")] = theirs + "conv_1x1"
    modules.names[(name, "norm")] = theirs + "norm"
    for layer in block:
        if layer.startswith("layer"):
            number = layer.removeprefix("layer")
            for ours, part in layers.items():
                modules.names[(name, layer, ours)] = f"{theirs}transformer.{number}.{part}"


def resnet(params: Tree) -> Modules:
    """ResNet-50."""
    modules = Modules({("classifier",): "fc"}, ignored=_unused_classifier(params, "fc"))
    modules.convbn(("stem",), "conv1", "bn1")
    for name in params:
        if "_block" not in name:
            continue
        stage, number = name.removeprefix("stage").split("_block")
        theirs = f"layer{stage}.{number}."
        for i, ours in enumerate(("reduce", "spatial", "expand"), start=1):
            modules.convbn((name, ours), f"{theirs}conv{i}", f"{theirs}bn{i}")
        modules.convbn((name, "shortcut"), f"{theirs}downsample.0", f"{theirs}downsample.1")
    return modules


def ghostnetv2(params: Tree) -> Modules:
    """GhostNetV2 of any width; timm's classifier is left out, our embedding is our own."""
    modules = Modules({("head",): "conv_head"}, ignored=("classifier.",))
    modules.convbn(("stem",), "conv_stem", "bn1")
    groups = GHOSTNET_GROUPS
    modules.convbn(("final",), f"blocks.{len(groups)}.0.conv", f"blocks.{len(groups)}.0.bn1")
    theirs = [f"blocks.{group}.{i}." for group, size in enumerate(groups) for i in range(size)]
    for number, block in enumerate(theirs):
        ours = f"block{number}"
        for path, sequence, first in GHOSTNET_LAYERS:
            conv, bn = (f"{block}{sequence}.{first + i}" for i in (0, 1))
            modules.convbn((ours, *path), conv, bn)
        modules.convbn((ours, "depthwise"), block + "conv_dw", block + "bn_dw")
        for layer in ("reduce", "expand"):
            modules.names[(ours, "squeeze", layer)] = f"{block}se.conv_{layer}"
    return modules


def _unused_classifier(params: Tree, theirs: str = "classifier") -> tuple[str, ...]:
    """timm's classifier is left over where ours is absent."""
    return () if "classifier" in params else (theirs + ".",)


MODULES: dict[str, Callable[[Tree], Modules]] = {
    "ghostnetv2": ghostnetv2,
    "efficientnetv2_s": efficientnet,
    **{f"efficientnet_b{i}": efficientnet for i in range(8)},
    "mobilevit_s": mobilevit,
    "resnet50": resnet,
}
