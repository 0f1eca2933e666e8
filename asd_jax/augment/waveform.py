"""Transformations of one waveform, `f(key, x, *, ...)`, vmapped over the batch by the caller.

Liao et al. (2025), section 2.4.1: time shift, pitch shift, fade in/out and white noise, each at
random. The clip counts as a loop: what leaves at one end comes in at the other.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Key

from asd_jax import target
from asd_jax.augment.settings import WaveformAugment
from asd_jax.augment.vocoder import change_pitch


def augment_waveform(
    key: Key[Array, ""],
    x: Float[Array, "samples"],
    *,
    settings: WaveformAugment,
    hop_length: int,
) -> Float[Array, "samples"]:
    """Applies each transformation of the settings with the given probability.

    Args:
        key: for this clip alone.
        x: float waveform.
        settings: what and how strong; its numbers may be traced, for runs that differ in them.
        hop_length: of the front end, in samples: the unit of `settings.shift_frames`.
    """
    for index, name in enumerate(settings.transforms):
        coin, inner = jax.random.split(jax.random.fold_in(key, index))
        changed = TRANSFORMS[name](inner, x, settings, hop_length)
        # A batch takes both sides of any branch, so this costs no more than a cond would.
        x = jnp.where(jax.random.bernoulli(coin, settings.probability), changed, x)
    return x


def time_shift(
    key: Key[Array, ""],
    x: Float[Array, "samples"],
    *,
    max_frames: ArrayLike = 56.0,
    hop_length: int = 512,
) -> Float[Array, "samples"]:
    """Moves the sound forward or backward by U(0, max_frames) frames, around the loop."""
    # Whole numbers throughout: a rounding here would move the clip by a sample on some devices.
    longest = jnp.round(jnp.asarray(max_frames) * hop_length).astype(jnp.int32)
    start = jax.random.randint(key, (), -longest, longest + 1) % x.size
    return jax.lax.dynamic_slice(jnp.concatenate([x, x]), (start,), (x.size,))


def pitch_shift(
    key: Key[Array, ""],
    x: Float[Array, "samples"],
    *,
    semitones: tuple[ArrayLike, ArrayLike] = (-4.0, 4.0),
    pitch: str = "speed",
) -> Float[Array, "samples"]:
    """Shifts the pitch by U(semitones), 12 to the octave.

    With 'speed' the loop is read at another speed, so pitch and tempo move together, as they do in
    a machine that turns faster. The length stays: a faster reading runs into the loop's beginning
    again, a slower one ends early. With 'tempo' a phase vocoder keeps the tempo, and smears every
    impact; see `asd_jax.augment.vocoder`.
    """
    steps = jax.random.uniform(key, (), minval=semitones[0], maxval=semitones[1])
    ratio = jnp.exp2(steps / 12.0)
    return change_pitch(x, ratio) if pitch == "tempo" else change_speed(x, ratio)


def change_speed(x: Float[Array, "samples"], speed: ArrayLike) -> Float[Array, "samples"]:
    """Reads a loop at `speed` times its pace, without aliasing.

    The FFT cuts what would pass beyond half the sample rate and doubles the sampling; between the
    doubled samples a cubic (Catmull-Rom) is exact enough: its images lie below -40 dB up to half
    of the band.
    """
    samples = x.size
    spectrum = jnp.fft.rfft(x)
    kept = jnp.arange(spectrum.size) * jnp.maximum(speed, 1.0) < samples / 2
    spectrum = jnp.pad(jnp.where(kept, spectrum, 0.0), (0, samples + 1 - spectrum.size))
    dense = 2.0 * jnp.fft.irfft(spectrum, n=2 * samples)
    return _cubic(dense, *_positions(samples, speed))


def _positions(samples: int, speed: ArrayLike) -> tuple[Array, Array]:
    """Returns whole and fractional positions of the output samples in the doubled loop.

    Split into blocks: `2 * n * speed` passes 10^5, where float32 resolves a sixtieth of a sample.
    """
    block = 256
    blocks = -(-samples // block)
    # One block advances by a whole number plus a remainder; the remainder alone is multiplied.
    advance = 2.0 * block * jnp.asarray(speed, jnp.float32)
    whole = jnp.floor(advance)
    drift = jnp.arange(blocks) * (advance - whole)
    carried = jnp.floor(drift)
    start = (jnp.arange(blocks) * whole.astype(jnp.int32) + carried.astype(jnp.int32))[:, None]
    inside = (drift - carried)[:, None] + jnp.arange(block) * (2.0 * speed)
    step = jnp.floor(inside)
    index = (start + step.astype(jnp.int32)).reshape(-1)[:samples] % (2 * samples)
    return index, (inside - step).reshape(-1)[:samples]


def _cubic(
    loop: Float[Array, "dense"], index: Array, t: Float[Array, "samples"]
) -> Float[Array, "samples"]:
    """Catmull-Rom interpolation of a loop at `index + t`."""
    padded = jnp.concatenate([loop[-1:], loop, loop[:2]])
    a, b, c, d = (padded.at[index + i].get(mode="promise_in_bounds") for i in range(4))
    slope = c - a
    bend = 2.0 * a - 5.0 * b + 4.0 * c - d
    twist = 3.0 * (b - c) + d - a
    return b + 0.5 * t * (slope + t * (bend + t * twist))


def fade(
    key: Key[Array, ""], x: Float[Array, "samples"], *, max_share: ArrayLike = 0.5
) -> Float[Array, "samples"]:
    """Fades in, fades out, or both, each over U(0, max_share) of the clip.

    The two shapes of the paper, of the position u from 0 to 1: half sine, (1 - cos pi u) / 2, and
    exponential, u 2^(u - 1).
    """
    ends_key, length_key, shape_key = jax.random.split(key, 3)
    lengths = jax.random.uniform(length_key, (2,), maxval=max_share * x.size)
    which = jax.random.randint(ends_key, (), 0, 3)
    # A length of one sample is not a fade at all; 0 = in, 1 = out, 2 = both.
    fade_in = jnp.where(which == 1, 1.0, jnp.maximum(lengths[0], 1.0))
    fade_out = jnp.where(which == 0, 1.0, jnp.maximum(lengths[1], 1.0))
    n = jnp.arange(x.size, dtype=jnp.float32)
    # Fades are at most half a clip long: no sample lies in both, so the smaller position counts.
    u = jnp.minimum(jnp.minimum((n + 1.0) / fade_in, (x.size - n) / fade_out), 1.0)
    half_sine = 0.5 - 0.5 * jnp.cos(math.pi * u)
    return x * jnp.where(jax.random.bernoulli(shape_key), half_sine, u * jnp.exp2(u - 1.0))


def white_noise(
    key: Key[Array, ""],
    x: Float[Array, "samples"],
    *,
    snr_db: tuple[ArrayLike, ArrayLike] = (-10.0, 10.0),
) -> Float[Array, "samples"]:
    """Adds white Gaussian noise at a signal-to-noise ratio of U(snr_db); silence stays silence."""
    level_key, noise_key = jax.random.split(key)
    snr = jax.random.uniform(level_key, (), minval=snr_db[0], maxval=snr_db[1])
    deviation = jnp.sqrt(jnp.square(x).mean()) * jnp.power(10.0, -snr / 20.0)
    return x + deviation * _normal(noise_key, x.size)


def _normal(key: Key[Array, ""], samples: int) -> Float[Array, "samples"]:
    """N(0, 1) numbers; on a CPU drawn for one clip of a batch after another.

    Drawn for the batch at once they are computed where they are read, with whatever pads or frames
    the waveform, in loops that are not vectorised.
    """

    def draw(key: Array) -> Array:
        return jax.random.normal(key, (samples,))

    if target.platform() == "cpu":
        draw = jax.custom_batching.sequential_vmap(draw)
    return draw(key)


TRANSFORMS = {
    "time_shift": lambda key, x, s, hop_length: time_shift(
        key, x, max_frames=s.shift_frames, hop_length=hop_length
    ),
    "pitch_shift": lambda key, x, s, _: pitch_shift(key, x, semitones=s.semitones, pitch=s.pitch),
    "fade": lambda key, x, s, _: fade(key, x, max_share=s.fade_share),
    "white_noise": lambda key, x, s, _: white_noise(key, x, snr_db=s.snr_db),
}
