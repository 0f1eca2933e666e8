"""Spectrogram pictures for image networks: waveform in, `[batch, height, width, 3]` out, in jit.

Sun (2025) compares four kinds (table 6, figure 4). Their names are the titles of librosa's plots;
how they were computed is not stated. The readings here:

- `spectrogram`: linear frequency in dB as `matplotlib.pyplot.specgram` draws it, frames of 256
  samples every 128;
- `mel`, `log_frequency`, `linear_frequency`: librosa's plots, frames of 2048 samples every 512; the
  log-frequency axis is that of `librosa.display.specshow(y_axis='log')`.

So `spectrogram` and `linear_frequency` differ in nothing but the length of the frames.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from asd_jax.features.decibel import power_to_db
from asd_jax.features.logmel import mel_power
from asd_jax.features.settings import Picture
from asd_jax.features.spectrum import power_spectrum

QUIET_DB = 100.0  # below 0 dB: what `per_bin` maps to -1
_C2 = 440.0 * 2.0 ** (-33 / 12)  # Hz; librosa's logarithmic axis is linear below this note
_HIGHEST = jax.lax.Precision.HIGHEST


def picture(
    wave: Float[Array, "batch samples"], *, spec: Picture
) -> Float[Array, "batch height width 3"]:
    """A picture of each clip, highest frequency in the top row, values in [-1, 1].

    Levels in dB are scaled to [0, 1] by the clip's own least and greatest (a silent clip becomes
    all 0), perhaps coloured, averaged over the area of each pixel, and moved to [-1, 1], as image
    networks are fed. The level of a recording is thereby lost; its contrast is not. `per_bin`
    keeps it: -100 dB, the least that counts, is -1 and 0 dB is 1 in every clip, and what is
    louder lies above.

    Args:
        wave: float waveform, see `asd_jax.features.logmel.to_float`.
        spec: which picture.
    """
    level = levels(wave, spec=spec)
    if spec.normalise == "per_bin":
        level = 1.0 + level / QUIET_DB
    else:
        level = unit_range(level, top_db=spec.top_db)
    if spec.render == "none":
        gray = _resize(level[..., None], spec)
        pixels = jnp.broadcast_to(gray, (*gray.shape[:3], 3))
    else:
        pixels = _resize(magma(level), spec)
    return 2.0 * pixels - 1.0


def levels(
    wave: Float[Array, "batch samples"], *, spec: Picture
) -> Float[Array, "batch bins frames"]:
    """Levels in dB before any scaling: mel bands for `mel`, the bins of the FFT otherwise."""
    if spec.kind == "mel":
        return power_to_db(mel_power(wave, spec=spec.log_mel))
    n_fft, hop = spec.frame
    power = power_spectrum(wave, n_fft=n_fft, hop_length=hop)
    return power_to_db(power).swapaxes(1, 2)


def unit_range(
    level: Float[Array, "batch bins frames"], *, top_db: float
) -> Float[Array, "batch bins frames"]:
    """Each clip's levels scaled to [0, 1]; nothing counts lower than `top_db` under the loudest."""
    high = level.max(axis=(1, 2), keepdims=True)
    if top_db:
        level = jnp.maximum(level, high - top_db)
    low = level.min(axis=(1, 2), keepdims=True)
    return (level - low) / jnp.maximum(high - low, 1e-6)


def magma(level: Float[Array, "*shape"]) -> Float[Array, "*shape 3"]:
    """The colours, in [0, 1], that matplotlib's map magma gives to levels in [0, 1]."""
    index = jnp.clip((level * 256).astype(jnp.int32), min=0, max=255)
    return jnp.asarray(_magma_table())[index]


@functools.lru_cache(maxsize=1)
def _magma_table() -> Float[np.ndarray, "256 3"]:
    import matplotlib

    return matplotlib.colormaps["magma"](np.arange(256))[:, :3].astype(np.float32)


def _resize(
    image: Float[Array, "batch bins frames channels"], spec: Picture
) -> Float[Array, "batch height width channels"]:
    """The mean over each pixel's area, by one matrix product for each axis; top row highest."""
    rows = row_weights(image.shape[1], spec)[::-1]
    columns = area_weights(image.shape[2], np.linspace(0.0, image.shape[2], spec.size + 1))
    image = jnp.einsum("hb,nbfc->nhfc", rows, image, precision=_HIGHEST)
    return jnp.einsum("wf,nhfc->nhwc", columns, image, precision=_HIGHEST)


def row_weights(bins: int, spec: Picture) -> Float[np.ndarray, "height bins"]:
    """Returns the weights of bins in rows of the picture, lowest first; rows sum to 1."""
    if spec.kind != "log_frequency":
        return area_weights(bins, np.linspace(0.0, bins, spec.size + 1))
    # A bin's level stands for half a bin around it, and the picture ends at the outer bins' middle.
    hz = log_axis_hz(np.linspace(0.0, 1.0, spec.size + 1), top=spec.sample_rate / 2)
    return area_weights(bins, hz / (spec.sample_rate / 2) * (bins - 1) + 0.5)


def area_weights(
    cells: int, edges: Float[np.ndarray, "pixels_and_1"]
) -> Float[np.ndarray, "pixels cells"]:
    """Each pixel's overlap with cells of width 1 on [0, cells], as shares of the pixel."""
    start = np.arange(cells)
    low, high = edges[:-1, None], edges[1:, None]
    overlap = np.clip(np.minimum(high, start + 1) - np.maximum(low, start), 0.0, None)
    return (overlap / (high - low)).astype(np.float32)


def log_axis_hz(height: Float[np.ndarray, "points"], *, top: float) -> Float[np.ndarray, "points"]:
    """Frequencies in Hz at relative heights 0 to 1 of librosa's logarithmic axis up to `top` Hz.

    The axis is matplotlib's `symlog` in base 2: linear up to C2 (65.4 Hz), octaves of equal height
    above, and the linear part as high as one octave.
    """
    linear = 0.5 / (1.0 - 1.0 / 2.0)  # librosa's linscale over matplotlib's (1 - 1 / base)
    full = linear + np.log2(top / _C2)
    position = np.asarray(height, np.float64) * full
    octaves = np.maximum(position - linear, 0.0)
    return np.where(position < linear, _C2 * position / linear, _C2 * 2.0**octaves)
