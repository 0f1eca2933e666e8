"""The kind of device that is traced for: this process's own, or one that is not there.

Some operations take a form that is fast where they run (`models.ops`, the Fourier transforms of
`features`). They ask here, so that a program compiled ahead of time gets the form of its target.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_override: contextvars.ContextVar[str | None] = contextvars.ContextVar("platform", default=None)
_form: contextvars.ContextVar[str | None] = contextvars.ContextVar("form", default=None)


@contextlib.contextmanager
def compiling_for(platform: str) -> Iterator[None]:
    """Traces the operations inside the block for "cpu", "gpu", "tpu" or "onnx", a file's runtime.

    A function that is already traced does not change.
    """
    token = _override.set(platform)
    try:
        yield
    finally:
        _override.reset(token)


def platform() -> str:
    """What operations are traced for: the override if there is one, else the default backend."""
    return _override.get() or jax.default_backend()


@contextlib.contextmanager
def written_as(form: str) -> Iterator[None]:
    """Traces the operations inside the block in one form, whatever the platform; see `models.ops`.

    A function that is already traced does not change.
    """
    token = _form.set(form)
    try:
        yield
    finally:
        _form.reset(token)


def form() -> str | None:
    """The form that is asked for whatever the platform, or None."""
    return _form.get()
