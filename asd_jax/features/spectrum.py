"""Power spectra of centred frames, by FFT or by matrix products."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from asd_jax import target

MOST_BLOCKS = 16  # of samples that a frame is put together from
_HIGHEST = jax.lax.Precision.HIGHEST


def hann(n_fft: int) -> Float[np.ndarray, "n_fft"]:
    """The periodic Hann window, in float64."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft)


def power_spectrum(
    wave: Float[Array, "batch samples"], *, n_fft: int, hop_length: int
) -> Float[Array, "batch frames bins"]:
    """|X|^2 of Hann-windowed frames: by matrix products for a TPU or a file, else by an FFT."""
    by_products = target.platform() in ("tpu", "onnx")
    form = power_by_two_steps if by_products else power_by_fft
    return form(wave, n_fft=n_fft, hop_length=hop_length)


def power_by_fft(
    wave: Float[Array, "batch samples"], *, n_fft: int, hop_length: int
) -> Float[Array, "batch frames bins"]:
    """|X|^2 of Hann-windowed frames centred on every `hop_length`-th sample, by a real FFT.

    The clip is padded with zeros by half a frame on both sides, as librosa pads.
    """
    spectrum = jnp.fft.rfft(_windowed(wave, n_fft, hop_length))
    return jnp.square(spectrum.real) + jnp.square(spectrum.imag)


def power_by_two_steps(
    wave: Float[Array, "batch samples"], *, n_fft: int, hop_length: int
) -> Float[Array, "batch frames bins"]:
    """The same as `power_by_fft` with nothing but gathers and two small matrix products.

    For chips that multiply matrices faster than they transform, and for exported files: an ONNX DFT
    with a free batch size does not load in onnxruntime. It is one step of Cooley and Tukey (1965):
    with n_fft = p q, n = q a + b and k = c + p d, the inner sum over a is a transform of length p,
    and the outer one over b, once turned by exp(-2 pi i b c / n_fft), a transform of length q. Of a
    real frame only c up to p // 2 is needed: the others' powers are those of n_fft - k.
    """
    p, q = _factors(n_fft)
    steps = _two_steps(p, q)
    frames = _frames(wave, n_fft, hop_length)
    frames = frames.reshape(*frames.shape[:2], p, q) * steps.window
    inner = jnp.matmul(steps.inner, frames, precision=_HIGHEST)  # [batch, frames, 2 c, b]
    real, imag = jnp.split(inner, 2, axis=2)
    turned = (
        real * steps.cosine + imag * steps.sine,
        imag * steps.cosine - real * steps.sine,
    )
    outer = jnp.matmul(jnp.concatenate(turned, -1), steps.outer, precision=_HIGHEST)
    real, imag = jnp.split(outer, 2, axis=3)
    power = jnp.square(real) + jnp.square(imag)
    return power.reshape(*power.shape[:2], -1)[..., steps.bins]


class _TwoSteps(NamedTuple):
    """The constants of `power_by_two_steps`: c runs to p // 2, b and d to q."""

    window: Float[np.ndarray, "p q"]
    inner: Float[np.ndarray, "2c p"]  # real parts above imaginary ones
    cosine: Float[np.ndarray, "c q"]
    sine: Float[np.ndarray, "c q"]
    outer: Float[np.ndarray, "2q 2q"]  # from (real, imaginary) to (real, imaginary)
    bins: Int[np.ndarray, "bins"]  # where each bin's power lies among [c, d]


