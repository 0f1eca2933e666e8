"""The harness's side: starts workers, gives them turns, and holds all others still meanwhile."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from tests.benchmarks import machine
from tests.benchmarks.protocol import ROOT

QUIET = 0.3  # processors that others may use when a turn begins


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to do the work.

    Attributes:
        name: for the table.
        module: whose `build` makes the work.
        options: what `build` is told, and `allocator`: 'kept' (asd_jax/memory.py) or 'default'.
        torch: runs under the reference's interpreter.
        environment: added to the worker's.
        warm: with fresh processes, runs once uncounted before the rounds.
        rounds: with fresh processes, at most so many; 0 for all.
    """

    name: str
    module: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    torch: bool = False
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    warm: bool = False
    rounds: int = 0


class WorkerError(RuntimeError):
    """A worker ended before it answered."""


class Worker:
    """One process, stopped by a signal whenever it is not its turn."""

    def __init__(self, variant: Variant, *, torch_python: str, threads: int) -> None:
        self.variant = variant
        python = torch_python if variant.torch else sys.executable
        command = [python, "-m", "tests.benchmarks.protocol", variant.module]
        self._process = subprocess.Popen(
            [*command, json.dumps(variant.options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | surroundings(threads) | variant.environment,
            start_new_session=True,
        )
        self._answer()  # it can be held now: it will end with this process
        self._hold()

    def prepare(self, name: str, program: dict[str, Any], save: str) -> dict[str, Any]:
        """Builds a program and runs it once; returns its facts."""
        request = {"do": "prepare", "name": name, "program": program, "save": save}
        return self._ask(request)

    def turn(self, name: str, steps: int) -> dict[str, Any]:
        """Seconds of so many steps, and what the machine did besides."""
        load = os.getloadavg()[0]
        begin = time.monotonic()
        busy, own = machine.cpu_seconds(), machine.session_seconds(self._process.pid)
        answer = self._ask({"do": "turn", "name": name, "steps": steps})
        wall = time.monotonic() - begin
        after = machine.cpu_seconds()
        own = machine.session_seconds(self._process.pid) - own
        rest = {
            "load": load,
            "others": max(0.0, (after[0] - busy[0] - own) / wall),
            "stolen": (after[1] - busy[1]) / wall,
            "cpu": own / wall,
        }
        return answer | {key: round(value, 3) for key, value in rest.items()}

    def spent(self) -> float:
        """Processor seconds so far."""
        return machine.session_seconds(self._process.pid)

    def close(self) -> None:
        """Ends the process and all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            stream.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._signal(signal.SIGCONT)
        # Where it has ended, what it said last is read below.
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(request), file=self._process.stdin, flush=True)
        answer = self._answer()
        self._hold()
        return answer

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError(f"{self.variant.name!r} ended; see what it wrote above.")
        return json.loads(line)

    def _hold(self) -> None:
        self._signal(signal.SIGSTOP)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def surroundings(threads: int) -> dict[str, str]:
    """The environment that both sides get: threads, and JAX's compilation cache where it is."""
    from asd_jax.files import cache_folder

    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return dict.fromkeys(names, str(threads)) | {
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": os.environ.get("JAX_COMPILATION_CACHE_DIR")
        or cache_folder("xla"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def pin(threads: int) -> None:
    """Keeps this process and its children on so many processors: both sides count them alike."""
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, allowed[:threads])


@contextlib.contextmanager
def started(
    variants: Sequence[Variant], *, torch_python: str, threads: int
) -> Iterator[list[Worker]]:
    """One worker a variant, all on hold; they end with the block."""
    workers: list[Worker] = []
    try:
        for variant in variants:
            workers.append(Worker(variant, torch_python=torch_python, threads=threads))
        yield workers
    finally:
        for worker in workers:
            worker.close()


def wait_for_quiet(patience: float) -> float:
    """Waits up to `patience` seconds for others to rest; returns the processors they use."""
    end = time.monotonic() + patience
    while True:
        used = machine.others(0.5)
        if used < QUIET or time.monotonic() > end:
            return round(used, 2)
