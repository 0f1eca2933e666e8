"""Waveforms as numbers: full scale at 1, or 16-bit."""

import numpy as np
from jaxtyping import Float, Int16

LOWEST, HIGHEST = -32768, 32767


def to_int16(wave: Float[np.ndarray, "*shape"]) -> Int16[np.ndarray, "*shape"]:
    """Samples with full scale at 1 as 16-bit ones: rounded to even, clipped beyond full scale."""
    return np.clip(_scaled(wave), LOWEST, HIGHEST).astype(np.int16)


def to_int16_counted(
    wave: Float[np.ndarray, "*shape"],
) -> tuple[Int16[np.ndarray, "*shape"], int]:
    """Like `to_int16`, and how many samples were clipped."""
    scaled = _scaled(wave)
    beyond = int(np.count_nonzero((scaled < LOWEST) | (scaled > HIGHEST)))
    return np.clip(scaled, LOWEST, HIGHEST, out=scaled).astype(np.int16), beyond


def _scaled(wave: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    return np.rint(wave * -float(LOWEST))
