"""A trace of a few steps of each stage, for `--profile=DIR`."""

import contextlib
import os
from collections.abc import Callable, Iterator

import jax

from asd_jax.errors import UserError

WARM = 5  # steps before the trace: compiling, and the allocator's first growth
STEPS = 3  # in the trace

_folder: str | None = None


def enable(folder: str) -> None:
    """Has every stage from here on leave a trace in a folder of its name below `folder`.

    Raises:
        UserError: the folder cannot be written.
    """
    global _folder
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise UserError(f"--profile={folder} cannot be written: {error.strerror}.") from error
    _folder = folder


class Trace:
    """Turns the profiler on and off as the steps of one stage pass."""

    def __init__(self, folder: str, stage: str, total: int) -> None:
        """`total` is the number of steps to come; a short stage is traced from an earlier one."""
        self._folder, self._stage = os.path.join(folder, stage), stage
        self._first = max(0, min(WARM, total - STEPS))
        self._done, self._running = 0, False
        if not self._first:
            self.open()

    def step(self, result: jax.Array) -> None:
        """Call it after each step with something that the step computes."""
        self._done += 1
        if self._running and self._done == self._first + STEPS:
            self.close(result)
        elif not self._running and self._done == self._first:
            jax.block_until_ready(result)
            self.open()

    def open(self) -> None:
        """Starts the trace. Python's own calls are left out: they would be most of the file."""
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0
        jax.profiler.start_trace(self._folder, profiler_options=options)
        self._running = True

    def close(self, result: jax.Array | None = None) -> None:
        """Ends the trace, if it runs, and says where it lies."""
        if not self._running:
            return
        jax.block_until_ready(result)
        jax.profiler.stop_trace()
        self._running = False
        print(
            f"Stage {self._stage}: {self._done - self._first} steps are traced in {self._folder}; "
            "open the .trace.json.gz in it at ui.perfetto.dev.",
            flush=True,
        )


@contextlib.contextmanager
def traced(stage: str, total: int) -> Iterator[Callable[[jax.Array], None]]:
    """Traces the stage, if that was asked for; what it gives is to be called after each step."""
    if _folder is None or total < 1:
        yield lambda result: None
        return
    trace = Trace(_folder, stage, total)
    try:
        yield trace.step
    finally:
        trace.close()
