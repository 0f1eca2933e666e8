"""Evaluates a traced program operation by operation, in forms that converters can read.

Programs of JAX hold calls (`jit`, custom gradients) that say nothing to a file, the same
computation twice, which XLA would find, and pads, which jax2onnx cannot convert where the size of
the batch is free.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer

# Where each kind of call keeps the program that it calls.
CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
    "custom_vmap_call": "call",
}


def evaluate(closed: Any, *arguments: Any) -> list[jax.Array]:
    """The results of a closed jaxpr: calls inlined, nothing twice, pads as concatenations."""
    return _Evaluation().program(closed, arguments)


class _Evaluation:
    """Keeps what was computed, by operation and operands."""

    def __init__(self) -> None:
        self._found: dict[Any, list[Any]] = {}
        self._alive: list[Any] = []  # an id means something only while its object lives

    def program(self, closed: Any, arguments: Sequence[Any]) -> list[Any]:
        jaxpr = closed.jaxpr
        known = dict(zip(jaxpr.constvars, closed.consts, strict=True))
        known |= dict(zip(jaxpr.invars, arguments, strict=True))

        def read(var: Any) -> Any:
            return var.val if hasattr(var, "val") else known[var]

        for equation in _needed(jaxpr):
            results = self._equation(equation, [read(var) for var in equation.invars])
            known |= dict(zip(equation.outvars, results, strict=True))
        return [read(var) for var in jaxpr.outvars]

    def _equation(self, equation: Any, values: list[Any]) -> list[Any]:
        name = equation.primitive.name
        if name in CALLS:
            return self.program(equation.params[CALLS[name]], values)
        key = (name, tuple(map(_identity, values)), repr(sorted(equation.params.items())))
        if key not in self._found:
            self._alive += values
            self._found[key] = _bind(equation, values)
        return self._found[key]


def _needed(jaxpr: Any) -> list[Any]:
    """The operations that the results depend on, in order."""
    wanted = {var for var in jaxpr.outvars if not hasattr(var, "val")}
    kept = []
    for equation in reversed(jaxpr.eqns):
        if wanted & set(equation.outvars):
            kept.append(equation)
            wanted |= {var for var in equation.invars if not hasattr(var, "val")}
    return kept[::-1]


def _identity(value: Any) -> Any:
    scalar = not isinstance(value, Tracer) and getattr(value, "ndim", 0) == 0
    return (str(getattr(value, "dtype", type(value))), repr(value)) if scalar else id(value)


def _bind(equation: Any, values: list[Any]) -> list[Any]:
    form = FORMS.get(equation.primitive.name) or equation.primitive.bind
    results = form(*values, **equation.params)
    return list(results) if equation.primitive.multiple_results else [results]


def _pad(x: jax.Array, value: Any, *, padding_config: Any) -> jax.Array:
    """Pads as `lax.pad`, one axis after the other, by joining what lies before and after."""
    if any(between or low < 0 or high < 0 for low, high, between in padding_config):
        return lax.pad_p.bind(x, value, padding_config=padding_config)
    for axis, (low, high, _) in enumerate(padding_config):
        shapes = [(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in (low, high)]
        before, after = ([jnp.broadcast_to(value, s)] if s[axis] else [] for s in shapes)
        if before or after:
            x = lax.concatenate([*before, x, *after], axis)
    return x


FORMS: dict[str, Callable[..., Any]] = {"pad": _pad}
