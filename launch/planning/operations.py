"""Convolutions and matrix products of a program before a compiler has it. Pure Python."""

import dataclasses
import math
import re
from collections import Counter

_TYPES = re.compile(r": \(tensor<([^>]*)>, tensor<([^>]*)>\) -> tensor<([^>]*)>")
_KIND = re.compile(r"stablehlo\.(convolution|dot_general)\b")


@dataclasses.dataclass(frozen=True)
class Operation:
    """One kind of operation.

    Attributes:
        kind: "convolution" or "dot_general".
        types: element types of the two factors, such as "f32 x f32".
        precision: "DEFAULT", "HIGH" or "HIGHEST".
    """

    kind: str
    types: str
    precision: str


def operations(text: str) -> tuple[Counter, Counter]:
    """Numbers and FLOPs of the operations in StableHLO text; FLOPs of matrix products alone."""
    numbers: Counter = Counter()
    flops: Counter = Counter()
    for line in text.splitlines():
        kind, types = _KIND.search(line), _TYPES.search(line)
        if not kind or not types:
            continue
        (left, a), (_, b), (out, _) = map(_tensor, types.groups())
        found = re.search(r"precision(?:_config)? = \[(?:#stablehlo<precision )?(\w+)", line)
        key = Operation(kind[1], f"{a} x {b}", found[1] if found else "DEFAULT")
        numbers[key] += 1
        if kind[1] == "dot_general":
            inner = re.search(r"contracting_dims = \[([\d, ]*)\]", line)
            axes = map(int, re.findall(r"\d+", inner[1])) if inner else ()
            flops[key] += 2 * math.prod(out) * math.prod(left[axis] for axis in axes)
    return numbers, flops


def _tensor(text: str) -> tuple[list[int], str]:
    *shape, element = text.split("x")
    return [int(size) for size in shape], element
