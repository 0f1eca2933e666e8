"""Which form of an operation runs: XLA's own convolutions, or what is faster on a CPU.

XLA's CPU backend has one good convolution kernel: the plain forward one. Depthwise convolutions and
most gradients fall back to scalar loops, far slower than the same sums written as shifted
products and matrix products. GPUs and TPUs have good kernels for all of them.
"""

import contextlib
from typing import Literal

from asd_jax import target

Implementation = Literal["fast", "lax"]


def implementation(name: Implementation) -> contextlib.AbstractContextManager[None]:
    """Traces the operations inside the block as `name`, whatever they are traced for.

    For comparisons; `asd_jax.target` is for programs that another kind of device will run. The
    choice is made while tracing: a function that is already compiled does not change.
    """
    return target.implementation(name)


def chosen() -> Implementation:
    """The form to trace: the override if there is one, else what suits the platform."""
    if (asked := target.form()) in ("fast", "lax"):
        return asked
    return "fast" if target.platform() == "cpu" else "lax"
