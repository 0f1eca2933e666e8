"""Weights in fewer bits: they are stored small, and computed with in float32.

Only the networks' kernels and the scorers' matrices are stored so; the front end, the normaliser,
means, the calibration and the thresholds are few numbers and stay as they are.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

SMALLEST = 256  # an array of fewer numbers is not worth it


class Packed(NamedTuple):
    """A weight array in fewer bits: `values * scale`."""

    values: np.ndarray
    scale: np.ndarray


@dataclasses.dataclass(frozen=True)
class Packing:
    """How a detector's arrays are stored: in 'float32' as they are, in 'float16' or 'int8'."""

    precision: str = "float32"

    def network(self, variables: Any) -> Any:
        """A network's variables with their kernels as `Packed`."""
        return jax.tree.map(lambda x: _pack(x, self.precision, np.ndim(x) - 1), variables)

    def scorers(self, scorers: Any) -> Any:
        """Scorers with their matrices and banks of clips as `Packed`; means stay as they are.

        Never in fewer than 16 bits: a whitening multiplies what is wrong in directions of little
        spread, and the AUC falls.
        """
        precision = "float16" if self.precision == "int8" else self.precision

        def leaf(path: tuple, array: Any) -> Any:
            wanted = getattr(path[-1], "name", "") in ("factor", "factors", "bank")
            return _pack(array, precision, 1) if wanted else array

        return jax.tree_util.tree_map_with_path(leaf, scorers)


def unpack(tree: Any) -> Any:
    """The tree in float32 again, inside a program."""

    def leaf(node: Any) -> Any:
        if not isinstance(node, Packed):
            return node
        return jnp.asarray(node.values).astype(jnp.float32) * node.scale

    return jax.tree.map(leaf, tree, is_leaf=lambda node: isinstance(node, Packed))


def _pack(array: Any, precision: str, shared: int) -> Any:
    """Packs an array; returns it as it is where it is small or not a matrix.

    In int8, `shared` axes before the last share a scale; each index of the last (a filter, a
    direction of a scorer) has its own.
    """
    array = np.asarray(array)
    if precision == "float32" or array.dtype != np.float32:
        return array
    if array.ndim < 2 or array.size < SMALLEST:
        return array
    if precision == "float16":
        # A power of two that brings the largest number near 1: float16 is coarse near 0 and ends
        # at 65504, and a scorer's matrix may lie anywhere.
        scale = np.float32(2.0 ** np.ceil(np.log2(max(float(np.abs(array).max()), 1e-30))))
        return Packed((array / scale).astype(np.float16), np.asarray(scale))
    axes = tuple(range(array.ndim - 1 - shared, array.ndim - 1))
    largest = np.abs(array).max(axis=axes, keepdims=True)
    scale = np.maximum(largest, 1e-30).astype(np.float32) / np.float32(127.0)
    return Packed(np.rint(array / scale).astype(np.int8), scale)
