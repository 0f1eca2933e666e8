"""How the level of a band fluctuates, by how often a second: its modulation spectrum."""

import functools
import itertools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from asd_jax.features import mel
from asd_jax.features.settings import LogMel
from asd_jax.features.spectrum import power_spectrum

# What strikes lasts milliseconds: frames of 16 ms, half of them new, in fewer bands.
SHORT_SECONDS = 0.016
SHORT_MELS = 32
EDGES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)  # bins, in steps of half an octave
FLOOR = 1e-2  # in dB^2: below what the level of any recording fluctuates by


def modulation_spectrum(
    level: Float[Array, "batch bands time"], *, frames: int
) -> Float[Array, "batch bands rates"]:
    """The power spectrum of each band's level about its mean, by half octaves, in dB.

    Averaged over windows of `frames` frames that overlap by half (Welch, "The use of fast Fourier
    transform for the estimation of power spectra", 1967), and over the bins of half an octave.

    Args:
        level: in dB.
        frames: a power of two of at most 256; the slowest rate is once in so many.
    """
    batch, bands, time = level.shape
    about = (level - level.mean(-1, keepdims=True)).reshape(-1, time)
    spectrum = power_spectrum(about, n_fft=frames, hop_length=frames // 2).mean(1)
    edges = [edge for edge in EDGES if edge <= frames // 2]
    octaves = [spectrum[:, low:high].mean(-1) for low, high in itertools.pairwise(edges)]
    fluctuation = jnp.stack(octaves, axis=-1) / frames
    return 10.0 * jnp.log10(fluctuation + FLOOR).reshape(batch, bands, -1)


@functools.lru_cache(maxsize=8)
def short_frames(sample_rate: int) -> LogMel:
    """The short frames: the least power of two of samples, where each band has a bin."""
    n_fft = 2
    while n_fft < SHORT_SECONDS * sample_rate or _empty(n_fft, sample_rate):
        n_fft *= 2
    return LogMel(SHORT_MELS, n_fft, n_fft // 2, sample_rate=sample_rate)


def _empty(n_fft: int, sample_rate: int) -> bool:
    """Whether a mel filter lies between two bins."""
    filters = mel.mel_filterbank(sample_rate=sample_rate, n_fft=n_fft, n_mels=SHORT_MELS)
    return bool(np.any(~filters.any(axis=1)))
