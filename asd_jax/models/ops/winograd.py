"""3 x 3 convolutions by Winograd's minimal filtering F(m x m, 3 x 3) (Lavin and Gray 2016).

Tiles of m + 2 by m + 2 positions, m apart, give m x m results each by (m + 2)^2 products instead of
9 m^2. Over all tiles and channels these are (m + 2)^2 matrix products, with 4 / 9 of the work for
m = 2 and 1 / 4 for m = 4; around them are sums of shifted maps. The gradients are the transposes of
the same three transforms.

Along an axis, m results of three taps come of m + 2 products (Winograd 1980): a tile of m + 2
numbers and the taps are seen as polynomials and evaluated at m + 1 points and at infinity (Toom and
Cook); there they are multiplied, and the results interpolated.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from asd_jax.models.ops.products import sum_of_products
from asd_jax.types import Maps, Pair

Points = tuple[float, ...]  # see `filtering`
KERNEL_SIZE = 3

# The smaller form for maps of few positions. The larger one's points are of those tried the ones
# with the least rounding, about half of that of Lavin and Gray's 0, 1, -1, 2 and -2.
FORMS: tuple[Points, ...] = ((0, 1, -1), (0, 5 / 8, -5 / 8, 3 / 2, -3 / 2))
NARROWEST = 32


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


def filtering(points: Points) -> Filtering:
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


def suits(x: Maps, kernel: Array, stride: Pair, padding: Pair) -> bool:
    """Whether `winograd` can compute this convolution, and its maps are wide enough for it.

    The kernel is `[height, width, channels, features]`.
    """
    same = kernel.shape[:2] == (3, 3) and stride == padding == (1, 1)
    return same and min(kernel.shape[2:]) >= NARROWEST and x.dtype == jnp.float32


@jax.custom_vjp
def winograd(x: Maps, kernel: Float[Array, "3 3 channels features"]) -> Array:
    """Cross-correlation with one zero on all sides; `[batch, height, width, features]`."""
    # Inference is faster with the smaller tiles, training with the larger ones.
    return _by_tiles(x, kernel, FORMS[0])


def _fewest_products(x: Maps) -> Points:
    """The form for training."""

    def products(points: Points) -> int:
        form = filtering(points)
        rows, columns = _tiles(form, x)
        return rows * columns * form.products**2

    return min(FORMS, key=products)


def _by_tiles(x: Maps, kernel: Array, points: Points) -> Array:
    form, (batch, height, width, _) = filtering(points), x.shape
    tiles, features = _tiles(form, x), kernel.shape[-1]
    found = _products(_seen(form, x), _filters(form, kernel))
    found = [part.reshape(batch, *tiles, features) for part in found]
    by_column = [_sums(form.results, found[q :: form.products]) for q in range(form.products)]
    phases = [_sums(form.results, line, keep=False) for line in zip(*by_column, strict=True)]
    return _cut(_interleaved(phases), 0, (height, width))


def _forward(x: Array, kernel: Array) -> tuple:
    return _by_tiles(x, kernel, _fewest_products(x)), (x, kernel)


def _backward(saved: tuple, dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    form = filtering(_fewest_products(x))
    back = _spread(form, dy)
    return _grad_input(form, back, kernel, x), _grad_kernel(form, back, x)


winograd.defvjp(_forward, _backward)


def _tiles(form: Filtering, x: Array) -> Pair:
    """Numbers of tiles along height and width."""
    return -(-x.shape[1] // form.step), -(-x.shape[2] // form.step)


def _sum(factors: Float[np.ndarray, "terms"], terms: Sequence[Array]) -> Array:
    """The sum of factor times term, without those whose factor is 0."""
    parts = [
        term if factor == 1 else -term if factor == -1 else float(factor) * term
        for factor, term in zip(factors, terms, strict=True)
        if factor
    ]
    return sum(parts[1:], parts[0])


def _sums(
    matrix: Float[np.ndarray, "sums terms"], terms: Sequence[Array], *, keep: bool = True
) -> list[Array]:
    """A sum for each row of a matrix.

    Kept in memory unless the last on their way: the compiler would compute those along the height
    again for each of those along the width.
    """
    found = [_sum(row, terms) for row in matrix]
    return [lax.optimization_barrier(part) for part in found] if keep else found


def _products(left: Sequence[Array], right: Array) -> list[Array]:
    """A matrix product for each of the points, those of a row of the tile in one call.

    A call for each point is as fast, but XLA reads a compiled program more slowly by far the more
    calls there are; see the benchmarks' README.
    """
    rows = zip(_by_row(left), right, strict=True)
    found = [jnp.einsum("qnc,qcf->qnf", row, filters) for row, filters in rows]
    return [part for row in found for part in jnp.unstack(row)]


def _by_row(parts: Sequence[Array]) -> list[Array]:
    """The points of each row of the tile, stacked."""
    count = math.isqrt(len(parts))
    return [jnp.stack(parts[i : i + count]) for i in range(0, len(parts), count)]


def _filters(form: Filtering, kernel: Array) -> Float[Array, "products products channels features"]:
    factors = form.kernel.astype(kernel.dtype)
    return jnp.einsum("pi,qj,ijcf->pqcf", factors, factors, kernel)


def _seen(form: Filtering, x: Maps) -> list[Float[Array, "tiles channels"]]:
    """The transformed tiles, one array for each point."""
    (_, height, width, channels), (rows, columns) = x.shape, _tiles(form, x)
    around = [(1, 1 + form.step * rows - height), (1, 1 + form.step * columns - width)]
    x = lax.optimization_barrier(jnp.pad(x, ((0, 0), *around, (0, 0))))

    def taps(x: Array, axis: int, count: int) -> list[Array]:
        last = form.step * (count - 1) + 1
        firsts = range(form.products)
        return [lax.slice_in_dim(x, i, i + last, form.step, axis) for i in firsts]

    lines = _sums(form.inputs, taps(x, 1, rows))
    tiles = [_sums(form.inputs, taps(line, 2, columns), keep=False) for line in lines]
    return [part.reshape(-1, channels) for line in tiles for part in line]


def _interleaved(phases: Sequence[Sequence[Array]]) -> Array:
    """Maps of m times the size: position (m a + r, m b + s) from `phases[r][s]` at (a, b)."""
    whole = jnp.stack([jnp.stack(row, axis=3) for row in phases], axis=2)
    batch, rows, step, columns, _, channels = whole.shape
    return whole.reshape(batch, step * rows, step * columns, channels)


def _cut(x: Maps, first: int, size: Pair) -> Array:
    """Cuts `size` positions from `first` on; no index, which an unknown batch makes a gather."""
    last = (x.shape[0], first + size[0], first + size[1], x.shape[3])
    return lax.slice(x, (0, first, first, 0), last)


def _spread(form: Filtering, dy: Maps) -> list[Float[Array, "tiles features"]]:
    """Gradients of the products, from those of the results."""
    (batch, height, width, features), (rows, columns) = dy.shape, _tiles(form, dy)
    step = form.step
    beyond = (0, step * rows - height), (0, step * columns - width)
    dy = jnp.pad(dy, ((0, 0), *beyond, (0, 0))).reshape(batch, rows, step, columns, step, features)
    lines = _sums(form.results.T, [dy[:, :, i] for i in range(step)])
    parts = [[line[:, :, :, j] for j in range(step)] for line in lines]
    tiles = [_sums(form.results.T, line, keep=False) for line in parts]
    return [part.reshape(-1, features) for line in tiles for part in line]


def _grad_input(form: Filtering, back: list[Array], kernel: Array, x: Maps) -> Array:
    (batch, height, width, channels), count = x.shape, form.products
    given = _products(back, _filters(form, kernel).transpose(0, 1, 3, 2))
    given = [part.reshape(batch, *_tiles(form, x), channels) for part in given]
    by_column = [_phases(form, given[q::count], axis=1) for q in range(count)]
    by_column = lax.optimization_barrier(by_column)  # as in `_sums`
    phases = [_phases(form, line, axis=2) for line in zip(*by_column, strict=True)]
    return _cut(_interleaved(phases), 1, (height, width))


def _phases(form: Filtering, given: Sequence[Array], axis: int) -> list[Array]:
    """Returns the gradient of the padded maps, along one axis.

    Position m a + r is tap r of tile a, and, where the tiles overlap, tap r + m of the one before.
    """
    taps = _sums(form.inputs.T, given, keep=False)

    def beside(part: Array, low: int) -> Array:
        sides = [(low, 1 - low, 0) if i == axis else (0, 0, 0) for i in range(part.ndim)]
        return lax.pad(part, jnp.zeros((), part.dtype), sides)

    found = [beside(part, 0) for part in taps[: form.step]]
    for r, part in enumerate(taps[form.step :]):
        found[r] += beside(part, 1)
    return found


def _grad_kernel(form: Filtering, back: list[Array], x: Maps) -> Array:
    """The tiles are computed again: it takes a tenth of the time of the products."""
    rows = zip(_by_row(_seen(form, x)), _by_row(back), strict=True)
    found = jnp.stack([jax.vmap(sum_of_products)(seen, part) for seen, part in rows])
    factors = form.kernel.astype(found.dtype)
    return jnp.einsum("pi,qj,pqcf->ijcf", factors, factors, found)
