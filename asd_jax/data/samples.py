"""Waveforms as numbers: full scale at 1, or 16-bit."""

import numpy as np
from jaxtyping import Float, Int16


def to_int16(wave: Float[np.ndarray, "*shape"]) -> Int16[np.ndarray, "*shape"]:
    """Samples with full scale at 1 as 16-bit ones: rounded to even, clipped beyond full scale."""
    return np.clip(np.rint(wave * 32768.0), -32768, 32767).astype(np.int16)
