"""The log-mel of one clip in NumPy: for a picture or a region, where compiling would take longer.

The first call of a compiled front end costs half a second even with a warm cache; this costs
milliseconds. Networks and scores never see it.
"""

import itertools

import numpy as np
from jaxtyping import Float, Int16

from asd_jax.features import modulation, views
from asd_jax.features.logmel import LogMel, bands
from asd_jax.features.settings import FLOOR
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
    return (10.0 * np.log10(np.maximum(mels, FLOOR))).astype(np.float32)


def clip_views(wave: Int16[np.ndarray, " samples"], spec: LogMel) -> Float[np.ndarray, " dim"]:
    """The views of `views.clip_views` of one clip, side by side."""
    long, short = level(wave, spec), level(wave, modulation.short_frames(spec.sample_rate))
    found = {
        "mean": long.mean(1),
        "power": 10.0 * np.log10(np.mean(10.0 ** (long.astype(np.float64) / 10.0), axis=1)),
        "quiet": _share(np.sort(long, axis=1), views.QUIET),
        "loud": _share(-np.sort(-short, axis=1), views.LOUD),
        "rhythm": _rhythm(short.astype(np.float64)),
    }
    return np.concatenate([found[name] for name in views.VIEWS])


def _share(ranked: np.ndarray, share: float) -> np.ndarray:
    return ranked[:, : max(1, int(share * ranked.shape[1]))].mean(1)


def _rhythm(short: Float[np.ndarray, "mels frames"]) -> Float[np.ndarray, " dim"]:
    """The modulation spectrum of `views.rhythm`, from the level in dB."""
    size = views.RHYTHM_FRAMES
    power = (10.0 ** (short / 10.0)).reshape(views.RHYTHM_BANDS, -1, short.shape[1]).mean(1)
    band = 10.0 * np.log10(np.maximum(power, FLOOR))
    padded = np.pad(band - band.mean(1, keepdims=True), ((0, 0), (size // 2, size // 2)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)[:, :: size // 2]
    spectrum = np.square(np.abs(np.fft.rfft(windows * hann(size)))).mean(1) / size
    pairs = itertools.pairwise(modulation.EDGES)
    octaves = np.stack([spectrum[:, low:high].mean(1) for low, high in pairs], axis=1)
    return 10.0 * np.log10(octaves + modulation.FLOOR).ravel()
