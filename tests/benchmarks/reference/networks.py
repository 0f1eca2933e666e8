"""PyTorch's side of the networks: timm's, and the waveform network layer by layer.

Runs under an interpreter with torch and timm, and imports nothing of asd_jax.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from tests.benchmarks.protocol import Work
from tests.benchmarks.reference.temporal import Temporal
from tests.tools.make_timm import stub_torchvision

SHAPES = {
    "ghostnetv2": (2, 224, 313),
    "efficientnetv2_s": (3, 224, 224),
    "temporal": (160000,),
}
CLASSES = 512


def network(name: str, layout: str) -> nn.Module:
    """The network with random weights, in the layout asked for."""
    if name == "temporal":
        return Temporal(CLASSES, two_dimensional=layout != "conv1d", layout=layout)
    with contextlib.suppress(ImportError):
        import torchvision  # noqa: F401
    try:
        import timm
    except ImportError:
        stub_torchvision()
        import timm

    if name == "ghostnetv2":
        net = timm.create_model("ghostnetv2_100", in_chans=2, num_classes=CLASSES, drop_rate=0.0)
    else:
        drops = {"drop_rate": 0.2, "drop_path_rate": 0.2}
        net = timm.create_model("tf_efficientnetv2_s", num_classes=1, **drops)
    return net.to(memory_format=_format(layout))


def _format(layout: str) -> torch.memory_format:
    return torch.channels_last if layout == "channels_last" else torch.contiguous_format


def forward_flops(net: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiplications and additions of convolutions and matrix products, of one clip."""
    from torch.utils.flop_counter import FlopCounterMode

    net.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(1, *shape))
    return counter.get_total_flops()


def build(variant: dict[str, Any], program: dict[str, Any]) -> Work:
    """A training step or an inference; `layout`, `bf16` and `compile` make the variant."""
    torch.set_num_threads(int(variant.get("threads", 2)))
    torch.manual_seed(0)
    name, batch, layout = program["network"], program["batch"], variant["layout"]
    net = network(name, layout)
    flops = forward_flops(net, SHAPES[name]) * batch * (3 if program["train"] else 1)
    about = {
        "parameters": sum(p.numel() for p in net.parameters()),
        "flops": flops,
        "torch": torch.__version__,
    }
    x = torch.randn(batch, *SHAPES[name])
    if x.ndim == 4:
        x = x.contiguous(memory_format=_format(layout))
    run = torch.compile(net) if variant.get("compile") else net
    cast = torch.autocast("cpu", torch.bfloat16, enabled=variant.get("bf16", False))
    if program["train"]:
        return Work(_training(net, run, x, cast), about)
    return Work(_inference(net, run, x, cast), about)


def _training(net: nn.Module, run: Callable, x: torch.Tensor, cast: Any) -> Callable:
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    classes = CLASSES

    def once() -> None:
        optimizer.zero_grad(set_to_none=True)
        with cast:
            logits = run(x)
            if logits.shape[1] == 1:
                loss = nn.functional.binary_cross_entropy_with_logits(logits[:, 0].float(), target)
            else:
                loss = nn.functional.cross_entropy(logits.float(), label)
        loss.backward()
        optimizer.step()

    label = torch.randint(classes, (len(x),))
    target = (label % 2).float()
    return once


def _inference(net: nn.Module, run: Callable, x: torch.Tensor, cast: Any) -> Callable:
    net.eval()

    def once() -> None:
        with torch.inference_mode(), cast:
            run(x)

    return once
