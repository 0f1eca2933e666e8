"""The memory of accelerators, and topologies such as `v5e:4x4` or `h100:8`. No jax here.

Of one chip each (of a core, half of it, where JAX sees two devices), by cloud.google.com/tpu/docs
and NVIDIA's data sheets (H100 SXM5 80 GB, A100 SXM4 40 GB, T4).
"""

import dataclasses
import math

from asd_jax.errors import UserError

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
        memory: bytes of device memory that a program can have.
        most: chips that a topology may have.
        devices: JAX devices a chip. Where the compiler lists both cores of one (v4), memory is
            that of a core.
    """

    name: str
    platform: str
    title: str
    memory: float
    most: int
    devices: int = 1


def _gpu(name: str, title: str, memory: int) -> Chip:
    return Chip(name, "gpu", title, USABLE * memory, most=8)


CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v4", "tpu", "TPU v4 core", 15.75 * 2**30, 4096, devices=2),
        Chip("v5e", "tpu", "TPU v5e", 15.75 * 2**30, 256),
        Chip("v5p", "tpu", "TPU v5p", 95.0 * 2**30, 6144),
        _gpu("h100", "NVIDIA H100 SXM 80 GB", 84942979072),
        _gpu("a100", "NVIDIA A100 SXM 40 GB", 42331013120),
        _gpu("t4", "NVIDIA T4 16 GB", 15843721216),
    )
}


@dataclasses.dataclass(frozen=True)
class Topology:
    """So many chips of a kind; `shape` of the torus for TPUs, the number of chips for GPUs."""

    chip: Chip
    shape: tuple[int, ...]

    @property
    def chips(self) -> int:
        """Counts the chips that are paid for."""
        return math.prod(self.shape)

    @property
    def devices(self) -> int:
        """Counts the devices that JAX sees, which share a batch."""
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
