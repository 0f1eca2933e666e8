"""Where in a spectrogram a clip departs most from normal: the one rectangle worth a look."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Shaped

_USUAL = 1.0  # a mean of so many standard deviations over a rectangle is nothing to speak of
_FULL = 12.0  # standard deviations beyond which a bin counts no more: no single bin is a fault
# Of the statistic. Of 40 clips of healthy white noise and tones the largest had 12.6; a tone at
# the noise's own amplitude, a fifth of the clip long, has 33 (tests/live/test_deviation.py).
_LEAST = 14.0
_SIZES = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144)  # bins that are tried first
_LENGTHS = (2, 4, 7, 13, 25, 49, 97, 193)  # frames
_SMALLEST = 6  # bins times frames
_STEPS = (-8, -4, -2, -1, 1, 2, 4, 8)
_ONE_SIDE = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))


@dataclasses.dataclass(frozen=True)
class Region:
    """A rectangle of a spectrogram, as half-open bin and frame ranges."""

    mels: tuple[int, int]
    frames: tuple[int, int]
    mean: float  # signed standard deviations over the rectangle


def find_region(deviation: Shaped[np.ndarray, "mels frames"]) -> Region | None:
    """The rectangle that departs most from normal; None where nothing stands out.

    It is the largest of a penalised scan statistic, (|mean| - 1) sqrt(area), in standard deviations
    and bins: the root weighs a short bang against a faint tone that lasts as their evidence does,
    and the 1 keeps what is spread thinly over all of the clip from winning by its area alone.
    Rectangles of many sizes are tried at every place; the sides of the best are then moved as long
    as that helps.

    Args:
        deviation: distance from normal, in standard deviations of the same bin over normal frames.
    """
    values = np.nan_to_num(np.asarray(deviation, np.float64), posinf=0.0, neginf=0.0)
    sums = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    sums[1:, 1:] = np.clip(values, -_FULL, _FULL).cumsum(0).cumsum(1)
    best, sides = max(_tried(sums))
    if best <= 0.0:
        return None
    best, (low, high, first, last) = _moved(sums, best, sides)
    if best < _LEAST:
        return None
    mean = float(values[low:high, first:last].mean())
    return Region((low, high), (first, last), mean)


Sides = tuple[int, int, int, int]  # lowest and highest bin, first and last frame, half-open


def _tried(sums: Float[np.ndarray, "rows columns"]) -> Iterator[tuple[float, Sides]]:
    """The best place of a rectangle of each size."""
    mels, frames = sums.shape[0] - 1, sums.shape[1] - 1
    smallest = min(_SMALLEST, mels * frames)
    for size in sorted({min(size, mels) for size in (*_SIZES, mels)}):
        strips = sums[size:] - sums[:-size]
        for length in sorted({min(length, frames) for length in (*_LENGTHS, frames)}):
            area = size * length
            if area < smallest:
                continue
            means = np.abs(strips[:, length:] - strips[:, :-length]) / area
            low, first = divmod(int(means.argmax()), means.shape[1])
            found = (float(means.max()) - _USUAL) * area**0.5
            yield found, (low, low + size, first, first + length)


def _moved(
    sums: Float[np.ndarray, "rows columns"], best: float, sides: Sides
) -> tuple[float, Sides]:
    """Moves one side after another as long as the statistic grows."""
    mels, frames = sums.shape[0] - 1, sums.shape[1] - 1
    smallest = min(_SMALLEST, mels * frames)

    def statistic(sides: Sides) -> float:
        low, high, first, last = sides
        area = (high - low) * (last - first)
        if not (0 <= low < high <= mels and 0 <= first < last <= frames and area >= smallest):
            return -np.inf
        total = sums[high, last] - sums[low, last] - sums[high, first] + sums[low, first]
        return (abs(total) / area - _USUAL) * area**0.5

    while True:
        low, high, first, last = sides
        moves = (
            (low + a * step, high + b * step, first + c * step, last + d * step)
            for a, b, c, d in _ONE_SIDE
            for step in _STEPS
        )
        found, moved = max((statistic(move), move) for move in moves)
        if found <= best + 1e-9:
            return best, sides
        best, sides = found, moved
