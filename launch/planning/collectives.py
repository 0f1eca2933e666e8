"""The collectives of a compiled program: how many, how large, and what for."""

import dataclasses
import re

from launch.planning import hlo

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
# In the order of the report: what a collective is for, and why it is there.
PURPOSES = {
    "BatchNorm statistics": "global BatchNorm, forward: mean and mean square of each layer's input "
    "over the whole batch, two vectors a layer; small, but each waits for the layer before",
    "BatchNorm gradient": "global BatchNorm, backward: two sums over the whole batch for each "
    "layer, which are the gradients of its scale and bias too; small, but each waits for the "
    "layer behind",
    "gradients": "of all other parameters, summed over the chips once a step: as many bytes as "
    "these parameters have, whatever the batch; joined into few by the compiler",
    "mixing of clips": "an augmentation's partners that lie on another chip; from 64 clips a batch "
    "on, partners are among eight neighbours (asd_jax/augment/partners.py), and whole spectrograms "
    "stay where they are",
    "views": "the views of each clip are joined to one batch, clip after clip of one view, then of "
    "the next, and parted again: the joined batch is cut anew among the chips, so that nearly "
    "every chip needs the waveforms and spectrograms of other chips' clips. They are most of "
    "what moves, and their bytes grow with the clips a chip, not with the chips",
    "features": "waveforms to pictures",
    "losses and metrics": "means over the batch, and what compares its clips",
    "unexplained": "made by the compiler, without a trace of what for",
}
# What only moves or joins values; its purpose is that of what it reads.
_MOVES = ("get-tuple-element", "bitcast", "copy", "copy-done", "copy-start", "tuple", "concatenate")


@dataclasses.dataclass(frozen=True)
class Collective:
    """A part of a collective that serves one purpose.

    Attributes:
        kind: one of `KINDS`.
        purpose: one of `PURPOSES`.
        bytes: of the values that are reduced, or of those that a chip has afterwards.
        times: how often it runs in a step.
        scope: where it comes from.
        name: of the instruction; parts of one instruction share it.
        group: chips that take part.
    """

    kind: str
    purpose: str
    bytes: int
    times: int
    scope: str
    name: str
    group: int = 0


def collectives(module: hlo.Module) -> list[Collective]:
    """Every collective of a step, by parts where the compiler has combined several."""
    found = []
    for instruction, times in module.walk():
        kind = instruction.opcode.removesuffix("-start")
        if kind == "async" and (inner := _inner(module, instruction)):
            kind, instruction = inner.opcode, dataclasses.replace(inner, name=instruction.name)
        if kind in KINDS:
            group = _group(instruction.rest)
            for width, source in _parts(module, instruction, kind):
                what = (kind, purpose(module, source, kind), width, times, source.scope)
                found.append(Collective(*what, instruction.name, group))
    return found


def _inner(module: hlo.Module, instruction: hlo.Instruction) -> hlo.Instruction | None:
    body = module.computations.get(instruction.called(), ())
    return next((i for i in body if i.opcode in KINDS), None)


def _parts(module, instruction, kind: str) -> list[tuple[int, hlo.Instruction]]:
    """Bytes and origin of each value that a collective takes; an all-gather counts its result."""
    sources = [module.by_name[name] for name in instruction.operands if name in module.by_name]
    parts = [part for source in sources for part in _origins(module, source)]
    if kind == "all-gather":
        result = max((width for _, width, _ in hlo.arrays(instruction.type)), default=0)
        return [(result, _named(instruction, parts))]
    if len(sources) == 1 and instruction.scope and len(parts) == 1:
        return [(parts[0][0], instruction)]
    return [(width, source if source.scope else instruction) for width, source in parts]


def _named(instruction, parts) -> hlo.Instruction:
    return instruction if instruction.scope or not parts else parts[0][1]


def _origins(module, source, depth: int = 0) -> list[tuple[int, hlo.Instruction]]:
    """The values that a value is joined from, back to instructions that say where they are from."""
    moves = source.opcode in _MOVES or (source.opcode == "fusion" and not source.scope)
    below = [module.by_name[name] for name in source.operands if name in module.by_name]
    if moves and below and depth < 12:
        parts = [part for operand in below for part in _origins(module, operand, depth + 1)]
        if len(parts) == 1 or source.opcode != "fusion" or _joins(parts, source):
            if source.opcode in ("get-tuple-element", "bitcast", "copy") and parts:
                return [(hlo.size(source.type), parts[-1][1] if source.scope == "" else source)]
            return parts
    return [(hlo.size(source.type), source)]


def _joins(parts, source) -> bool:
    return sum(width for width, _ in parts) == hlo.size(source.type)


def purpose(module: hlo.Module, instruction: hlo.Instruction, kind: str = "all-reduce") -> str:
    """What a collective of this origin is for; a key of `PURPOSES`."""
    scope, stack = instruction.scope, module.origin(instruction)
    back = "transpose(" in scope
    if kind == "all-reduce" and stack and re.search(r"/ops/norm\.py:|:BatchNorm\.", stack[-1]):
        return "BatchNorm gradient" if back else "BatchNorm statistics"
    if kind == "all-reduce" and back:
        return "gradients"
    for folder, name in (("augment", "mixing of clips"), ("features", "features")):
        if any(f"/asd_jax/{folder}/" in place for place in stack):
            return name
    if kind != "all-reduce" and scope:
        return "views"
    return "losses and metrics" if scope else "unexplained"


def _group(rest: str) -> int:
    """Chips in a group of a collective."""
    if found := re.search(r"replica_groups=\{\{([\d,]*)\}", rest):
        return len(found[1].split(","))
    if found := re.search(r"replica_groups=\[(\d+),(\d+)\]", rest):
        return int(found[2])
    return 0
