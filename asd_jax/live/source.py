"""Bytes as they come from a pipe, and the pauses between them."""

import os
import queue
import threading
from collections.abc import Callable, Iterator

_CHUNK = 1 << 16  # bytes read at once, at most
_WAITING = 64  # chunks that may wait; then the sender is held back
_LOOK = 0.2  # s between looks at whether to stop


def chunks(
    descriptor: int, *, gap: float, stopped: Callable[[], bool] = lambda: False
) -> Iterator[bytes | None]:
    """What arrives at a file descriptor, until its end or until `stopped()`.

    Args:
        descriptor: open for reading, such as that of standard input.
        gap: seconds without a byte that count as a pause.
        stopped: is asked several times a second.

    Yields:
        chunks of bytes, and None once for each pause, while it still lasts.
    """
    waiting: queue.Queue[bytes] = queue.Queue(_WAITING)
    # A thread, because `select` knows no pipes on Windows. It is not waited for: it may be blocked
    # in a read that never returns.
    threading.Thread(target=_read, args=(descriptor, waiting), daemon=True).start()
    silent = 0.0
    while not stopped():
        try:
            chunk = waiting.get(timeout=min(_LOOK, gap))
        except queue.Empty:
            before, silent = silent, silent + min(_LOOK, gap)
            if before < gap <= silent:
                yield None
            continue
        silent = 0.0
        if not chunk:
            return
        yield chunk


def _read(descriptor: int, waiting: "queue.Queue[bytes]") -> None:
    while True:
        try:
            chunk = os.read(descriptor, _CHUNK)
        except OSError:  # the other end is gone
            chunk = b""
        waiting.put(chunk)
        if not chunk:
            return
