"""The log-mel of one clip in NumPy: for a picture or a region, where compiling would take longer.

The first call of a compiled front end costs half a second even with a warm cache; this costs
milliseconds. Networks and scores never see it.
"""

import numpy as np
from jaxtyping import Float, Int16

from asd_jax.features.logmel import LogMel, bands
from asd_jax.features.spectrum import hann


def level(wave: Int16[np.ndarray, " samples"], spec: LogMel) -> Float[np.ndarray, "mels frames"]:
    """The power level in dB of 16-bit samples, equal to `log_mel`'s channel `power`."""
    return running_level(np.pad(wave, spec.n_fft // 2), spec)


def running_level(
    wave: Int16[np.ndarray, " samples"], spec: LogMel
) -> Float[np.ndarray, "mels frames"]:
    """The same of the frames that lie wholly in the wave: for sound that goes on."""
    if len(wave) < spec.n_fft:
        return np.zeros((spec.n_mels, 0), np.float32)
    scaled = wave.astype(np.float32) / np.float32(32768)
    frames = np.lib.stride_tricks.sliding_window_view(scaled, spec.n_fft)[:: spec.hop_length]
    spectrum = np.fft.rfft(frames * hann(spec.n_fft).astype(np.float32))
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    groups = [power[:, band.start : band.stop] @ band.weights for band in bands(spec)]
    mels = np.concatenate(groups, axis=1).T
    return (10.0 * np.log10(np.maximum(mels, spec.floor))).astype(np.float32)
