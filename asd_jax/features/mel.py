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


def hz_to_mel(hz: np.ndarray | float, *, scale: str) -> np.ndarray:
    """Frequencies in Hz of any shape to mel, on the `slaney` or the `htk` scale."""
    hz = np.asarray(hz, np.float64)
    if scale == "htk":
        return np.asarray(2595.0 * np.log10(1.0 + hz / 700.0))
    log_part = _BREAK_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz < _BREAK_HZ, hz / _LINEAR_HZ_PER_MEL, log_part)


def mel_to_hz(mel: np.ndarray | float, *, scale: str) -> np.ndarray:
    """Mel of any shape to frequency in Hz, the inverse of `hz_to_mel`."""
    mel = np.asarray(mel, np.float64)
    if scale == "htk":
        return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))
    log_part = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _BREAK_MEL) - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _LINEAR_HZ_PER_MEL, log_part)


def mel_edges(*, n_mels: int, fmin: float, fmax: float, scale: str) -> Float[np.ndarray, "edges"]:
    """The `n_mels + 2` corners in Hz: filter i rises from i, peaks at i + 1, ends at i + 2."""
    low, high = hz_to_mel(fmin, scale=scale), hz_to_mel(fmax, scale=scale)
    return mel_to_hz(np.linspace(low, high, n_mels + 2), scale=scale)


def mel_filterbank(
    *, sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float, scale: str, norm: str
) -> Float[np.ndarray, "mels bins"]:
    """Triangular filters over the bins of a real FFT, equal to `librosa.filters.mel`.

    Args:
        sample_rate: in Hz.
        n_fft: length of the FFT; the result has `n_fft // 2 + 1` bins.
        n_mels: number of filters.
        fmin: lowest frequency in Hz.
        fmax: highest frequency in Hz.
        scale: `slaney` or `htk`.
        norm: `slaney` (each filter has the same area in Hz) or `none` (each has peak 1).

    Returns:
        Weights in float32. A filter that falls between two bins is all zero; the caller checks.
    """
    bins = np.fft.rfftfreq(n_fft, 1.0 / sample_rate)
    edges = mel_edges(n_mels=n_mels, fmin=fmin, fmax=fmax, scale=scale)
    left, peak, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins - left) / (peak - left), (right - bins) / (right - peak))
    weights = np.maximum(0.0, triangles)
    if norm == "slaney":
        weights *= 2.0 / (right - left)
    return weights.astype(np.float32)


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
