"""Log-mel spectrograms inside jit: a power and a magnitude channel, equal to librosa's."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int16

from asd_jax.features import mel
from asd_jax.features.decibel import db_to_power, magnitude_to_db, power_to_db
from asd_jax.features.settings import LogMel, filterbank
from asd_jax.features.spectrum import power_spectrum

__all__ = [
    "LogMel",
    "db_to_power",
    "frame_times",
    "log_mel",
    "magnitude_to_db",
    "mel_frequencies",
    "mel_power",
    "num_frames",
    "power_to_db",
    "to_float",
]

_HIGHEST = jax.lax.Precision.HIGHEST


def to_float(
    wave: Int16[Array, "*batch samples"] | Float[Array, "*batch samples"],
) -> Float[Array, "*batch samples"]:
    """Converts 16-bit samples to float32 in [-1, 1); keeps a float waveform."""
    if jnp.issubdtype(wave.dtype, jnp.floating):
        return wave
    return wave.astype(jnp.float32) / 32768.0


def num_frames(samples: int, spec: LogMel) -> int:
    """Counts the frames of a clip of so many samples (frames are centred)."""
    return 1 + samples // spec.hop_length


def mel_frequencies(spec: LogMel) -> Float[np.ndarray, "mels"]:
    """Returns the peak of each mel filter, in Hz."""
    return mel.mel_edges(sample_rate=spec.sample_rate, n_mels=spec.n_mels)[1:-1]


def frame_times(spec: LogMel, frames: int) -> Float[np.ndarray, "frames"]:
    """The middle of each frame, in seconds from the start of the clip."""
    return np.arange(frames) * spec.hop_length / spec.sample_rate


def mel_power(
    wave: Float[Array, "batch samples"], *, spec: LogMel
) -> Float[Array, "batch mels frames"]:
    """The linear mel power spectrogram mel(|X|^2), as librosa's `melspectrogram` (power 2)."""
    return _filtered(_band_powers(wave, spec), spec).swapaxes(1, 2)


def log_mel(
    wave: Float[Array, "batch samples"], *, spec: LogMel
) -> Float[Array, "batch mels frames channels"]:
    """Log-mel features in dB, one channel for each entry of `spec.channels`.

    Liao et al. (2025), sections 2.2 and 2.4: a log-mel power and a log-mel magnitude spectrogram,
    side by side as channels. Frames are centred and padded with zeros; nothing is cut by `top_db`.

    Args:
        wave: float waveform, see `to_float`.
        spec: the front end's settings.

    Returns:
        Levels in dB in float32, at least -100 dB.
    """
    powers = _band_powers(wave, spec)
    levels = []
    for channel in spec.channels:
        if channel == "power":
            levels.append(power_to_db(_filtered(powers, spec)))
        else:
            # The square root has no slope at zero; the tiny floor keeps gradients finite.
            magnitudes = [jnp.sqrt(jnp.maximum(power, 1e-20)) for power in powers]
            levels.append(magnitude_to_db(_filtered(magnitudes, spec)))
    # Logarithms first: fused with the transposition they would be taken one by one.
    return jnp.stack([level.swapaxes(1, 2) for level in levels], axis=-1)


@functools.lru_cache(maxsize=8)
def bands(spec: LogMel) -> tuple[mel.Band, ...]:
    """The mel filters in groups, each with the few FFT bins that it touches."""
    return mel.banded(filterbank(spec))


def _band_powers(
    wave: Float[Array, "batch samples"], spec: LogMel
) -> list[Float[Array, "batch frames _"]]:
    """|X|^2 of the bins of each of `bands`."""
    power = power_spectrum(wave, n_fft=spec.n_fft, hop_length=spec.hop_length)
    return [power[..., band.start : band.stop] for band in bands(spec)]


def _filtered(
    spectra: Sequence[Float[Array, "batch frames _"]], spec: LogMel
) -> Float[Array, "batch frames mels"]:
    """The filters applied to the bins of each of `bands`."""
    groups = [
        jnp.matmul(spectrum, band.weights, precision=_HIGHEST)
        for spectrum, band in zip(spectra, bands(spec), strict=True)
    ]
    return jnp.concatenate(groups, axis=-1)
