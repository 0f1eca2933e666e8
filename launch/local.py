"""The runs of a sweep on this machine, a few processes at a time."""

import contextlib
import dataclasses
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence

from asd_jax.errors import Interrupted
from launch.cells import Group, command_of, group_cells, is_done, lock_path, log_path
from launch.sweep_file import Run
from launch.worker import Worker, device_environment, take_lock

WRONG = 2  # the exit status for what the user must mend: no other try would end otherwise
LONGEST = 600.0  # seconds between two tries
POLL = 0.2


@dataclasses.dataclass(frozen=True)
class Options:
    """How runs are made here.

    Attributes:
        workers: processes at a time.
        devices: accelerators, each given to one process at a time; 0 leaves all to every process.
        retries: further tries of a run that died.
        backoff: seconds before the first of them; each later one waits twice as long.
        pack: runs that may train as one program.
    """

    workers: int = 1
    devices: int = 0
    retries: int = 2
    backoff: float = 10.0
    pack: int = 1


@dataclasses.dataclass
class Task:
    """A group that is to be made."""

    group: Group
    tries: int = 0
    not_before: float = 0.0
    began: float = 0.0
    slot: int = 0

    @property
    def name(self) -> str:
        """For people."""
        return " + ".join(run.name for run in self.group)


def run_all(
    runs: Sequence[Run],
    config: str,
    folder: str,
    options: Options = Options(),
    extra: Sequence[str] = (),
) -> list[Run]:
    """Makes every run that is not finished; returns those that failed.

    Raises:
        Interrupted: on SIGINT or SIGTERM, after the processes have saved what they did.
    """
    return Launcher(runs, config, folder, options, extra).run()


class Launcher:
    """The loop: start what may start, look who has ended, wait a little."""

    def __init__(
        self,
        runs: Sequence[Run],
        config: str,
        folder: str,
        options: Options,
        extra: Sequence[str],
    ) -> None:
        self._config, self._folder, self._options, self._extra = config, folder, options, extra
        left = [run for run in runs if not is_done(folder, run)]
        self._waiting = [Task(group) for group in group_cells(left, options.pack)]
        self._total, self._done = len(runs), len(runs) - len(left)
        self._free = list(range(max(1, options.workers)))
        self._going: dict[Worker, Task] = {}
        self._failed: list[Run] = []
        for slot in self._free:
            device_environment(slot, options.devices)  # a wrong number is said before the start

    def run(self) -> list[Run]:
        """Until nothing is left to do."""
        if self._done:
            print(f"{self._done} of {self._total} runs are there already.", flush=True)
        os.makedirs(os.path.join(self._folder, "logs"), exist_ok=True)
        with _signals() as signals:
            try:
                while self._going or (self._waiting and not signals.asked):
                    if not signals.asked:
                        self._start()
                    for number in signals.take():
                        for worker in self._going:
                            worker.send(number)
                    self._look(signals.asked)
                    time.sleep(POLL)
            finally:
                for worker in self._going:
                    worker.end()
        if signals.asked:
            raise Interrupted("Stopped; what was done is saved.")
        return self._failed

    def _start(self) -> None:
        """Gives each free place to the first task whose time has come."""
        for task in list(self._waiting):
            if self._free and time.monotonic() >= task.not_before and self._begin(task):
                self._waiting.remove(task)

    def _begin(self, task: Task) -> bool:
        """Starts a task; False while another launcher's process, or a dead one's, is at it."""
        locks = self._lock(task.group)
        if locks is None:
            task.not_before = time.monotonic() + 1.0
            return False
        left = tuple(run for run in task.group if not is_done(self._folder, run))
        if not left:
            for lock in locks:
                os.close(lock)
            self._say("done elsewhere", task)
            return True
        for run in left[1:]:
            with open(log_path(self._folder, run), "a", encoding="utf-8") as log:
                log.write(f"It trains with {left[0].name}; see that log.\n")
        task.slot, task.began, task.tries = self._free.pop(0), time.monotonic(), task.tries + 1
        worker = Worker(
            command_of(left, self._config, self._folder, self._extra),
            log=log_path(self._folder, left[0]),
            locks=locks,
            environment=device_environment(task.slot, self._options.devices),
        )
        self._going[worker] = task
        return True

    def _lock(self, group: Group) -> list[int] | None:
        """The locks of all runs of a group, or none of them."""
        locks: list[int] = []
        for run in group:
            lock = take_lock(lock_path(self._folder, run))
            if lock is None:
                for taken in locks:
                    os.close(taken)
                return None
            locks.append(lock)
        return locks

    def _look(self, stopping: bool) -> None:
        """Books the processes that have ended."""
        found = {worker: worker.status() for worker in self._going}
        for worker, status in found.items():
            if status is None:
                continue
            task = self._going.pop(worker)
            self._free.append(task.slot)
            self._free.sort()
            if status == 0 and all(is_done(self._folder, run) for run in task.group):
                self._say("done", task)
            elif not stopping:
                self._again(task, status)

    def _again(self, task: Task, status: int) -> None:
        """Another try after a pause, unless it can't help or there were enough."""
        if status == WRONG or task.tries > self._options.retries:
            left = [run for run in task.group if not is_done(self._folder, run)]
            self._failed += left
            return self._say("failed", task)
        pause = min(LONGEST, self._options.backoff * 2 ** (task.tries - 1))
        task.not_before = time.monotonic() + pause
        self._waiting.append(task)
        how = f"signal {-status}" if status < 0 else f"status {status}"
        again = f"try {task.tries + 1} of {self._options.retries + 1} in {pause:g} s"
        print(f"died ({how}): {task.name}; {again}", file=sys.stderr, flush=True)
        return None

    def _say(self, word: str, task: Task) -> None:
        self._done += len(task.group)
        taken = f" ({time.monotonic() - task.began:.0f} s)" if task.began else ""
        print(f"[{self._done}/{self._total}] {word}: {task.name}{taken}", flush=True)


class _Signals:
    """What asked for an end so far, in place of an end at once."""

    def __init__(self) -> None:
        self.asked, self._fresh = False, []

    def note(self, number: int, _: object) -> None:
        self.asked = True
        self._fresh.append(number)

    def take(self) -> list[int]:
        """Those that came since the last call."""
        taken, self._fresh = self._fresh, []
        return taken


@contextlib.contextmanager
def _signals() -> Iterator[_Signals]:
    signals = _Signals()
    before = {s: signal.signal(s, signals.note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
