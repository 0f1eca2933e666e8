"""The runs of a sweep on this machine: a thread for each place, a process for each cell."""

import collections
import contextlib
import ctypes
import dataclasses
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from asd_jax.errors import Interrupted, UserError
from launch.cells import Group, command_of, group_cells, is_done, lock_path, log_path
from launch.sweep_file import Run

WRONG = 2  # the exit status for what the user must mend: no other try would end otherwise
LONGEST = 600.0  # seconds between two tries
_PR_SET_PDEATHSIG = 1  # sys/prctl.h


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
    places = [device_environment(slot, options.devices) for slot in range(max(1, options.workers))]
    launcher = Launcher(runs, config, folder, options, extra)
    with launcher.signals(), ThreadPoolExecutor(len(places)) as pool:
        failed = [run for found in pool.map(launcher.work, places) for run in found]
    if launcher.stopping.is_set():
        raise Interrupted("Stopped; what was done is saved.")
    return failed


class Launcher:
    """What the threads share: groups that wait, processes that run, and whether to stop."""

    def __init__(
        self, runs: Sequence[Run], config: str, folder: str, options: Options, extra: Sequence[str]
    ) -> None:
        self._config, self._folder, self._options, self._extra = config, folder, options, extra
        left = [run for run in runs if not is_done(folder, run)]
        self._waiting = collections.deque(group_cells(left, options.pack))
        self._total, self._done = len(runs), len(runs) - len(left)
        self._going: set[subprocess.Popen] = set()
        self._lock = threading.RLock()  # a second signal may come while the first is handed on
        self.stopping = threading.Event()
        os.makedirs(os.path.join(folder, "logs"), exist_ok=True)
        if self._done:
            print(f"{self._done} of {self._total} runs are there already.", flush=True)

    def work(self, environment: Mapping[str, str]) -> list[Run]:
        """Makes groups in one place until none waits; returns the runs that failed."""
        failed: list[Run] = []
        while not self.stopping.is_set():
            try:
                group = self._waiting.popleft()
            except IndexError:
                break
            with _held([lock_path(self._folder, run) for run in group]) as locks:
                if locks is None:  # another launcher's process, or a dead one's, is at it
                    self._waiting.append(group)
                    self.stopping.wait(1.0)
                else:
                    failed += self._make(group, locks, environment)
        return failed

    def _make(self, group: Group, locks: list[int], environment: Mapping[str, str]) -> list[Run]:
        """Tries a group until it is done, or no other try can help; returns what failed of it."""
        if not self._left(group):
            return self._say("done elsewhere", group)
        began, last = time.monotonic(), 1 + self._options.retries
        for number in range(1, last + 1):
            status = self._run(self._left(group), locks, environment)
            if status == 0 and not self._left(group):
                return self._say("done", group, began)
            if self.stopping.is_set():
                return []
            if status == WRONG or number == last:
                break
            pause = min(LONGEST, self._options.backoff * 2 ** (number - 1))
            how = f"signal {-status}" if status < 0 else f"status {status}"
            again = f"try {number + 1} of {last} in {pause:g} s"
            print(f"died ({how}): {_name(group)}; {again}", file=sys.stderr, flush=True)
            if self.stopping.wait(pause):
                return []
        self._say("failed", group, began)
        return list(self._left(group))

    def _run(self, group: Group, locks: list[int], environment: Mapping[str, str]) -> int:
        """The exit status of the process that makes a group, negative for a signal."""
        first, *others = group
        for run in others:
            with open(log_path(self._folder, run), "a", encoding="utf-8") as log:
                log.write(f"It trains with {first.name}; see that log.\n")
        with self._lock, open(log_path(self._folder, first), "ab") as output:
            if self.stopping.is_set():
                return -signal.SIGTERM
            process = subprocess.Popen(
                command_of(group, self._config, self._folder, self._extra),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches it once, from here
                pass_fds=locks,  # which it holds until it is gone, whatever becomes of this process
                preexec_fn=end_with_parent(),
                env={**os.environ, **environment},
            )
            self._going.add(process)
        status = process.wait()
        self._going.discard(process)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # what it has left behind
        return status

    def _left(self, group: Group) -> Group:
        return tuple(run for run in group if not is_done(self._folder, run))

    def _say(self, word: str, group: Group, began: float = 0.0) -> list[Run]:
        with self._lock:
            self._done += len(group)
            taken = f" ({time.monotonic() - began:.0f} s)" if began else ""
            print(f"[{self._done}/{self._total}] {word}: {_name(group)}{taken}", flush=True)
        return []

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Hands SIGINT and SIGTERM on to the processes, in place of an end at once."""
        before = {s: signal.signal(s, self._stop) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, _: object) -> None:
        with self._lock:
            self.stopping.set()
            for process in tuple(self._going):
                process.send_signal(number)


def _name(group: Group) -> str:
    return " + ".join(run.name for run in group)


@contextlib.contextmanager
def _held(paths: Sequence[str]) -> Iterator[list[int] | None]:
    """The locks of all these files, or None where another process has one of them."""
    with contextlib.ExitStack() as stack:
        locks: list[int] | None = []
        for path in paths:
            lock = take_lock(path)
            if lock is None:
                locks = None
                break
            stack.callback(os.close, lock)
            locks.append(lock)
        yield locks


def take_lock(path: str) -> int | None:
    """Opens and locks a file; None if another process has it.

    Not `asd_jax.files.locked`: a run's process inherits the lock and may outlive its launcher.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:  # some file systems of buckets and networks have no locks
        pass
    return handle


def end_with_parent(*ignored: int) -> Callable[[], None]:
    """What a child does before its program: Linux shall end it when its parent ends, however.

    The SIGTERM lets a run save first. Signals in `ignored` do not reach the child's program.
    """
    parent = os.getpid()
    prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None

    def prepare() -> None:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it ended before the line above
                os._exit(128 + signal.SIGTERM)

    return prepare


def device_environment(slot: int, devices: int) -> dict[str, str]:
    """What shows a process one of `devices` accelerators of this machine; nothing for 0.

    A GPU by CUDA_VISIBLE_DEVICES, a TPU chip by the variables of libtpu. Where the launcher itself
    is shown some only, these are what is given out.

    Raises:
        UserError: it is shown fewer than `devices`.
    """
    if not devices:
        return {}
    found = {"TPU_CHIPS_PER_PROCESS_BOUNDS": "1,1,1", "TPU_PROCESS_BOUNDS": "1,1,1"}
    for variable in ("CUDA_VISIBLE_DEVICES", "TPU_VISIBLE_CHIPS"):
        given = [word for word in os.environ.get(variable, "").split(",") if word]
        if given and len(given) < devices:
            raise UserError(
                f"--devices={devices}, but {variable} shows {len(given)}; give "
                f"--devices={len(given)}."
            )
        found[variable] = given[slot] if given else str(slot)
    return found
