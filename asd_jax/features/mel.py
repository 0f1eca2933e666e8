"""The mel scale and its triangular filters, in NumPy: constants of the front end, never traced."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

# Slaney's auditory toolbox (1998): linear below 1 kHz, logarithmic above, 27 steps for 6.4 kHz.
_LINEAR_HZ_PER_MEL = 200.0 / 3.0
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


class Band(NamedTuple):
    """Neighbouring mel filters and the few spectrum bins that they look at.

    Attributes:
        start: first spectrum bin of the band.
        stop: one past the last spectrum bin.
        weights: the filters' weights over these bins, `[stop - start, filters]`.
    """

    start: int
    stop: int
    weights: np.ndarray


def hz_to_mel(hz: np.ndarray | float) -> np.ndarray:
    """Frequencies in Hz of any shape to mel, on Slaney's scale."""
    hz = np.asarray(hz, np.float64)
    log_part = _BREAK_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz < _BREAK_HZ, hz / _LINEAR_HZ_PER_MEL, log_part)


def mel_to_hz(mel: np.ndarray | float) -> np.ndarray:
    """Mel of any shape to frequency in Hz, the inverse of `hz_to_mel`."""
    mel = np.asarray(mel, np.float64)
    log_part = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _BREAK_MEL) - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _LINEAR_HZ_PER_MEL, log_part)


def mel_edges(*, sample_rate: int, n_mels: int) -> Float[np.ndarray, "edges"]:
    """The `n_mels + 2` corners in Hz: filter i rises from i, peaks at i + 1, ends at i + 2."""
    return mel_to_hz(np.linspace(0.0, hz_to_mel(sample_rate / 2), n_mels + 2))


def mel_filterbank(*, sample_rate: int, n_fft: int, n_mels: int) -> Float[np.ndarray, "mels bins"]:
    """Triangular filters of equal area over the bins of a real FFT, `librosa.filters.mel`'s.

    Args:
        sample_rate: in Hz; the filters reach from 0 to its half.
        n_fft: length of the FFT; the result has `n_fft // 2 + 1` bins.
        n_mels: number of filters.

    Returns:
        Weights in float32. A filter that falls between two bins is all zero; the caller checks.
    """
    bins = np.fft.rfftfreq(n_fft, 1.0 / sample_rate)
    edges = mel_edges(sample_rate=sample_rate, n_mels=n_mels)
    left, peak, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins - left) / (peak - left), (right - bins) / (right - peak))
    return (np.maximum(0.0, triangles) * 2.0 / (right - left)).astype(np.float32)


def banded(filterbank: Float[np.ndarray, "mels bins"], *, size: int = 16) -> tuple[Band, ...]:
    """Cuts a filterbank into groups of neighbouring filters over their non-zero bins alone.

    Nearly all of the dense matrix is zero, and after the FFT its product is the dearest part of
    a log-mel: 14 groups of 16 do about a fourteenth of the multiplications. Groups of 16 fill a
    vector register of 512 bits.
    """
    bands = []
    for rows in np.array_split(np.arange(len(filterbank)), -(-len(filterbank) // size)):
        used = np.flatnonzero(filterbank[rows].any(axis=0))
        start, stop = int(used[0]), int(used[-1]) + 1
        bands.append(Band(start, stop, np.ascontiguousarray(filterbank[rows, start:stop].T)))
    return tuple(bands)
