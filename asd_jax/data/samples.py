"""Waveforms as numbers: full scale at 1, or 16-bit."""

import numpy as np
from jaxtyping import Float, Int16

LOWEST, HIGHEST = -32768, 32767


def to_int16(wave: Float[np.ndarray, "*shape"]) -> Int16[np.ndarray, "*shape"]:
    """Samples with full scale at 1 as 16-bit ones: rounded to even, clipped beyond full scale."""
    return np.clip(_scaled(wave), LOWEST, HIGHEST).astype(np.int16)


def beyond_full_scale(wave: Float[np.ndarray, "*shape"]) -> int:
    """How many samples `to_int16` clips."""
    scaled = _scaled(wave)
    return int(np.count_nonzero((scaled < LOWEST) | (scaled > HIGHEST)))


def _scaled(wave: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    return np.rint(wave * -float(LOWEST))
