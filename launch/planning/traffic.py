"""The bytes that a compiled program moves between a chip and its memory in one step. Pure Python.

Every kernel reads what it takes from the device memory and writes what it makes there; what the
compiler keeps in a chip's own memory is not counted. A slice or gather reads what it gives, an
update in place writes what it changes. Caches between kernels (the L2 of GPUs) can save more.
"""

from launch.planning import hlo

_FREE = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id",
    "replica-id", "iota", "while", "conditional", "call", "domain", "opt-barrier", "add-dependency",
}  # fmt: skip
_BYTES = ("s8", "u8")
_SLICES = ("slice", "dynamic-slice", "gather")


def traffic(module: hlo.Module) -> int:
    """Bytes to and from the device memory of one chip in one step."""
    return sum(times * _moved(module, i) for i, times in module.walk() if i.opcode not in _FREE)


def _moved(module: hlo.Module, instruction: hlo.Instruction) -> int:
    opcode = instruction.opcode
    if opcode.endswith("-done") or opcode.endswith("-update"):
        return 0
    result = hlo.size(instruction.type, device_memory=True)
    if opcode.endswith("-start"):
        return result  # its type names both what it reads and what it writes
    if opcode in _SLICES:
        return 2 * result
    if opcode == "dynamic-update-slice":
        return 2 * _size(module, instruction.operands[1])
    if opcode == "custom-call":  # a library's kernel: its workspace is no result
        result -= sum(width for kind, width, _ in hlo.arrays(instruction.type) if kind in _BYTES)
    if opcode == "fusion":
        return _fused(module, instruction, result)
    return result + sum(_size(module, name) for name in dict.fromkeys(instruction.operands))


def _fused(module: hlo.Module, fusion: hlo.Instruction, result: int) -> int:
    """A fusion reads its operands once, or only what its slices take of them."""
    body = module.computations.get(fusion.called(), [])
    readers: dict[str, list[hlo.Instruction]] = {}
    for inner in body:
        for position, name in enumerate(inner.operands):
            whole = position > 0 and inner.opcode in (*_SLICES, "dynamic-update-slice")
            readers.setdefault(name, []).append(None if whole else inner)
    parameters = sorted((i for i in body if i.opcode == "parameter"), key=lambda i: i.number)
    updates = [i for i in body if i.opcode == "dynamic-update-slice"]
    if updates and any(i.root and i.opcode == "dynamic-update-slice" for i in body):
        result = sum(hlo.size(module.by_name[i.operands[1]].type) for i in updates)
    moved = result
    for parameter, name in zip(parameters, fusion.operands, strict=False):
        full = _size(module, name)
        users = readers.get(parameter.name, [])
        if users and all(user and user.opcode in _SLICES for user in users):
            full = min(full, sum(hlo.size(user.type) for user in users))
        elif users and all(user and user.opcode == "dynamic-update-slice" for user in users):
            full = 0
        moved += full
    return moved


def _size(module: hlo.Module, name: str) -> int:
    found = module.by_name.get(name)
    return hlo.size(found.type, device_memory=True) if found else 0
