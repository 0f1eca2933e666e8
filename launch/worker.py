"""One process of a sweep on this machine: its lock, its device, and its end."""

import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from asd_jax.errors import UserError

_PR_SET_PDEATHSIG = 1  # sys/prctl.h


class Worker:
    """A running command.

    It holds the locks until it is gone itself, whatever becomes of its launcher, so no two of them
    ever write to one folder. It is in a process group of its own: Ctrl-C reaches it once, from the
    launcher, and not twice.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: str,
        locks: Sequence[int],
        environment: Mapping[str, str],
    ) -> None:
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=list(locks),
                preexec_fn=end_with_parent(),
                env={**os.environ, **environment},
            )
        for lock in locks:
            os.close(lock)

    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        found = self._process.poll()
        if found is not None:
            self._signal_group(signal.SIGKILL)  # what it has left behind
        return found

    def send(self, number: int) -> None:
        """Hands a signal on to it."""
        self._process.send_signal(number)

    def end(self) -> None:
        """Asks it to save and stop, and waits until it has."""
        self.send(signal.SIGTERM)
        self._process.wait()
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def take_lock(path: str) -> int | None:
    """Opens and locks a file; None if another process has it.

    Where the file system has no locks, as some of buckets and networks, there is nothing to wait
    for and nobody to be kept out.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:
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
    """
    if not devices:
        return {}
    return {
        "CUDA_VISIBLE_DEVICES": _share("CUDA_VISIBLE_DEVICES", slot, devices),
        "TPU_VISIBLE_CHIPS": _share("TPU_VISIBLE_CHIPS", slot, devices),
        "TPU_CHIPS_PER_PROCESS_BOUNDS": "1,1,1",
        "TPU_PROCESS_BOUNDS": "1,1,1",
    }


def _share(variable: str, slot: int, devices: int) -> str:
    given = [word for word in os.environ.get(variable, "").split(",") if word]
    if given and len(given) < devices:
        raise UserError(
            f"--devices={devices}, but {variable} shows {len(given)}; give --devices={len(given)}."
        )
    return given[slot] if given else str(slot)
