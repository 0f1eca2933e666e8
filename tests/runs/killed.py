"""`python -m asd_jax.main` as a user starts it, watched from outside and killed with SIGKILL.

A moment is a file that the run makes, and a random time after that: so kills fall into saves and
between stages too, which take so little of a run that random times alone would seldom meet them.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from tests import compiler

PROJECT = pathlib.Path(__file__).resolve().parents[2]
TINY = "tests.tiny_python -m asd_jax.main"
PROGRAM = os.environ.get("KILL_PROGRAM", TINY)
SECONDS = 400  # that a part of a run may take
STAGES = ("pretrain", "finetune", "temporal", "fusion")


@dataclasses.dataclass(frozen=True)
class Moment:
    """When to kill: so long at most after the run has made a file.

    Attributes:
        name: for people.
        made: pattern of a path below the folder of all runs; '' for the start. RUN is the run's own
            folder, and LAST_stage the number of that stage's last step.
        longest: seconds.
        victims: numbers of the processes to kill, where several make the run.
    """

    name: str
    made: str
    longest: float
    victims: tuple[int, ...] = (0,)


class Runs:
    """Runs of one command in folders side by side, with one cache.

    Attributes:
        folder: that holds the runs and the cache.
        flags: of the command.
    """

    def __init__(self, folder: pathlib.Path, flags: Sequence[str]) -> None:
        self.folder, self.flags = folder, flags

    def start(self, name: str, *flags: str, devices: int = 1, compiled: bool = True) -> "Process":
        """Starts the command; without `compiled` it takes no program from the cache."""
        path = self.folder / f"{name}{time.monotonic_ns()}.log"
        virtual = compiler.virtual(devices)
        environment = {
            **os.environ,
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "XLA_FLAGS": compiler.flags(virtual) if PROGRAM == TINY else virtual,
            "JAX_ENABLE_COMPILATION_CACHE": str(int(compiled)),
        }
        command = [sys.executable, "-m", *PROGRAM.split(), f"--workdir={self.folder / name}"]
        with open(path, "w", encoding="utf-8") as log:
            started = subprocess.Popen(
                [*command, *self.flags, *flags],
                cwd=PROJECT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return Process(started, path)

    def start_two(self, name: str, *, devices: int, compiled: bool = True) -> "list[Process]":
        """Two processes that make one run on loopback, of so many devices each."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            where = f"--coordinator=127.0.0.1:{probe.getsockname()[1]}"
        flags = ["--processes=2", where]
        return [
            self.start(name, *flags, f"--process={k}", devices=devices, compiled=compiled)
            for k in range(2)
        ]

    def forget(self, name: str) -> None:
        """Removes a run, and the recordings that it wrote and decoded."""
        cache = self.folder / "cache" / "asd_jax"
        for folder in (self.folder / name, cache / "synthetic", cache / "waves"):
            shutil.rmtree(folder, ignore_errors=True)

    def scores(self, name: str) -> bytes:
        """scores.csv of a finished run."""
        return (self.folder / name / "scores.csv").read_bytes()

    def last_step(self, name: str, stage: str) -> str:
        """The number of a stage's last step, from a finished run."""
        steps = (p.name for p in (self.folder / name / "checkpoints" / stage).iterdir())
        return max(steps, key=int)

    def checkpoints(self, name: str) -> list[str]:
        """`stage/step` of the newest checkpoint of each stage of a run, and of what is none.

        The one before is of a step that the clock has chosen.
        """
        newest: dict[str, int] = {}
        found = []
        for path in (self.folder / name).glob("checkpoints/*/*"):
            if path.name.isdecimal():
                stage = path.parent.name
                newest[stage] = max(newest.get(stage, 0), int(path.name))
            else:
                found.append(f"{path.parent.name}/{path.name}")
        return sorted([*found, *(f"{stage}/{step}" for stage, step in newest.items())])

    def pattern(self, moment: Moment, name: str, whole: str) -> str:
        """What a moment waits for in a run, with the numbers of steps of a finished one."""
        made = moment.made.replace("RUN", name)
        for stage in STAGES:
            if f"LAST_{stage}" in made:
                made = made.replace(f"LAST_{stage}", self.last_step(whole, stage))
        return made

    def logged(self, name: str) -> list[tuple[str, int]]:
        """The stage and step of every event in the log of a run."""
        lines = (self.folder / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        events = [json.loads(line) for line in lines]
        return [(event["stage"], event["step"]) for event in events]


class Process:
    """A command that was started, and what it prints."""

    def __init__(self, started: subprocess.Popen, log: pathlib.Path) -> None:
        self._started, self._log, self._began = started, log, time.time_ns()

    def shown(self) -> str:
        """What it has printed."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def end(self, seconds: float = SECONDS) -> int:
        """Waits for its end; its status."""
        return self._started.wait(timeout=seconds)

    def kill(self) -> int:
        """SIGKILL; the status."""
        self._started.kill()
        return self.end()

    def reaches(self, folder: pathlib.Path, pattern: str) -> bool:
        """Waits until it has made such a file; False if it has ended before."""
        end = time.monotonic() + SECONDS
        while pattern and not self._has_made(folder, pattern):
            if self._started.poll() is not None:
                return False
            assert time.monotonic() < end, f"{pattern} never came:\n{self.shown()}"
            time.sleep(0.002)
        return self._started.poll() is None

    def _has_made(self, folder: pathlib.Path, pattern: str) -> bool:
        for path in folder.glob(pattern):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime_ns >= self._began:
                    return True
        return False

    def kill_after(self, seconds: float, *others: "Process") -> bool:
        """SIGKILL so much later, to these others too; False if it has ended before."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._started.wait(timeout=seconds)
        for process in others:
            process._started.kill()
        return self.kill() == -signal.SIGKILL


@contextlib.contextmanager
def gone(*processes: Process) -> Iterator[None]:
    """However the block ends, the processes are gone then."""
    try:
        yield
    finally:
        for process in processes:
            process.kill()
