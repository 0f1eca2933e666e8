"""Matrices of minimal filtering: m results of three taps by m + 2 products (Winograd 1980).

A tile of m + 2 numbers and the three taps are seen as polynomials and evaluated at m + 1 points and
at infinity (Toom and Cook); there they are multiplied, and the results interpolated.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

KERNEL_SIZE = 3


class Filtering(NamedTuple):
    """`results @ ((kernel @ filter) * (inputs @ tile))` is the correlation of tile and filter.

    Attributes:
        inputs: of a tile, for the products.
        kernel: of the filter, for the products.
        results: of the products.
    """

    inputs: Float[np.ndarray, "products products"]
    kernel: Float[np.ndarray, "products 3"]
    results: Float[np.ndarray, "step products"]

    @property
    def step(self) -> int:
        """Results of a tile, and so from one tile to the next."""
        return len(self.results)

    @property
    def products(self) -> int:
        """Products of a tile, and its numbers."""
        return len(self.inputs)


def filtering(points: tuple[float, ...]) -> Filtering:
    """The matrices from the finite points: equation 4 of Barabasz et al. (2018), transposed.

    Row j of `inputs` has the coefficients of the polynomial that is 0 at all other points; the
    last, for infinity, of the one that is 0 at all of them.
    """
    finite, step = np.array(points), len(points) - KERNEL_SIZE + 2
    others = [np.delete(finite, j) for j in range(len(points))]
    inputs = np.zeros((len(points) + 1,) * 2)
    inputs[:-1, :-1] = [np.poly(zeros)[::-1] for zeros in others]
    inputs[-1] = np.poly(finite)[::-1]
    slopes = [np.prod(point - zeros) for point, zeros in zip(finite, others, strict=True)]
    kernel = np.vander(finite, KERNEL_SIZE, increasing=True) / np.array(slopes)[:, None]
    results = np.vander(finite, step, increasing=True).T
    return Filtering(
        inputs,
        np.vstack([kernel, np.eye(KERNEL_SIZE)[-1]]),
        np.hstack([results, np.eye(step)[:, -1:]]),
    )
