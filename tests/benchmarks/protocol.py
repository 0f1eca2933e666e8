"""The worker's side of a benchmark: one process that computes when it is its turn.

`python -m tests.benchmarks.protocol MODULE VARIANT` imports MODULE and answers requests, one line
of JSON each, until its standard input ends. Only the standard library and NumPy: the reference's
interpreter runs this file too. MODULE has `build(variant, program) -> Work`.
"""

import contextlib
import ctypes
import dataclasses
import importlib
import importlib.util
import json
import os
import pathlib
import resource
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

_PR_SET_PDEATHSIG = 1  # sys/prctl.h
ENOUGH = 8 << 30  # bytes that a turn leaves to the next worker
ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass
class Work:
    """What a worker repeats.

    Attributes:
        step: does the work once and returns when it is done.
        about: facts for the table and the JSON: parameters, FLOPs, versions, sizes.
        result: arrays that tell whether both sides computed the same; saved once.
        before: is called before every step, and not timed.
    """

    step: Callable[[], Any]
    about: dict[str, Any] = dataclasses.field(default_factory=dict)
    result: Callable[[], dict[str, Any]] | None = None
    before: Callable[[], Any] | None = None


def allocator() -> Any:
    """asd_jax/memory.py by its path, so that no other module of asd_jax is imported with it."""
    path = ROOT / "asd_jax" / "memory.py"
    spec = importlib.util.spec_from_file_location("allocator", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def timed(work: Work) -> float:
    """Seconds of one step."""
    if work.before:
        work.before()
    begin = time.perf_counter()
    work.step()
    return time.perf_counter() - begin


def serve(module: str, variant: dict[str, Any], lines: Any, answer: Callable[[dict], None]) -> None:
    """Answers `prepare` and `turn` requests.

    A turn begins with a step that does not count. Where memory is short, what a turn leaves free
    goes back to the system, since the next worker may need it; the turn after that has two more
    steps that do not count, in which the pages are mapped again.
    """
    memory = allocator()
    if variant.get("allocator", "kept") == "kept":
        memory.keep()
    begin = time.perf_counter()
    build = importlib.import_module(module).build
    imports = time.perf_counter() - begin
    works: dict[str, Work] = {}
    cold = 0  # steps until the memory that was given back is mapped again
    for line in lines:
        request = json.loads(line)
        name = request["name"]
        if request["do"] == "prepare":
            begin = time.perf_counter()
            works[name] = build(variant, request["program"])
            built = time.perf_counter()
            first = timed(works[name])
            answer(
                {"imports": imports, "built": built - begin, "first": first}
                | {"about": works[name].about}
                | _saved(works[name], request.get("save"))
            )
        else:
            for _ in range(1 + cold):
                timed(works[name])
            seconds = [timed(works[name]) for _ in range(request["steps"])]
            cold = 2 if meminfo("MemAvailable") < ENOUGH else 0
            if cold:
                memory.give_back()
            answer({"seconds": seconds, "peak_rss": peak_rss()})


def meminfo(field: str) -> int:
    """A field of /proc/meminfo in bytes; raises KeyError where there is none of that name."""
    with open("/proc/meminfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    raise KeyError(field)


def peak_rss() -> int:
    """The most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _saved(work: Work, path: str | None) -> dict[str, Any]:
    if work.result is None or not path:
        return {}
    import numpy as np

    np.savez(path, **work.result())
    return {"result": path}


def end_with_parent() -> None:
    """Asks Linux to kill this process when the harness ends, however it does.

    A worker on hold would otherwise stay, with all its memory: it can't see its input end.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Keeps standard output for the answers, whatever libraries print."""
    end_with_parent()
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(message: dict) -> None:
        print(json.dumps(message), file=channel, flush=True)

    answer({"pid": os.getpid()})
    serve(sys.argv[1], json.loads(sys.argv[2]), sys.stdin, answer)


if __name__ == "__main__":
    main()
