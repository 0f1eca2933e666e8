"""Power spectra of centred frames, by FFT or by matrix products."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

_HIGHEST = jax.lax.Precision.HIGHEST


def hann(n_fft: int) -> Float[np.ndarray, "n_fft"]:
    """The periodic Hann window, in float64."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft)


def power_by_fft(
    wave: Float[Array, "batch samples"], *, n_fft: int, hop_length: int
) -> Float[Array, "batch frames bins"]:
    """|X|^2 of Hann-windowed frames centred on every `hop_length`-th sample, by a real FFT.

    The clip is padded with zeros by half a frame on both sides, as librosa pads.
    """
    frames = _gather(_pad(wave, n_fft), _starts(wave, hop_length) + jnp.arange(n_fft))
    spectrum = jnp.fft.rfft(frames * jnp.asarray(hann(n_fft), jnp.float32))
    return jnp.square(spectrum.real) + jnp.square(spectrum.imag)


def power_by_matmul(
    wave: Float[Array, "batch samples"], *, n_fft: int, hop_length: int
) -> Float[Array, "batch frames bins"]:
    """The same as `power_by_fft` with nothing but gathers and matrix products.

    For exported files (an ONNX DFT with a free batch size does not load in onnxruntime) and for
    chips that multiply matrices faster than they transform. Real input makes the cosine part
    even and the sine part odd in n -> n_fft - n, so folding each frame halves the work.
    """
    padded, starts = _pad(wave, n_fft), _starts(wave, hop_length)
    half = n_fft // 2
    ahead = _gather(padded, starts + jnp.arange(half + 1))
    # Sample n_fft - n; for n = 0 and n = half, their own mirrors, the matrix holds the half weight.
    behind = _gather(padded, starts + (n_fft - jnp.arange(half + 1)) % n_fft)
    cosine, sine = _folded_dft(n_fft)
    real = jnp.matmul(ahead + behind, cosine, precision=_HIGHEST)
    imag = jnp.matmul(ahead - behind, sine, precision=_HIGHEST)
    return jnp.square(real) + jnp.square(imag)


@functools.lru_cache(maxsize=4)
def _folded_dft(n_fft: int) -> tuple[np.ndarray, np.ndarray]:
    """Windowed cosine and sine matrices `[n_fft // 2 + 1, bins]` for folded frames."""
    n = np.arange(n_fft // 2 + 1)
    # Reduced in integers first: n * k reaches a million turns, and the sine would lose digits.
    phase = 2.0 * np.pi * (np.outer(n, n) % n_fft) / n_fft
    weight = hann(n_fft)[n] * np.where((n == 0) | (n == n_fft // 2), 0.5, 1.0)
    cosine, sine = weight[:, None] * np.cos(phase), weight[:, None] * np.sin(phase)
    return cosine.astype(np.float32), sine.astype(np.float32)


def _pad(wave: Float[Array, "batch samples"], n_fft: int) -> Float[Array, "batch padded"]:
    return jnp.pad(wave, ((0, 0), (n_fft // 2, n_fft // 2)))


def _starts(wave: Float[Array, "batch samples"], hop_length: int) -> Int[Array, "frames 1"]:
    """Where the frames begin in the padded clip.

    Counted in the program: as a constant, the table of all indices is read from memory each time.
    """
    return (jnp.arange(1 + wave.shape[1] // hop_length) * hop_length)[:, None]


def _gather(
    padded: Float[Array, "batch padded"], index: Int[Array, "frames n"]
) -> Float[Array, "batch frames n"]:
    # The indices are in bounds by construction; saying so spares XLA a clamp for every element.
    return padded.at[:, index].get(mode="promise_in_bounds")
