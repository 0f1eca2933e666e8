"""Mel filters on Slaney's scale and of equal area, in NumPy: for an interpreter without librosa."""

import numpy as np

STEP = 200.0 / 3  # Hz a mel below 1 kHz
LOG_STEP = np.log(6.4) / 27  # above


def _to_hertz(mel: np.ndarray) -> np.ndarray:
    linear = STEP * mel
    return np.where(mel < 15, linear, 1000.0 * np.exp(LOG_STEP * (mel - 15)))


def filters(rate: int, n_fft: int, mels: int) -> np.ndarray:
    """`[mels, bins]` from 0 Hz to half the rate."""
    top = 15 + np.log(rate / 2 / 1000.0) / LOG_STEP
    edges = _to_hertz(np.linspace(0, top, mels + 2))
    bins = np.linspace(0, rate / 2, n_fft // 2 + 1)
    rise = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    area = 2.0 / (edges[2:] - edges[:-2])
    return (np.maximum(0, np.minimum(rise, fall)) * area[:, None]).astype(np.float32)
