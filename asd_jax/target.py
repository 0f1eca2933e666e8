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
def _set(variable: contextvars.ContextVar[str | None], value: str) -> Iterator[None]:
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


def implementation(form: str) -> contextlib.AbstractContextManager[None]:
    """Traces the operations inside the block in one form, whatever the platform; see `models.ops`.

    A function that is already traced does not change.
    """
    return _set(_form, form)


def form() -> str | None:
    """The form that is asked for whatever the platform, or None."""
    return _form.get()
