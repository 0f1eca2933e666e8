"""The runs of a sweep on this machine: a thread for each place, a process for each cell."""

import argparse
import collections
import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from asd_jax.errors import Interrupted, UserError
from launch.cells import PackedRuns, command_of, group_cells, is_done, lock_path, log_path
from launch.sweep_file import SweepRun

WRONG = 2  # the exit status for what the user must mend: no other try would end otherwise
LONGEST = 600.0  # seconds between two tries
_PR_SET_PDEATHSIG = 1  # sys/prctl.h


def run_all(
    runs: Sequence[SweepRun], options: argparse.Namespace, extra: Sequence[str] = ()
) -> list[SweepRun]:
    """Makes every run that is not finished; returns those that failed.

    Args:
        runs: of a sweep.
        options: those of `launch.sweep` for processes on a machine.
        extra: flags for every run.

    Raises:
        Interrupted: on SIGINT or SIGTERM, after the processes have saved what they did.
    """
    number = options.workers or options.devices or 1
    places = [device_environment(slot, options.devices) for slot in range(number)]
    launcher = Launcher(runs, options, extra)
    before = {s: signal.signal(s, launcher.stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        with ThreadPoolExecutor(number) as pool:
            failed = [run for found in pool.map(launcher.work, places) for run in found]
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
    if launcher.stopping.is_set():
        raise Interrupted("Stopped; what was done is saved.")
    return failed


class Launcher:
    """State of all threads: groups that wait, processes that run, and whether to stop."""

    def __init__(
        self, runs: Sequence[SweepRun], options: argparse.Namespace, extra: Sequence[str]
    ) -> None:
        self._options, self._extra = options, extra
        left = self._left(runs)
        self._waiting = collections.deque(group_cells(left, options.pack))
        self._total, self._done = len(runs), len(runs) - len(left)
        self._going: set[subprocess.Popen] = set()
        self._lock = threading.RLock()  # a second signal may come while the first is handed on
        self.stopping = threading.Event()
        os.makedirs(os.path.join(options.out, "logs"), exist_ok=True)
        if self._done:
            print(f"{self._done} of {self._total} runs are there already.", flush=True)

    def work(self, environment: Mapping[str, str]) -> list[SweepRun]:
        """Makes groups in one place until none waits; returns the runs that failed."""
        failed: list[SweepRun] = []
        while not self.stopping.is_set():
            try:
                group = self._waiting.popleft()
            except IndexError:
                break
            with contextlib.ExitStack() as stack:
                locks = [take_lock(lock_path(self._options.out, run)) for run in group]
                held = [lock for lock in locks if lock is not None]
                for lock in held:
                    stack.callback(os.close, lock)
                if len(held) == len(group):
                    failed += self._make(group, held, environment)
                    continue
            self._waiting.append(group)  # another launcher's process, or a dead one's, is at it
            self.stopping.wait(1.0)
        return failed

    def _make(
        self, group: PackedRuns, locks: list[int], environment: Mapping[str, str]
    ) -> PackedRuns:
        """Tries a group until it is done, or no other try can help; returns what failed of it."""
        name, began, last = " + ".join(run.name for run in group), time.monotonic(), 0
        word = "failed" if self._left(group) else "done elsewhere"
        while word == "failed":
            last += 1
            status = self._run(self._left(group), locks, environment)
            word = "failed" if status or self._left(group) else "done"
            if word == "done" or status == WRONG or last > self._options.retries:
                break
            pause = min(LONGEST, self._options.backoff * 2 ** (last - 1))
            how = f"signal {-status}" if status < 0 else f"status {status}"
            again = f"try {last + 1} of {1 + self._options.retries} in {pause:g} s"
            if not self.stopping.is_set():
                print(f"died ({how}): {name}; {again}", file=sys.stderr, flush=True)
            if self.stopping.wait(pause):
                break
        if word == "failed" and self.stopping.is_set():
            return ()
        with self._lock:
            self._done += len(group)
            taken = f"{time.monotonic() - began:.0f} s"
            print(f"[{self._done}/{self._total}] {word}: {name} ({taken})", flush=True)
        return self._left(group) if word == "failed" else ()

    def _run(self, group: PackedRuns, locks: list[int], environment: Mapping[str, str]) -> int:
        """The exit status of the process that makes a group, negative for a signal."""
        first, *others = group
        for run in others:
            with open(log_path(self._options.out, run), "a", encoding="utf-8") as log:
                log.write(f"It trains with {first.name}; see that log.\n")
        with self._lock, open(log_path(self._options.out, first), "ab") as output:
            if self.stopping.is_set():
                return -signal.SIGTERM
            process = subprocess.Popen(
                command_of(group, self._options.config, self._options.out, self._extra),
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

    def _left(self, runs: Sequence[SweepRun]) -> PackedRuns:
        return tuple(run for run in runs if not is_done(self._options.out, run))

    def stop(self, number: int, _: object) -> None:
        """Hands a signal on to the processes, in place of an end at once."""
        with self._lock:
            self.stopping.set()
            for process in tuple(self._going):
                process.send_signal(number)


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
    """Asks Linux, in a child before its program, to end it when its parent ends.

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
    """Returns the variables that show a process one of `devices` accelerators; none for 0.

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
