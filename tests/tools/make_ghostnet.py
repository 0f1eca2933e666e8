"""Writes what timm's GhostNetV2 computes with seeded weights.

`python -m tests.tools.make_ghostnet`, run from the repository's root, needs torch and timm
(the extra `golden`), not the project's own dependencies.
"""

import json
import types

import numpy as np
import torch

from tests.models.golden.seeded import image, sample, seeded_state
from tests.tools.make_timm import HERE, stub_torchvision

# Odd widths on the way (75, 19, 5, 3): there nearest upsampling and floor pooling show their rules.
SHAPE = (4, 96, 75, 2)
GAIN = 1.1  # keeps activations within 0.3 to 4 up to the head
# Running statistics after one step in training mode: an early, a middle and the last layer.
STATISTICS = ("bn1", "blocks.3.0.bn_dw", "blocks.6.2.ghost1.short_conv.5", "blocks.9.0.bn1")


@torch.no_grad()
def golden(model: torch.nn.Module, x: torch.Tensor, mode: str) -> dict[str, np.ndarray]:
    """The output of the head, and samples and mean size of every block's output."""
    seen = {}
    model.train(mode == "train")
    blocks = {f"{i}.{j}": b for i, stage in enumerate(model.blocks) for j, b in enumerate(stage)}
    hooks = [
        module.register_forward_hook(lambda _m, _i, out, key=key: seen.update({key: out}))
        for key, module in {"stem": model.act1, **blocks}.items()
    ]
    saved = {f"{mode}:head": model(x).numpy()}
    for hook in hooks:
        hook.remove()
    for key, maps in seen.items():
        saved[f"{mode}:block:{key}"] = sample(maps.permute(0, 2, 3, 1).numpy())
        saved[f"{mode}:size:{key}"] = maps.abs().mean().numpy()
    print(mode, {key: round(float(maps.std()), 2) for key, maps in seen.items()})
    return saved


def statistics(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """Running mean and variance of the layers that are compared, and the count behind them."""
    modules = dict(model.named_modules())
    saved = {}
    for name in STATISTICS:
        saved[f"mean:{name}"] = modules[name].running_mean.numpy()
        saved[f"var:{name}"] = modules[name].running_var.numpy()
    return saved


def build(timm: types.ModuleType) -> torch.nn.Module:
    """GhostNetV2 1.0 for two channels, without classifier and dropout, and with seeded weights."""
    model = timm.create_model("ghostnetv2_100", in_chans=SHAPE[-1], num_classes=0, drop_rate=0.0)
    state = model.state_dict()
    names, shapes = list(state), [tuple(value.shape) for value in state.values()]
    arrays = seeded_state(names, shapes, GAIN)
    model.load_state_dict({key: torch.from_numpy(value) for key, value in arrays.items()})
    model.names = json.dumps(list(zip(names, shapes, strict=True)))
    return model


def main() -> None:
    """Writes ghostnetv2.npz."""
    stub_torchvision()
    import timm

    model = build(timm)
    x = torch.from_numpy(image(SHAPE)).permute(0, 3, 1, 2)
    saved = {"shape": np.array(SHAPE), "gain": np.array(GAIN), "names": np.array(model.names)}
    saved |= golden(model, x, "eval") | golden(model, x, "train") | statistics(model)
    with torch.device("meta"):
        full = timm.create_model("ghostnetv2_100")
    saved["parameters"] = np.array(sum(p.numel() for p in full.parameters()))
    saved["trunk"] = np.array(
        sum(p.numel() for n, p in full.named_parameters() if not n.startswith("classifier"))
    )
    print(saved["parameters"], saved["trunk"])
    np.savez_compressed(HERE / "ghostnetv2.npz", **saved)


if __name__ == "__main__":
    main()