@functools.lru_cache(maxsize=4)
def _two_steps(p: int, q: int) -> _TwoSteps:
    c = np.arange(p // 2 + 1)
    cosine, sine = _waves(np.outer(c, np.arange(p)), p)
    turn_cosine, turn_sine = _waves(np.outer(c, np.arange(q)), p * q)
    outer_cosine, outer_sine = _waves(np.outer(np.arange(q), np.arange(q)), q)
    outer = np.block([[outer_cosine, -outer_sine], [outer_sine, outer_cosine]])
    k = np.arange(p * q // 2 + 1)
    k = np.where(k % p <= p // 2, k, p * q - k)
    window = hann(p * q).reshape(p, q)
    constants = (window, np.concatenate([cosine, -sine]), turn_cosine, turn_sine, outer)
    return _TwoSteps(*(x.astype(np.float32) for x in constants), bins=k % p * q + k // p)


def _waves(turns: Int[np.ndarray, "rows columns"], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of so many parts of a turn that has `length` of them.

    Reduced in integers first: n * k reaches a million turns, and the sine would lose digits.
    """
    phase = 2.0 * np.pi * (turns % length) / length
    return np.cos(phase), np.sin(phase)


def _factors(n_fft: int) -> tuple[int, int]:
    """Factors n_fft = p q with p the largest factor up to its root."""
    p = next(f for f in range(math.isqrt(n_fft), 0, -1) if n_fft % f == 0)
    return p, n_fft // p


def _windowed(
    wave: Float[Array, "batch samples"], n_fft: int, hop_length: int
) -> Float[Array, "batch frames n_fft"]:
    """The frames times the Hann window.

    If a frame is as long as n hops, every n-th frame begins where the last one ends: a CPU cuts
    the clip into these without looking up where each sample lies.
    """
    window = jnp.asarray(hann(n_fft), jnp.float32)
    phases, rest = divmod(n_fft, hop_length)
    if rest or phases > MOST_BLOCKS or target.platform() != "cpu":
        return _gather(_pad(wave, n_fft), _starts(wave, hop_length) + jnp.arange(n_fft)) * window
    batch, frames = wave.shape[0], 1 + wave.shape[1] // hop_length
    each = -(-frames // phases)
    end = (phases - 1) * hop_length + each * n_fft
    more = max(0, end - wave.shape[1] - n_fft // 2)
    padded = jnp.pad(wave, ((0, 0), (n_fft // 2, more)))
    cut = [padded[:, i * hop_length :][:, : each * n_fft] for i in range(phases)]
    parts = [x.reshape(batch, each, n_fft) * window for x in cut]
    joined = jnp.stack(parts, axis=2)
    return joined.reshape(batch, each * phases, n_fft)[:, :frames]


def _frames(
    wave: Float[Array, "batch samples"], n_fft: int, hop_length: int
) -> Float[Array, "batch frames n_fft"]:
    """The frames, put together from whole blocks of samples where few make one."""
    padded, size = _pad(wave, n_fft), math.gcd(n_fft, hop_length)
    if n_fft // size > MOST_BLOCKS:
        return _gather(padded, _starts(wave, hop_length) + jnp.arange(n_fft))
    rows = padded[:, : padded.shape[1] // size * size].reshape(padded.shape[0], -1, size)
    step, last = hop_length // size, wave.shape[1] // hop_length * (hop_length // size)
    parts = [rows[:, i : i + last + 1 : step] for i in range(n_fft // size)]
    return jnp.concatenate(parts, axis=2)


def _pad(wave: Float[Array, "batch samples"], n_fft: int) -> Float[Array, "batch padded"]:
    return jnp.pad(wave, ((0, 0), (n_fft // 2, n_fft // 2)))


def _starts(wave: Float[Array, "batch samples"], hop_length: int) -> Int[Array, "frames 1"]:
    """Returns the first sample of each frame in the padded clip.

    Counted in the program: as a constant, the table of all indices is read from memory each time.
    """
    return (jnp.arange(1 + wave.shape[1] // hop_length) * hop_length)[:, None]


def _gather(
    padded: Float[Array, "batch padded"], index: Int[Array, "frames n"]
) -> Float[Array, "batch frames n"]:
    # The indices are in bounds by construction; saying so spares XLA a clamp for every element.
    return padded.at[:, index].get(mode="promise_in_bounds")
