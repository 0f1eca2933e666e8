"""Compiling a step while another one trains."""

import contextvars
import dataclasses
import functools
import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from asd_jax import commands, memory
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


class Executable:
    """A program for the devices of a mesh: traced by one thread, compiled by another."""

    def __init__(self, about: Any, mesh: Mesh, lower: Callable[[], jax.stages.Lowered]) -> None:
        """Args: what tells the program from others, its devices, and what traces it."""
        self.about, self.mesh, self._lower = about, mesh, functools.cache(lower)

    def lower(self) -> None:
        """Traces the program; `get` then has only to compile it."""
        self._lower()

    def get(self) -> jax.stages.Compiled:
        """The program, compiled or read from JAX's own cache."""
        program = self._lower().compile()
        self._lower.cache_clear()  # a lowered module takes as much memory as a network
        memory.give_back()
        return program


def batch_shapes(size: int, clip: jax.ShapeDtypeStruct) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and dtypes of a batch of `size` such clips, as the loader gives them."""
    return {
        "wave": jax.ShapeDtypeStruct((size, *clip.shape), clip.dtype),
        "label": jax.ShapeDtypeStruct((size,), np.int32),
    }


class _Worker:
    """A thread that does jobs in the order of their submission.

    It does not keep the program from ending, and ends itself with the last job.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, job: Callable[[], Any]) -> Callable[[], Any]:
        """Takes a job; the function returned waits for its result, or raises what it raised."""
        done: Future = Future()
        context = contextvars.copy_context()
        self._jobs.put(lambda: _settle(done, lambda: context.run(job)))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=commands.AHEAD, daemon=True)
            self._thread.start()
        return done.result

    def close(self) -> None:
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


class Ahead:
    """Makes programs in the order in which they are asked for, beside the caller.

    Compilation keeps one core and a half busy, as training does, and neither waits for the other.
    Tracing is Python, and keeps one: so the next programs are traced while one is compiled.
    """

    def __init__(self) -> None:
        self._tracing, self._compiling = _Worker(), _Worker()
        self._closed = False

    def submit(self, job: Callable[[], Any]) -> Callable[[], Any]:
        """Does a job in its turn among the compilations; returns what waits for its result."""
        if self._closed:
            raise RuntimeError("a job was submitted after the last one")
        return self._compiling.submit(job)

    def prepare(self, program: Executable) -> Callable[[], Any]:
        """Makes a program, as `submit` does a job."""
        traced = self._tracing.submit(program.lower)

        def made() -> Any:
            traced()
            return program.get()

        return self.submit(made)

    def close(self) -> None:
        """No more jobs come: the threads end with those that are there."""
        self._closed = True
        self._tracing.close()
        self._compiling.close()


def _settle(done: Future, job: Callable[[], Any]) -> None:
    try:
        done.set_result(job())
    except BaseException as error:  # whatever it is, it belongs to the one who waits
        done.set_exception(error)
