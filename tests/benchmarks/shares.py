"""Where the time of a step goes: `python -m tests.benchmarks.shares NAME... [--json=FILE]`.

Traces three steps, takes each operation's own time from the trace, and names it by the source that
the compiler notes beside every operation of the program (`op_name`). A fusion has the name of its
last operation only, so that what is fused into it counts there: shares are good to a few percent.
"""

import argparse
import collections
import gzip
import json
import os
import pathlib
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from typing import Any

from tests.benchmarks.summary import table
from tests.benchmarks.workers import pin, surroundings

STEPS = 3
# Layers that hold a depthwise convolution. EfficientNetV2's first three stages have full ones.
DEPTHWISE = r"(depthwise|cheap|along_width|along_height|stage[456]_\w+/spatial)/conv/"
# The first pattern that an operation's source matches decides.
RULES = (
    ("FFT and mel", r"log_mel|mel_power|fft|rfft|power_by"),
    ("augmentation", r"augment|pseudo|mix_batch|mixup|weak_fault"),
    ("depthwise, gradient of the kernel", rf"transpose.*{DEPTHWISE}.*(while|dot_general)"),
    ("depthwise, gradient of the input", rf"transpose.*{DEPTHWISE}"),
    ("depthwise, forward", DEPTHWISE),
    ("BatchNorm and activation, backward", r"transpose.*(/bn/|_norm/)"),
    ("BatchNorm and activation, forward", r"/bn/|_norm/"),
    ("convolution and GEMM, backward", r"transpose.*(/conv/|dot_general|conv_general)"),
    ("convolution and GEMM, forward", r"/conv/|dot_general|conv_general"),
    ("attention and squeeze", r"squeeze|attention"),
    ("optimizer", r"^jit\(step\)/(?!.*jvp)"),
)
REST = "sums, copies, other"
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = .*?op_name=\"([^\"]*)\"")


def names_of(program: str) -> dict[str, str]:
    """The source of every instruction of a compiled program's text."""
    found = (_INSTRUCTION.match(line) for line in program.splitlines())
    return {match.group(1): match.group(2) for match in found if match}


def own_times(events: Iterable[Mapping[str, Any]], module: str) -> collections.Counter[str]:
    """Microseconds of each operation, without those of the operations inside it.

    Args:
        events: of a trace, in the format of Chrome.
        module: name of the program.
    """
    threads: dict[int, list] = collections.defaultdict(list)
    for event in events:
        if event.get("ph") == "X" and event.get("args", {}).get("hlo_module") == module:
            span = (event["ts"], event["dur"], event["args"]["hlo_op"])
            threads[event["tid"]].append(span)
    times: collections.Counter[str] = collections.Counter()
    for spans in threads.values():
        around: list[tuple[float, str]] = []  # ends and names of the operations that still run
        for start, length, name in sorted(spans, key=lambda s: (s[0], -s[1])):
            while around and around[-1][0] <= start:
                around.pop()
            if around:
                times[around[-1][1]] -= length
            times[name] += length
            around.append((start + length, name))
    return times


def share_of(name: str) -> str:
    """The row of the table that an operation belongs to, by its source."""
    return next((row for row, pattern in RULES if re.search(pattern, name)), REST)


def shares(times: Mapping[str, float], names: Mapping[str, str]) -> dict[str, float]:
    """Fractions of the time by row, largest first."""
    rows: collections.Counter[str] = collections.Counter()
    for operation, microseconds in times.items():
        rows[share_of(names.get(operation, ""))] += microseconds
    total = sum(rows.values()) or 1.0
    return {row: value / total for row, value in rows.most_common()}


def traced(run: Any, folder: str) -> tuple[list[dict], list[float]]:
    """Events of a trace of a few calls, and the seconds of each."""
    import jax

    for _ in range(3):
        run()
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    seconds = []
    with jax.profiler.trace(folder, profiler_options=options):
        for _ in range(STEPS):
            begin = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - begin)
    (path,) = pathlib.Path(folder).rglob("*.trace.json.gz")
    return json.loads(gzip.decompress(path.read_bytes()))["traceEvents"], seconds


def measure(name: str) -> dict[str, Any]:
    """The shares of one step."""
    from tests.benchmarks.ours.steps import STEPS_BY_NAME

    step = STEPS_BY_NAME[name]()
    with tempfile.TemporaryDirectory() as folder:
        events, seconds = traced(step.run, folder)
    times = own_times(events, step.module)
    return {
        "shares": shares(times, names_of(step.text)),
        "step_ms": 1e3 * statistics.median(seconds),
        "operations_ms": sum(times.values()) / STEPS / 1e3,  # over all threads
        "largest": [
            {"operation": op, "ms": us / STEPS / 1e3, "source": names_of(step.text).get(op, "")}
            for op, us in times.most_common(25)
        ],
    }


def parse(arguments: list[str], known: list[str]) -> argparse.Namespace:
    """The command line; no name means all."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.shares", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    parser.add_argument("--json", help="file for every number")
    options = parser.parse_args(arguments)
    options.names = options.names or known  # argparse would look for a default list in `choices`
    if unknown := sorted(set(options.names) - set(known)):
        parser.error(f"no step is named {', '.join(unknown)}; known are {', '.join(known)}")
    return options


def main(arguments: list[str]) -> int:
    """Prints one table of all steps asked for."""
    from asd_jax import memory

    os.environ.update(surroundings(2))
    memory.keep()
    pin(2)
    from tests.benchmarks.ours.steps import STEPS_BY_NAME

    options = parse(arguments, list(STEPS_BY_NAME))
    found = {}
    for name in options.names:
        found[name] = measure(name)
        print(f"{name}: traced", file=sys.stderr, flush=True)
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps(found, indent=1), "utf-8")
    rows = list(dict.fromkeys(row for one in found.values() for row in one["shares"]))
    lines = [[row, *(f"{one['shares'].get(row, 0):.0%}" for one in found.values())] for row in rows]
    lines.append(["step, ms", *(f"{one['step_ms']:.0f}" for one in found.values())])
    print(table(["share of a step", *found], lines))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
