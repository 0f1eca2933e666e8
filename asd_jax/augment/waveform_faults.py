"""Weak synthetic faults of one waveform, by which scoring weighs the branches without anomalies.

A branch that cannot tell held-out normals from the same clips with a weak fault has nothing to say
about real faults either. The faults act on the waveform, so every branch gets the same one. They
are for weighing only: no network is trained on them.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Key, UInt32


def weak_fault(
    key: Key[Array, ""],
    wave: Float[Array, "samples"],
    *,
    kind: str,
    strength_db: ArrayLike,
    sample_rate: int = 16000,
) -> Float[Array, "samples"]:
    """One clip with a weak fault of random place, for jit and vmap.

    Args:
        key: for this clip alone.
        wave: float waveform.
        kind: a name from `FAULTS`.
        strength_db: band_gain: the gain, its sign drawn at random. tone, clicks: their level
            relative to the clip, negative where they are below it.
        sample_rate: in Hz.
    """
    return FAULTS[kind](key, wave, jnp.asarray(strength_db, jnp.float32), sample_rate)


def band_gain(
    key: Key[Array, ""], wave: Float[Array, "samples"], gain_db: Float[Array, ""], sample_rate: int
) -> Float[Array, "samples"]:
    """A band of half an octave to two octaves, between 100 Hz and the top, louder or quieter."""
    place_key, width_key, sign_key = jax.random.split(key, 3)
    top = math.log2(sample_rate / 2)
    half = 0.5 * jax.random.uniform(width_key, (), minval=0.5, maxval=2.0)
    place = jax.random.uniform(place_key, (), minval=math.log2(100.0) + half, maxval=top - half)
    spectrum = jnp.fft.rfft(wave)
    hz = jnp.arange(spectrum.size) * (sample_rate / wave.size)
    # The raised cosine's width at half height is `half`, that of the whole band twice as much.
    away = jnp.minimum(jnp.abs(jnp.log2(jnp.maximum(hz, 1.0)) - place) / half, 1.0)
    shape = 0.5 + 0.5 * jnp.cos(math.pi * away)
    gain = jax.random.rademacher(sign_key, ()) * gain_db * shape
    return jnp.fft.irfft(spectrum * jnp.power(10.0, gain / 20.0), n=wave.size)


def tone(
    key: Key[Array, ""], wave: Float[Array, "samples"], level_db: Float[Array, ""], sample_rate: int
) -> Float[Array, "samples"]:
    """A harmonic comb of eight lines falling as 1/h, fundamental 40 to 800 Hz."""
    pitch_key, phase_key = jax.random.split(key)
    hz = 40.0 * jnp.exp(jax.random.uniform(pitch_key) * math.log(20.0))
    phase = _oscillator(hz / sample_rate, wave.size) + jax.random.bits(phase_key)
    harmonic = jnp.arange(1, 9)
    level = jnp.where(harmonic * hz < sample_rate / 2, 1.0 / harmonic, 0.0)
    lines = (level[h - 1] * _sine(phase * jnp.uint32(h)) for h in range(1, 9))
    comb = functools.reduce(jnp.add, lines)
    return wave + _beside(wave, comb, level_db)


def clicks(
    key: Key[Array, ""], wave: Float[Array, "samples"], level_db: Float[Array, ""], sample_rate: int
) -> Float[Array, "samples"]:
    """Impulses that ring down, 1 to 20 a second, as from a damaged bearing or tooth."""
    rate_key, ring_key, decay_key, start_key = jax.random.split(key, 4)
    rate = jnp.exp(jax.random.uniform(rate_key) * math.log(20.0))
    period = jnp.round(sample_rate / rate).astype(jnp.int32)
    ring = jax.random.uniform(ring_key, (), minval=0.1, maxval=0.9) * sample_rate / 2
    decay = jax.random.uniform(decay_key, (), minval=1e-3, maxval=1e-2) * sample_rate
    start = jax.random.randint(start_key, (), 0, period)
    since = (jnp.arange(wave.size) + start) % period
    # The phase loses digits only after thousands of cycles, when the ringing is long gone.
    ringing = jnp.sin(2.0 * math.pi * (ring / sample_rate) * since) * jnp.exp(-since / decay)
    return wave + _beside(wave, ringing, level_db)


def _oscillator(cycles_per_sample: Array, samples: int) -> UInt32[Array, "samples"]:
    """The phase as a 32-bit fraction of a turn: its overflow is the wrap, so it never drifts."""
    step = (cycles_per_sample * 2.0**32).astype(jnp.uint32)
    return jnp.arange(samples, dtype=jnp.uint32) * step


def _sine(phase: UInt32[Array, "samples"]) -> Float[Array, "samples"]:
    return jnp.sin(phase.astype(jnp.float32) * (2.0 * math.pi / 2.0**32))


def _beside(
    wave: Float[Array, "samples"], added: Float[Array, "samples"], level_db: Float[Array, ""]
) -> Float[Array, "samples"]:
    """Returns `added`, scaled to `level_db` relative to the clip; nothing beside a silent clip."""
    ratio = jnp.square(wave).mean() / jnp.maximum(jnp.square(added).mean(), 1e-12)
    return added * jnp.sqrt(ratio) * jnp.power(10.0, level_db / 20.0)


FAULTS = {"band_gain": band_gain, "tone": tone, "clicks": clicks}
