"""Compiling a step while another one trains."""

import contextvars
import dataclasses
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from asd_jax import memory
from asd_jax.train.state import TrainState
from asd_jax.train.step import Step

THREAD = "compile ahead"  # the name of its threads


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
    """Makes programs in the order in which they are asked for, beside the caller.

    Compilation keeps one core and a half busy, as training does, and neither waits for the other.
    Tracing is Python, and keeps one: so the next program is traced while one is compiled.
    """

    def __init__(self) -> None:
        self._tracing, self._compiling = (ThreadPoolExecutor(1, THREAD) for _ in range(2))

    def prepare(self, lower: Callable[[], jax.stages.Lowered]) -> Callable[[], Any]:
        """Begins to make the program that `lower` traces.

        Returns:
            a function that waits for the program, or raises what went wrong with it.
        """
        # A form of operations that the caller chose (`models.ops`) holds for the thread too.
        lowered = self._tracing.submit(contextvars.copy_context().run, lower)
        return self._compiling.submit(_compiled, lowered).result

    def close(self) -> None:
        """Ends the threads once the programs that were asked for are compiled."""
        self._tracing.shutdown(wait=False)
        self._compiling.shutdown(wait=False)


def _compiled(lowered: Future) -> Any:
    program = lowered.result().compile()
    memory.give_back()
    return program
