"""The statistics branch's views of a clip: five ways to reduce sound over time to a few numbers."""

import functools
import itertools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from asd_jax.features import mel
from asd_jax.features.decibel import power_to_db
from asd_jax.features.logmel import mel_power
from asd_jax.features.ranking import loudest_first
from asd_jax.features.settings import LogMel
from asd_jax.features.spectrum import power_spectrum

VIEWS = ("mean", "power", "quiet", "loud", "rhythm")
WEIGHTS = (1.0, 1.0, 1.0, 0.35, 0.35)
LOUD, QUIET = 0.1, 0.3  # shares of the frames

# What strikes lasts milliseconds: frames of 16 ms, half of them new, in fewer bands.
SHORT_SECONDS = 0.016
SHORT_MELS = 32

RHYTHM_BANDS = 4
RHYTHM_FRAMES = 256  # short frames whose levels are transformed together: about two seconds
# Bins of that transform, in steps of half an octave
RHYTHM_EDGES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
RHYTHM_FLOOR = 1e-2  # in dB^2: below what the level of any recording fluctuates by


def clip_views(wave: Float[Array, "batch samples"], *, spec: LogMel) -> Float[Array, "batch dim"]:
    """Five views of how the level of each band behaves over a clip, in the order of `VIEWS`.

    No pooling over time is right for every machine: the mean loses a fault that strikes now and
    then, the loud moments belong to the background where that comes in bursts, the quiet ones to
    none where the machine only strikes, and none of them shows a rhythm that falters. So all are
    taken, and the scorer ('views') adds what each of them finds odd without choosing.

    Args:
        wave: float waveform, see `to_float`.
        spec: of the long frames; the short ones depend on the sample rate alone.

    Returns:
        In dB, side by side, `view_sizes` of each: of long frames the mean level, the level of the
        mean power, and the mean of the quietest `QUIET` share of frames, each band for itself; of
        short frames the mean of the loudest `LOUD` share; and of these the modulation spectrum.
    """
    power, short = mel_power(wave, spec=spec), mel_power(wave, spec=short_frames(spec.sample_rate))
    level = power_to_db(power)
    found = {
        "mean": level.mean(-1),
        "power": power_to_db(power.mean(-1)),
        "quiet": _share(loudest_first(level)[..., ::-1], QUIET),
        "loud": _share(loudest_first(power_to_db(short)), LOUD),
        "rhythm": rhythm(short),
    }
    return jnp.concatenate([found[name] for name in VIEWS], axis=-1)


def view_sizes(dim: int) -> tuple[int, ...]:
    """How many of `dim` numbers each of `VIEWS` has."""
    short = (SHORT_MELS, RHYTHM_BANDS * (len(RHYTHM_EDGES) - 1))
    mels = (dim - sum(short)) // 3
    return (mels, mels, mels, *short)


def rhythm(mel: Float[Array, "batch mels frames"]) -> Float[Array, "batch dim"]:
    """How much the level of a few broad bands fluctuates, by how often a second.

    The modulation spectrum: the power spectrum of a band's level in dB about its mean, averaged
    over windows of `RHYTHM_FRAMES` frames that overlap by half (Welch, "The use of fast Fourier
    transform for the estimation of power spectra", 1967), and over half an octave.

    Args:
        mel: linear power; `mels` is a multiple of `RHYTHM_BANDS`.

    Returns:
        `RHYTHM_BANDS` times 13 half octaves, in dB.
    """
    batch, mels, frames = mel.shape
    band = power_to_db(mel.reshape(batch, RHYTHM_BANDS, mels // RHYTHM_BANDS, frames).mean(2))
    about = (band - band.mean(-1, keepdims=True)).reshape(-1, frames)
    spectrum = power_spectrum(about, n_fft=RHYTHM_FRAMES, hop_length=RHYTHM_FRAMES // 2).mean(1)
    octaves = [spectrum[:, low:high].mean(-1) for low, high in itertools.pairwise(RHYTHM_EDGES)]
    fluctuation = jnp.stack(octaves, axis=-1) / RHYTHM_FRAMES
    return 10.0 * jnp.log10(fluctuation + RHYTHM_FLOOR).reshape(batch, -1)


@functools.lru_cache(maxsize=8)
def short_frames(sample_rate: int) -> LogMel:
    """The short frames: the least power of two of samples, where each band has a bin."""
    n_fft = 2
    while n_fft < SHORT_SECONDS * sample_rate or _empty(n_fft, sample_rate):
        n_fft *= 2
    return LogMel(SHORT_MELS, n_fft, n_fft // 2, sample_rate=sample_rate)


def _empty(n_fft: int, sample_rate: int) -> bool:
    """Whether a mel filter lies between two bins."""
    filters = mel.mel_filterbank(
        sample_rate=sample_rate,
        n_fft=n_fft,
        n_mels=SHORT_MELS,
        fmin=0.0,
        fmax=sample_rate / 2,
        scale="slaney",
        norm="slaney",
    )
    return bool(np.any(~filters.any(axis=1)))


def _share(ranked: Float[Array, "batch mels frames"], share: float) -> Float[Array, "batch mels"]:
    """The mean of the first share of frames, of one at least."""
    return ranked[..., : max(1, int(share * ranked.shape[-1]))].mean(-1)
