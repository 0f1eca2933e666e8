"""3 x 3 convolutions by Winograd's minimal filtering F(2 x 2, 3 x 3) (Lavin and Gray 2016).

Tiles of 4 x 4 positions, two apart, give 2 x 2 results each by 16 products instead of 36. Over all
tiles and channels these are 16 matrix products with 4 / 9 of the work; around them are sums of
shifted maps. The gradients are the transposes of the same three transforms. Rounding is no worse:
the factors are 0, 1 and 1 / 2 (64 channels: error 2.6e-7 rms of 1, the direct form 3.7e-7).
"""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from asd_jax.models.ops.products import sum_of_products

Pair = tuple[int, int]
Maps = Float[Array, "batch height width channels"]

# Equation 6 of the paper: of a tile, of the filters, and of the products.
INPUT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], np.float32)
FILTER = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32)
OUTPUT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], np.float32)
POINTS = list(itertools.product(range(4), range(4)))
# Measured: 24 channels are slower than the direct form (43 ms, not 32, for both gradients at
# 8 x 112 x 112), 48 and 64 faster. Nothing between was tried.
NARROWEST = 32


def suits(x: Maps, kernel: Array, stride: Pair, padding: Pair) -> bool:
    """Whether `winograd` can compute this convolution, and its maps are wide enough for it."""
    same = kernel.shape[:2] == (3, 3) and stride == padding == (1, 1)
    return same and min(kernel.shape[2:]) >= NARROWEST and x.dtype == jnp.float32


@jax.custom_vjp
def winograd(x: Maps, kernel: Float[Array, "3 3 channels features"]) -> Array:
    """Cross-correlation with one zero on all sides; `[batch, height, width, features]`."""
    batch, height, width, _ = x.shape
    tiles, features = _tiles(x), kernel.shape[-1]
    products = _products(_seen(x), _filters(kernel))
    products = [part.reshape(batch, *tiles, features) for part in products]
    by_row = [[_sum(row, products[q::4]) for q in range(4)] for row in OUTPUT]
    results = [[_sum(row, line) for row in OUTPUT] for line in by_row]
    return _cut(_interleaved(results), 0, (height, width))


def _forward(x: Array, kernel: Array) -> tuple:
    return winograd(x, kernel), (x, kernel)


def _backward(saved: tuple, dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    back = _spread(dy)
    return _grad_input(back, kernel, x), _grad_kernel(back, x)


winograd.defvjp(_forward, _backward)


def _tiles(x: Array) -> Pair:
    """Numbers of tiles along height and width."""
    return -(-x.shape[1] // 2), -(-x.shape[2] // 2)


def _sum(factors: Float[np.ndarray, "terms"], terms: Sequence[Array]) -> Array:
    """The sum of factor times term, without those whose factor is 0."""
    parts = [
        term if factor == 1 else -term if factor == -1 else float(factor) * term
        for factor, term in zip(factors, terms, strict=True)
        if factor
    ]
    return sum(parts[1:], parts[0])


def _products(left: list[Array], right: Array) -> list[Array]:
    """A matrix product for each of the 16 points; one call for all would first copy them together:
    12.7 ms instead of 9.2 for 256 to 64 channels, 8 x 28 x 28."""
    return [part @ right[p, q] for part, (p, q) in zip(left, POINTS, strict=True)]


def _filters(kernel: Array) -> Float[Array, "4 4 channels features"]:
    return jnp.einsum("pi,qj,ijcf->pqcf", FILTER, FILTER, kernel)


def _seen(x: Maps) -> list[Float[Array, "tiles channels"]]:
    """The transformed tiles, one array for each point."""
    (_, height, width, channels), (rows, columns) = x.shape, _tiles(x)
    around = [(1, 1 + 2 * rows - height), (1, 1 + 2 * columns - width)]
    x = jnp.pad(x, ((0, 0), *around, (0, 0)))

    def every_second(x: Array, first: int, axis: int, count: int) -> Array:
        return lax.slice_in_dim(x, first, first + 2 * count - 1, 2, axis)

    lines = [every_second(x, i, 1, rows) for i in range(4)]
    found = []
    for line in (_sum(row, lines) for row in INPUT):
        taps = [every_second(line, j, 2, columns) for j in range(4)]
        found += [_sum(row, taps).reshape(-1, channels) for row in INPUT]
    return found


def _interleaved(phases: Sequence[Sequence[Array]]) -> Array:
    """Maps of twice the size: position (2 a + r, 2 b + s) from `phases[r][s]` at (a, b)."""
    whole = jnp.stack([jnp.stack(row, axis=3) for row in phases], axis=2)
    batch, rows, _, columns, _, channels = whole.shape
    return whole.reshape(batch, 2 * rows, 2 * columns, channels)


def _cut(x: Maps, first: int, size: Pair) -> Array:
    """`size` positions from `first` on; not by an index, which an unknown batch makes a gather."""
    last = (x.shape[0], first + size[0], first + size[1], x.shape[3])
    return lax.slice(x, (0, first, first, 0), last)


def _spread(dy: Maps) -> list[Float[Array, "tiles features"]]:
    """Gradients of the products, from those of the results."""
    (batch, height, width, features), (rows, columns) = dy.shape, _tiles(dy)
    dy = jnp.pad(dy, ((0, 0), (0, 2 * rows - height), (0, 2 * columns - width), (0, 0)))
    dy = dy.reshape(batch, rows, 2, columns, 2, features)
    lines = [_sum(column, [dy[:, :, i] for i in range(2)]) for column in OUTPUT.T]
    return [
        _sum(column, [line[:, :, :, j] for j in range(2)]).reshape(-1, features)
        for line in lines
        for column in OUTPUT.T
    ]


def _grad_input(back: list[Array], kernel: Array, x: Maps) -> Array:
    """Position 2 a + r of the padded maps is tap r of tile a, and tap r + 2 of the one before."""
    batch, height, width, channels = x.shape
    given = _products(back, _filters(kernel).transpose(0, 1, 3, 2))
    given = [part.reshape(batch, *_tiles(x), channels) for part in given]
    by_row = [[_sum(column, given[q::4]) for q in range(4)] for column in INPUT.T]
    taps = [[_sum(column, line) for column in INPUT.T] for line in by_row]

    def phase(r: int, s: int) -> Array:
        total = jnp.zeros((), x.dtype)
        for i, j in itertools.product(range(2), range(2)):
            beside = [(0, 0, 0), (i, 1 - i, 0), (j, 1 - j, 0), (0, 0, 0)]
            total += lax.pad(taps[r + 2 * i][s + 2 * j], jnp.zeros((), x.dtype), beside)
        return total

    padded = _interleaved([[phase(r, s) for s in range(2)] for r in range(2)])
    return _cut(padded, 1, (height, width))


def _grad_kernel(back: list[Array], x: Maps) -> Array:
    """The tiles are computed again: it takes a tenth of the time of the products."""
    parts = [sum_of_products(seen, part) for seen, part in zip(_seen(x), back, strict=True)]
    found = jnp.stack(parts).reshape(4, 4, *parts[0].shape)
    return jnp.einsum("pi,qj,pqcf->ijcf", FILTER, FILTER, found)
