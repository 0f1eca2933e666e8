"""Reads a compiled program's text: its instructions, and where each came from. Pure Python."""

import dataclasses
import functools
import re
from collections.abc import Iterator

SIZES = {"pred": 1, "bf16": 2, "c64": 8, "c128": 16, "token": 0, "opaque": 0}
_ARRAY = re.compile(r"\b([a-z]\w*?)\[([\d,<= ]*)\](\{[^}]*\})?")
_LINE = re.compile(r"^\s*(ROOT )?%?([\w.\-]+) = (.*)$")
_HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a computation.

    Attributes:
        name: unique in the module.
        opcode: such as `fusion` or `all-reduce-start`.
        type: of the result, as text.
        operands: names of the instructions that it reads.
        rest: its attributes, as text.
        number: of a parameter, among those of its computation.
        root: whether it is the computation's result.
    """

    name: str
    opcode: str
    type: str
    operands: tuple[str, ...]
    rest: str
    number: int
    root: bool

    @property
    def scope(self) -> str:
        """The path of scopes and functions that made it; '' where the compiler made it."""
        found = re.search(r'op_name="((?:[^"\\]|\\.)*)"', self.rest)
        return found[1] if found else ""

    def called(self, attribute: str = "calls") -> str:
        """The computation that an attribute names."""
        found = re.search(rf"\b{attribute}=%?([\w.\-]+)", self.rest)
        return found[1] if found else ""

    @property
    def trips(self) -> int:
        """How often a loop's body runs; 1 where the compiler does not know."""
        found = re.search(r'known_trip_count[^}]*?"n":"(\d+)"', self.rest)
        return int(found[1]) if found else 1


@dataclasses.dataclass
class Module:
    """A program: its computations by name, each a list of instructions in order."""

    computations: dict[str, list[Instruction]]
    entry: str
    frames: dict[int, tuple[str, ...]]

    def __post_init__(self) -> None:
        self.by_name = {i.name: i for body in self.computations.values() for i in body}

    def walk(self, name: str = "", times: int = 1) -> Iterator[tuple[Instruction, int]]:
        """What runs, with how often: the entry, loop bodies and branches, not inside of fusions."""
        for instruction in self.computations.get(name or self.entry, ()):
            yield instruction, times
            if instruction.opcode == "while":
                yield from self.walk(instruction.called("body"), times * instruction.trips)
            elif instruction.opcode == "call":
                yield from self.walk(instruction.called("to_apply"), times)
            elif instruction.opcode == "conditional":
                for branch in re.findall(r"%([\w.\-]+)", _branches(instruction.rest)):
                    yield from self.walk(branch, times)

    def origin(self, instruction: Instruction) -> tuple[str, ...]:
        """`file:function` of the stack that made an instruction, the innermost last."""
        found = re.search(r"stack_frame_id=(\d+)", instruction.rest)
        return self.frames.get(int(found[1]), ()) if found else ()


def _branches(rest: str) -> str:
    found = re.search(r"branch_computations=\{([^}]*)\}", rest)
    return found[1] if found else " ".join(re.findall(r"(?:true|false)_computation=(\S+)", rest))


def parse(text: str) -> Module:
    """The module of a program's text, as `compiled.as_text()` gives it."""
    computations: dict[str, list[Instruction]] = {}
    entry, current = "", None
    for line in text.splitlines():
        if current is None:
            if head := _HEAD.match(line):
                current = computations.setdefault(head[2], [])
                entry = head[2] if head[1] else entry
        elif line.startswith("}"):
            current = None
        elif found := _LINE.match(line):
            current.append(_instruction(*found.groups()))
    return Module(computations, entry, _frames(text))


def _instruction(root: str | None, name: str, rest: str) -> Instruction:
    end = _closing(rest, 0) if rest.startswith("(") else rest.index(" ")
    kind, rest = rest[:end], rest[end:].lstrip()
    begin = rest.index("(")
    end = _closing(rest, begin)
    operands, opcode = tuple(re.findall(r"%([\w.\-]+)", rest[begin:end])), rest[:begin]
    number = int(rest[begin + 1 : end - 1]) if opcode == "parameter" else 0
    return Instruction(name, opcode, kind, operands, rest[end:], number, bool(root))


def _closing(text: str, begin: int) -> int:
    """The position behind the parenthesis that closes the one at `begin`."""
    depth = 0
    for found in re.compile(r"[()]").finditer(text, begin):
        depth += 1 if found[0] == "(" else -1
        if not depth:
            return found.end()
    return len(text)


def _frames(text: str) -> dict[int, tuple[str, ...]]:
    """The stacks by their number, from the tables at the head of the text."""
    head = text[: text.find("\n%")]
    files = dict(re.findall(r'^(\d+) "(.*/.*|<.*>)"$', _section(head, "FileNames"), re.M))
    functions = dict(re.findall(r'^(\d+) "(.*)"$', _section(head, "FunctionNames"), re.M))
    places = {
        number: f"{files.get(file, '')}:{functions.get(function, '')}"
        for number, file, function in re.findall(
            r"^(\d+) \{file_name_id=(\d+) function_name_id=(\d+)",
            _section(head, "FileLocations"),
            re.M,
        )
    }
    pattern = r"^(\d+) \{file_location_id=(\d+)(?: parent_frame_id=(\d+))?\}"
    table = {
        n: (place, up) for n, place, up in re.findall(pattern, _section(head, "StackFrames"), re.M)
    }

    @functools.cache
    def stack(number: str) -> tuple[str, ...]:
        place, parent = table[number]
        above = stack(parent) if parent and parent != number and parent in table else ()
        return (*above, places.get(place, ""))

    return {int(number): stack(number) for number in table}


def _section(head: str, title: str) -> str:
    found = re.search(rf"^{title}\n(.*?)(?:\n\n|\Z)", head, re.M | re.S)
    return found[1] if found else ""


def arrays(kind: str) -> list[tuple[str, int, str]]:
    """Element type, bytes and layout of each array of a type."""
    found = []
    for element, dimensions, layout in _ARRAY.findall(kind):
        count = 1
        for size in re.findall(r"\d+", dimensions):
            count *= int(size)
        found.append((element, count * _width(element), layout))
    return found


def _width(element: str) -> int:
    if element in SIZES:
        return SIZES[element]
    bits = re.search(r"\d+", element)
    return max(1, int(bits[0]) // 8) if bits else 0


def size(kind: str, *, device_memory: bool = False) -> int:
    """Bytes of a type; on request only of what lies in the device memory, not on the chip."""
    return sum(
        width
        for _, width, layout in arrays(kind)
        if not (device_memory and re.search(r"S\([1-9]", layout))
    )
