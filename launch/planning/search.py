"""The largest batch that fits, by compiling: few tries, for each may take minutes. Pure Python."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Found:
    """What is known of a chip's batch.

    Attributes:
        fits: the largest that was seen to fit; 0 if none was.
        fails: the smallest that was seen not to fit; 0 if none was.
    """

    fits: int
    fails: int


def largest_batch(
    needs: Callable[[int], float | None], *, memory: float, start: int, most: int, tries: int
) -> Found:
    """Looks for the largest batch a chip, guided by a straight line through what was seen.

    Args:
        needs: bytes that a batch of so many clips a chip needs, by compiling it; None ends the
            search.
        memory: bytes of a chip.
        start: the batch to begin with.
        most: more than this need not be tried.
        tries: compilations, the first one included.
    """
    seen: dict[int, float] = {}
    guess = start
    for _ in range(tries):
        size = needs(guess)
        if size is None:
            break
        seen[guess] = size
        fits, fails = _known(seen, memory)
        if fits >= most or (fails and fails - fits <= max(1, fits // 16)):
            break
        guess = _next(seen, memory, fits, fails, most)
        if guess in seen or fits < guess <= fits + fits // 16:
            break
    return Found(*_known(seen, memory))


def _known(seen: dict[int, float], memory: float) -> tuple[int, int]:
    fits = max((number for number, size in seen.items() if size <= memory), default=0)
    return fits, min((number for number, size in seen.items() if size > memory), default=0)


def _next(seen: dict[int, float], memory: float, fits: int, fails: int, most: int) -> int:
    if len(seen) == 1:
        (number, size), *_ = seen.items()
        guess = int(0.95 * number * memory / size)
    else:
        (a, low), (b, high) = sorted(seen.items())[-2:]
        slope = max((high - low) / (b - a), 1.0)
        guess = int(a + (memory - low) / slope)
    grain = 2 ** max(0, (guess // 16).bit_length() - 1)  # compilers tile powers of two best
    guess = guess // grain * grain
    top = fails - 1 if fails else most
    return max(fits + 1, 1, min(guess, top)) if fits < top else fits
