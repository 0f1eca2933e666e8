"""Writes what timm's networks compute with seeded weights.

`python -m tests.tools.make_timm`, run from the repository's root, needs torch and timm (the
extra `golden`), not the project's own dependencies, and not torchvision: timm's networks take only
a few names from that.
"""

import json
import pathlib
import sys
import types

import numpy as np
import torch
from torch import nn

from tests.models.golden.seeded import image, sample, seeded_state

HERE = pathlib.Path(__file__).parents[1] / "models" / "golden"
CLASSES = 5
# Even and odd sizes: TensorFlow pads strided convolutions unevenly, and differently for each.
# The gain keeps activations near 1 through residual sums and to the last layer.
NETWORKS = {
    "tf_efficientnetv2_s": ((2, 96, 75, 3), 1.2),
    "tf_efficientnet_b0": ((2, 96, 75, 3), 2.1),
    "mobilevit_s": ((2, 128, 96, 3), 2.0),  # the last maps are 4 x 3: patches that need resizing
    "resnet50": ((2, 96, 75, 3), 1.0),
}
COUNTED = [f"tf_efficientnet_b{i}" for i in range(8)] + list(NETWORKS)


class Wildcard(type):
    """A class whose every attribute is some string."""

    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class Anything(metaclass=Wildcard):
    """Stands for any class that timm imports from torchvision and does not use here."""


def stand_in(name: str) -> type:
    """A module's missing attribute."""
    if name.startswith("__"):
        raise AttributeError(name)
    return Anything


def stub_torchvision() -> None:
    """Lets `import timm` pass without torchvision."""
    names = ["", ".ops", ".ops.misc", ".transforms", ".transforms.functional", ".datasets"]
    names += [".models", ".models.feature_extraction"]
    for name in names:
        module = types.ModuleType("torchvision" + name)
        module.__path__ = []
        module.__getattr__ = stand_in
        sys.modules["torchvision" + name] = module
        parent, _, child = ("torchvision" + name).rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)


def blocks(model: nn.Module) -> dict[str, nn.Module]:
    """The modules whose outputs are compared, by name."""
    if hasattr(model, "blocks"):
        wanted = {f"blocks.{i}.{j}": b for i, s in enumerate(model.blocks) for j, b in enumerate(s)}
        return {"bn1": model.bn1, **wanted, "bn2": model.bn2}
    if hasattr(model, "stages"):
        wanted = {f"stages.{i}.{j}": b for i, s in enumerate(model.stages) for j, b in enumerate(s)}
        return {"stem": model.stem, **wanted, "final_conv": model.final_conv}
    return {f"layer{i}": getattr(model, f"layer{i}") for i in range(1, 5)}


@torch.no_grad()
def golden(
    timm: types.ModuleType, name: str, shape: tuple[int, ...], gain: float
) -> dict[str, np.ndarray]:
    """Names, shapes, the logits and samples of every block's output."""
    model = timm.create_model(name, num_classes=CLASSES).eval()
    state = model.state_dict()
    names, shapes = list(state), [tuple(value.shape) for value in state.values()]
    arrays = seeded_state(names, shapes, gain)
    model.load_state_dict({key: torch.from_numpy(value) for key, value in arrays.items()})
    seen = {}
    for key, module in blocks(model).items():
        module.register_forward_hook(lambda _m, _i, out, key=key: seen.update({key: out}))
    x = torch.from_numpy(image(shape)).permute(0, 3, 1, 2)
    logits = model(x)
    saved = {"shape": np.array(shape), "gain": np.array(gain), "logits": logits.numpy()}
    saved["names"] = np.array(json.dumps(list(zip(names, shapes, strict=True))))
    for key, maps in seen.items():
        saved["block:" + key] = sample(maps.permute(0, 2, 3, 1).numpy())
    spread = {key: round(float(value.std()), 2) for key, value in seen.items()}
    print(name, logits.numpy(), spread, sep="\n")
    return saved


def main() -> None:
    """Writes one .npz a network and counts.json."""
    stub_torchvision()
    import timm

    torch.manual_seed(0)
    for name, (shape, gain) in NETWORKS.items():
        np.savez_compressed(HERE / f"{name}.npz", **golden(timm, name, shape, gain))
    counts = {}
    for name in COUNTED:
        with torch.device("meta"):
            model = timm.create_model(name)
        counts[name] = sum(p.numel() for p in model.parameters())
    (HERE / "timm_counts.json").write_text(json.dumps(counts, indent=2) + "\n")


if __name__ == "__main__":
    main()
