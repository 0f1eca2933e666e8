"""Fails if a fast form has become slow: `python -m tests.benchmarks.gate`, about a minute.

Ours against ours: the forms that run on a CPU against the plain ones (`lax`'s convolutions, dense
mel filters, BatchNorm's gradient as autodiff finds it), taking turns in one process. Both sides
suffer alike from a busy machine, so the ratios are steady enough to fail on; the floors are about
half of what a quiet machine shows, and a ratio under its floor is measured again before it counts.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.benchmarks.summary import table
from tests.benchmarks.workers import pin, surroundings

ROUNDS = 7
TRIES = 3
Step = Callable[[], Any]


@dataclasses.dataclass(frozen=True)
class Pair:
    """A fast form and its plain one.

    Attributes:
        name: for the table.
        build: makes (fast, plain), each doing the same work and returning when it is done.
        floor: the least ratio of plain to fast.
        usual: the ratio on a quiet machine, for the reader.
    """

    name: str
    build: Callable[[], tuple[Step, Step]]
    floor: float
    usual: float


def ratio_of(fast: Step, plain: Step, rounds: int = ROUNDS) -> float:
    """The median over rounds of plain / fast, each the better of two calls."""
    ratios = []
    for step in (fast, plain):
        step()
    for number in range(rounds):
        order = (fast, plain) if number % 2 else (plain, fast)
        seconds = {step: min(_seconds(step), _seconds(step)) for step in order}
        ratios.append(seconds[plain] / seconds[fast])
    return statistics.median(ratios)


def _seconds(step: Step) -> float:
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


def check(pair: Pair, tries: int = TRIES) -> dict[str, Any]:
    """The best ratio of a few tries; one is enough where it passes."""
    fast, plain = pair.build()
    ratios: list[float] = []
    while len(ratios) < tries and (not ratios or max(ratios) < pair.floor):
        ratios.append(ratio_of(fast, plain))
    return {
        "name": pair.name,
        "ratio": max(ratios),
        "floor": pair.floor,
        "usual": pair.usual,
        "tries": len(ratios),
        "passed": max(ratios) >= pair.floor,
    }


def main(arguments: list[str]) -> int:
    """Measures every pair and returns 1 if one is under its floor."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gate", description=__doc__)
    parser.add_argument("--json", help="file for the numbers")
    options = parser.parse_args(arguments)
    pin(2)
    os.environ.update(surroundings(2))
    from asd_jax import memory

    memory.keep()
    from tests.benchmarks.ours.pairs import PAIRS

    found = []
    for pair in PAIRS:
        begin = time.perf_counter()
        found.append(check(pair) | {"seconds": round(time.perf_counter() - begin, 1)})
    rows = [_row(one) for one in found]
    print(table(["plain / fast", "ratio", "floor", "usual", "tries", "s", ""], rows))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(found, indent=1), "utf-8")
    slow = [one["name"] for one in found if not one["passed"]]
    if slow:
        print(f"Slower than allowed: {', '.join(slow)}. See tests/benchmarks/README.md.")
    return int(bool(slow))


def _row(one: dict[str, Any]) -> list[str]:
    numbers = [f"{one['ratio']:.2f}", f"{one['floor']:g}", f"{one['usual']:g}", str(one["tries"])]
    return [one["name"], *numbers, f"{one['seconds']:.0f}", "" if one["passed"] else "TOO SLOW"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
