"""Compiling a step while another one trains."""

import contextvars
import dataclasses
import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import jax
import numpy as np

from asd_jax import commands
from asd_jax.train.executable import Executable
from asd_jax.train.state import TrainState
from asd_jax.train.step import Step

Tree = Any


@dataclasses.dataclass(frozen=True)
class Program:
    """The step of a stage and the shapes that it takes: all that a compiler needs.

    Attributes:
        name: of the stage.
        step: the pure step.
        state: shapes and dtypes of the state, as `jax.eval_shape` has them.
        batch: shapes and dtypes of a batch over all devices.
        total_steps: updates that the stage makes.
    """

    name: str
    step: Step
    state: TrainState
    batch: Mapping[str, jax.ShapeDtypeStruct]
    total_steps: int


def batch_shapes(size: int, clip: jax.ShapeDtypeStruct) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and dtypes of a batch of `size` such clips, as the loader gives them."""
    return {
        "wave": jax.ShapeDtypeStruct((size, *clip.shape), clip.dtype),
        "label": jax.ShapeDtypeStruct((size,), np.int32),
    }


class Ahead:
    """Does jobs in the order of their submission, one after another, beside the caller.

    Compilation keeps one core and a half busy, as training does, and neither waits for the other.
    The thread does not keep the program from ending, and ends itself with the last job.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, job: Callable[[], Any]) -> Callable[[], Any]:
        """Takes a job; the function returned waits for its result, or raises what it raised."""
        done: Future = Future()
        context = contextvars.copy_context()
        if self._closed:
            raise RuntimeError("a job was submitted after the last one")
        self._jobs.put(lambda: _settle(done, lambda: context.run(job)))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=commands.AHEAD, daemon=True)
            self._thread.start()
        return done.result

    def prepare(self, program: Executable) -> Callable[[], Any]:
        """Makes a program or reads it, as `submit` does a job; it is written down afterwards."""
        result = self.submit(program.get)
        self.submit(program.keep)
        return result

    def close(self) -> None:
        """No more jobs come: the thread ends with those that are there."""
        self._closed = True
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


def _settle(done: Future, job: Callable[[], Any]) -> None:
    try:
        done.set_result(job())
    except BaseException as error:  # whatever it is, it belongs to the one who waits
        done.set_exception(error)


def compiled_for(step: Any, state: TrainState, batch: Mapping[str, jax.ShapeDtypeStruct]) -> Any:
    """A jitted step, compiled at once.

    Args:
        step: of `compile_step` or `compile_packed`.
        state: shapes and dtypes, as `jax.eval_shape` has them.
        batch: shapes and dtypes of a batch.
    """
    return step.lower(state, dict(batch)).compile()
