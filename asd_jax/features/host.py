"""The log-mel of one clip in NumPy: for a picture or a region, where compiling would take longer.

The first call of a compiled front end costs half a second even with a warm cache; this costs
milliseconds. Networks and scores never see it.
"""

import numpy as np
from jaxtyping import Float, Int16

from asd_jax.features.logmel import LogMel, bands
from asd_jax.features.spectrum import hann
from asd_jax.features.statistics import LOUD, QUIET, VIEWS


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


def level_views(level: Float[np.ndarray, "mels frames"]) -> Float[np.ndarray, "views mels"]:
    """The views of `statistics.level_views`, from the level in dB."""
    frames = level.shape[1]
    ranked = -np.sort(-level, axis=1)
    change = np.abs(np.diff(level, axis=1)).sum(1) / max(frames - 1, 1)
    found = {
        "mean": level.mean(1),
        "power": 10.0 * np.log10(np.mean(10.0 ** (level.astype(np.float64) / 10.0), axis=1)),
        "loud": ranked[:, : max(1, int(LOUD * frames))].mean(1),
        "quiet": ranked[:, -max(1, int(QUIET * frames)) :].mean(1),
        "changes": 10.0 * np.log10(change + 0.1),
    }
    return np.stack([found[name] for name in VIEWS])
