"""From the machine's surface to the microphones: reflections, reverberation, distance, delays."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
from jaxtyping import Complex, Float

from asd_jax.data.synthetic.sounds import Clock
from asd_jax.data.synthetic.streams import stream

SOUND_SPEED = 343.0
ARRAY_RADIUS = 0.04


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where the microphone stands during one clip.

    Attributes:
        distance: Distance against nominal: scales the direct sound, not the reverberation.
        gain_db: Drift of the recording gain.
        tilt: Slope in dB an octave around 1 kHz: direction of the microphone, damping by the air.
    """

    distance: float
    gain_db: float
    tilt: float


def draw_placement(rng: np.random.Generator) -> Placement:
    """Draws where the microphone stands: a few centimetres and a decibel from nominal."""
    return Placement(
        distance=float(np.exp(rng.normal(0, 0.08))),
        gain_db=rng.normal(0, 0.4),
        tilt=rng.normal(0, 0.15),
    )


@functools.lru_cache(maxsize=64)
def reverberation(
    seed: int, place: str, sample_rate: int, size: int
) -> Complex[np.ndarray, "bins"]:
    """Spectrum of all that reaches the microphone by detours, for a direct sound of 1.

    Eight early reflections within 40 ms, then noise that decays by 60 dB in 0.35 to 0.6 s.

    Args:
        seed: Seed of the set.
        place: Name of the place in the hall; each has its own reflections.
        sample_rate: Samples a second.
        size: FFT length.
    """
    from scipy import fft

    rng = stream(seed, "room", place)
    time = np.arange(int(0.35 * sample_rate)) / sample_rate
    tail = rng.standard_normal(time.size) * 10 ** (-3 * time / rng.uniform(0.35, 0.6))
    tail[: int(0.008 * sample_rate)] = 0
    tail *= rng.uniform(0.35, 0.6) / np.sqrt(np.sum(tail**2))
    early = (rng.uniform(0.002, 0.04, 8) * sample_rate).astype(int)
    np.add.at(tail, early, rng.choice([-1, 1], 8) * rng.uniform(0.1, 0.35, 8))
    return fft.rfft(tail.astype(np.float32), size)


def record(
    sound: Float[np.ndarray, "samples"],
    clock: Clock,
    placement: Placement,
    *,
    seed: int,
    place: str,
    channels: int = 1,
    direction: float = 0.0,
) -> Float[np.ndarray, "samples channels"]:
    """The machine as the microphones record it.

    The convolution is circular: the clip starts in a hall that already rings.

    Args:
        sound: Sound at the surface.
        clock: Length and rate.
        placement: Where the microphone stands.
        seed: Seed of the set.
        place: Name of the place in the hall.
        channels: Number of microphones.
        direction: Angle (radians) from which the sound comes, for the delays between microphones.
    """
    from scipy import fft

    size = fft.next_fast_len(clock.samples, real=True)
    hz = np.arange(size // 2 + 1, dtype=np.float32) * np.float32(clock.sample_rate / size)
    answer = reverberation(seed, place, clock.sample_rate, size) + np.float32(
        1 / placement.distance
    )
    octaves = np.log2(np.maximum(hz, 62.5) / np.float32(1000))
    answer *= np.exp2(octaves * np.float32(placement.tilt / 6.02)) * np.float32(
        10 ** (placement.gain_db / 20)
    )
    spectrum = fft.rfft(sound, size) * answer
    return _microphones(spectrum, size, clock, channels=channels, direction=direction)


def through(
    sound: Float[np.ndarray, "samples"],
    clock: Clock,
    answer: Callable[[int], Complex[np.ndarray, "bins"]],
    *,
    channels: int = 1,
) -> Float[np.ndarray, "samples channels"]:
    """The machine as the microphones record it by given paths, convolved as by `record`.

    Args:
        sound: Sound at the surface.
        clock: Length and rate.
        answer: Spectrum of the way for an FFT length.
        channels: Number of microphones.
    """
    from scipy import fft

    size = fft.next_fast_len(clock.samples, real=True)
    spectrum = fft.rfft(sound, size) * answer(size)
    return _microphones(spectrum, size, clock, channels=channels, direction=0.0)


def array(
    sound: Float[np.ndarray, "samples"], clock: Clock, *, channels: int, direction: float
) -> Float[np.ndarray, "samples channels"]:
    """A far sound at the microphones: the channels differ by small delays only, channel 0 by none.

    Args:
        sound: The sound at channel 0.
        clock: Length and rate.
        channels: Number of microphones, on a ring.
        direction: Angle (radians) from which the sound comes.
    """
    from scipy import fft

    if channels == 1:
        return sound[:, None].copy()
    size = fft.next_fast_len(clock.samples, real=True)
    spectrum = fft.rfft(sound, size)
    out = _microphones(spectrum, size, clock, channels=channels, direction=direction)
    # Exactly, not only up to the rounding of two transforms: the same bytes as the mono recording.
    out[:, 0] = sound
    return out


def _microphones(
    spectrum: np.ndarray, size: int, clock: Clock, *, channels: int, direction: float
) -> np.ndarray:
    from scipy import fft

    turn = 2 * np.pi * np.arange(len(spectrum)) * clock.sample_rate / size
    angles = 2 * np.pi * np.arange(channels) / channels - direction
    delays = ARRAY_RADIUS / SOUND_SPEED * (np.cos(angles[0]) - np.cos(angles))
    out = np.empty((clock.samples, channels), np.float32)
    for channel, delay in enumerate(delays):
        moved = spectrum if channel == 0 else spectrum * np.exp(-1j * turn * delay)
        out[:, channel] = fft.irfft(moved.astype(np.complex64), size)[: clock.samples]
    return out
