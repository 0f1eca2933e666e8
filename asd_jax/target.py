"""The kind of device that is traced for: this process's own, or one that is not there.

Some operations take a form that is fast where they run (`models.ops`, the Fourier transforms of
`features`). They ask here, so that a program compiled ahead of time gets the form of its target.
"""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any, Literal

import jax

Implementation = Literal["fast", "lax"]  # of an operation: what is faster on a CPU, or XLA's own

_override: contextvars.ContextVar[str | None] = contextvars.ContextVar("platform", default=None)
_form: contextvars.ContextVar[Implementation | None] = contextvars.ContextVar("form", default=None)


@contextlib.contextmanager
def _set(variable: contextvars.ContextVar, value: Any) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def compiling_for(platform: str) -> contextlib.AbstractContextManager[None]:
    """Traces the operations inside the block for "cpu", "gpu", "tpu" or "onnx", a file's runtime.

    A function that is already traced does not change.
    """
    return _set(_override, platform)


def platform() -> str:
    """Returns the platform that operations are traced for: the override, or the default backend."""
    return _override.get() or jax.default_backend()


def implementation(name: Implementation) -> contextlib.AbstractContextManager[None]:
    """Traces the operations of `models.ops` inside the block as `name`, whatever the platform.

    For comparisons. A function that is already traced does not change.
    """
    return _set(_form, name)


def form() -> Implementation:
    """The form to trace: the one asked for, else what suits the platform.

    XLA's CPU backend has one good convolution kernel: the plain forward one. Depthwise convolutions
    and most gradients fall back to scalar loops, far slower than the same sums written as shifted
    products and matrix products. GPUs and TPUs have good kernels for all of them.
    """
    return _form.get() or ("fast" if platform() == "cpu" else "lax")
