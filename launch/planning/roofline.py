"""The least time that a step can take: the largest of three quotients. Pure Python, no jax.

FLOPs by the peak rate, bytes by the bandwidth of the memory, and what the collectives send by that
of the links, as if all three overlapped without loss. It is a lower bound of the compiled program
and no claim of speed: nothing here has run.
"""

import dataclasses
from collections.abc import Iterable, Mapping

from launch.planning.collectives import Collective
from launch.planning.hardware import Chip

PASSES = 6  # bfloat16 products that make one of float32 at the highest precision, on a TPU
# FLOP/s of float32 without tensor cores; the same data sheets as in `hardware`.
SINGLE = {"h100": 66.9e12, "a100": 19.5e12, "t4": 8.1e12}


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Seconds of a step, each as if it were alone."""

    compute: float
    memory: float
    links: float

    @property
    def step(self) -> float:
        """The lower bound."""
        return max(self.compute, self.memory, self.links)

    @property
    def bound(self) -> str:
        """What the bound comes from."""
        names = {"compute": self.compute, "memory": self.memory, "links": self.links}
        return max(names, key=names.get)


def roofline(
    chip: Chip,
    *,
    flops: float,
    exact_flops: float,
    types: Iterable[str],
    traffic: float,
    collectives: Iterable[Collective],
) -> Roofline:
    """The bound of a step on one of the chips.

    Args:
        chip: what it runs on.
        flops: of the step, a chip.
        exact_flops: those of them that are matrix products at the highest precision.
        types: element types that are multiplied at the default precision; the fastest counts.
        traffic: bytes to and from the memory, a chip.
        collectives: of the step.
    """
    rate = max((chip.peak.get(kind, 0.0) for kind in types), default=0.0) or chip.peak["f32"]
    exact = SINGLE.get(chip.name, rate / PASSES)
    compute = max(flops - exact_flops, 0.0) / rate + exact_flops / exact
    links = sum(sent(one) * one.times for one in collectives) / chip.link
    return Roofline(compute, traffic / chip.bandwidth, links)


def sent(one: Collective) -> float:
    """Bytes that a chip must send at least (Patarasuk and Yuan 2009 for all-reduce)."""
    share = (one.group - 1) / one.group if one.group > 1 else 1.0
    factors: Mapping[str, float] = {"all-reduce": 2 * share, "collective-permute": 1.0}
    return factors.get(one.kind, share) * one.bytes
