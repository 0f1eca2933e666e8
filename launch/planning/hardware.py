"""The public figures of accelerators, and topologies such as `v5e:4x4` or `h100:8`. No jax here.

Of one chip each (of a core, half of it, where JAX sees two devices); decimal units as the makers
print them; dense rates, no sparsity. Sources:

    v4, v5e, v5p  cloud.google.com/tpu/docs/v4, /v5e, /v5p: peak compute, HBM, ICI per chip
    h100          NVIDIA H100 data sheet, SXM5 80 GB (the rates there are with sparsity: halved)
    a100          NVIDIA A100 data sheet, SXM4 40 GB
    t4            NVIDIA T4 data sheet

`link` is what a chip can send, all its links together: half of a "bidirectional" figure.
"""

import dataclasses
import math

from asd_jax.errors import UserError

GIGA, TERA = 1e9, 1e12
# The memory of TPUs is what their compiler grants a program; that of GPUs what CUDA reports, less a
# share for its own context and for cuDNN's workspaces.
USABLE = 0.95


@dataclasses.dataclass(frozen=True)
class Chip:
    """One kind of accelerator.

    Attributes:
        name: as in a topology.
        platform: "tpu" or "gpu".
        title: for people.
        peak: FLOP/s of matrix products by the type of what is multiplied. float32 at the default
            precision: one bfloat16 pass on TPUs, TF32 on GPUs that have it.
        bandwidth: bytes/s of the device memory.
        link: bytes/s that a chip can send to others.
        memory: bytes of device memory that a program can have.
        most: chips that a topology may have.
        devices: JAX devices a chip. Where the compiler lists both cores of one (v4), all figures
            are those of a core.
    """

    name: str
    platform: str
    title: str
    peak: dict[str, float]
    bandwidth: float
    link: float
    memory: float
    most: int
    devices: int = 1


def _tpu(name: str, peak: float, bandwidth: float, link: float, memory: float, most: int, **more):
    rates = {"bf16": peak * TERA, "f32": peak * TERA}
    title = f"TPU {name}" + (" core" if more else "")
    return Chip(name, "tpu", title, rates, bandwidth * GIGA, link * GIGA, memory, most, **more)


def _gpu(name: str, title: str, half: float, single: float, rest: tuple) -> Chip:
    rates = {"bf16": half * TERA, "f16": half * TERA, "f32": single * TERA}
    bandwidth, link, memory, most = rest
    usable = USABLE * memory
    return Chip(name, "gpu", title, rates, bandwidth * GIGA, link * GIGA, usable, most)


CHIPS = {
    chip.name: chip
    for chip in (
        _tpu("v4", 137.5, 600, 150, 15.75 * 2**30, 4096, devices=2),
        _tpu("v5e", 197, 819, 200, 15.75 * 2**30, 256),
        _tpu("v5p", 459, 2765, 600, 95.0 * 2**30, 6144),
        _gpu("h100", "NVIDIA H100 SXM 80 GB", 989.4, 494.7, (3350, 450, 84942979072, 8)),
        _gpu("a100", "NVIDIA A100 SXM 40 GB", 312, 156, (1555, 300, 42331013120, 8)),
        _gpu("t4", "NVIDIA T4 16 GB", 65, 8.1, (320, 16, 15843721216, 8)),
    )
}


@dataclasses.dataclass(frozen=True)
class Topology:
    """So many chips of a kind; `shape` of the torus for TPUs, the number of chips for GPUs."""

    chip: Chip
    shape: tuple[int, ...]

    @property
    def chips(self) -> int:
        """How many are paid for."""
        return math.prod(self.shape)

    @property
    def devices(self) -> int:
        """How many JAX sees: what shares a batch."""
        return self.chips * self.chip.devices

    def __str__(self) -> str:
        return f"{self.chip.name}:{'x'.join(map(str, self.shape))}"


def read_topology(text: str) -> Topology:
    """`v5e:4x4` or `h100:8`; raises UserError for what is not known."""
    name, _, size = text.partition(":")
    if name not in CHIPS:
        raise UserError(
            f"--topology={text!r} is not known; give CHIP:SIZE, such as v5e:4x4 or h100:8, with "
            f"one of the chips {', '.join(CHIPS)}."
        )
    chip, words = CHIPS[name], size.split("x")
    dimensions = 1 if chip.platform == "gpu" else 2 if name == "v5e" else 3
    if len(words) != dimensions or not all(word.isdecimal() and int(word) for word in words):
        example = {1: "8", 2: "4x4", 3: "2x2x1"}[dimensions]
        raise UserError(
            f"--topology={text!r} has no such size; give {name}:{example}, for example."
        )
    topology = Topology(chip, tuple(map(int, words)))
    if topology.chips > chip.most:
        where = "one host" if chip.platform == "gpu" else "one slice"
        raise UserError(f"--topology={text!r}: {where} has at most {chip.most} {chip.title} chips.")
    return topology
