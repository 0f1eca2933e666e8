"""The variants of a network's benchmark: ours, and PyTorch in each layout and precision."""

from collections.abc import Mapping
from typing import Any

from tests.benchmarks.case import Program
from tests.benchmarks.workers import Variant

OURS, THEIRS = "tests.benchmarks.ours.networks", "tests.benchmarks.reference.networks"


def ours(name: str = "ours", **options: Any) -> Variant:
    """Our network; `allocator='default'` for glibc's."""
    return Variant(name, OURS, options)


def torch(name: str, layout: str, **options: Any) -> Variant:
    """The reference."""
    return Variant(f"torch {name}", THEIRS, {"layout": layout, **options}, torch=True)


LAYOUTS = (torch("NCHW", "nchw"), torch("channels_last", "channels_last"))
BF16 = torch("channels_last bf16", "channels_last", bf16=True)
# glibc as it is: a further row, since a user of PyTorch gets it unasked.
DEFAULTS = (
    ours("ours, glibc's defaults", allocator="default"),
    torch("channels_last, glibc's defaults", "channels_last", allocator="default"),
)
COMPILED = {"compile": (torch("channels_last compiled", "channels_last", compile=True),)}
EAGER = tuple(variant.name for variant in (*LAYOUTS, BF16))
EAGER_F32 = tuple(variant.name for variant in LAYOUTS)


def network(name: str, batch: int, *, train: bool) -> dict[str, Any]:
    """The options of a program."""
    return {"network": name, "batch": batch, "train": train}


def program(name: str, batch: int, *, train: bool, **options: Any) -> Program:
    """A training step or an inference of a network; `options` are of `Program`."""
    title = f"{'training' if train else 'inference'}, batch {batch}"
    return Program(title, network(name, batch, train=train), clips=batch, **options)


def same_size(report: Mapping[str, Any]) -> list[str]:
    """Says how many parameters each side has."""
    counts: dict[int, list[str]] = {}
    for name, found in report["programs"][0]["variants"].items():
        counts.setdefault(found["about"].get("parameters", 0), []).append(name)
    if len(counts) == 1:
        return [f"Parameters: {next(iter(counts)):,} in every variant."]
    return [f"Parameters differ: {counts}."]
