"""Building blocks of machine sounds: noise, tones of a turning shaft, impacts on a structure.

Sounds are float32 arrays `[samples]`; levels are relative until a clip is mixed.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import overload

import numpy as np
from jaxtyping import Complex, Float


@dataclasses.dataclass(frozen=True)
class Clock:
    """Length and rate of a clip.

    Attributes:
        samples: Number of samples.
        sample_rate: Samples a second.
    """

    samples: int
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.samples / self.sample_rate

    def times(self) -> Float[np.ndarray, "samples"]:
        """Time of every sample in seconds (float64: a phase needs the digits)."""
        return _times(self.samples, self.sample_rate)


@functools.lru_cache(maxsize=8)
def _times(samples: int, sample_rate: int) -> np.ndarray:
    times = np.arange(samples) / sample_rate
    times.flags.writeable = False
    return times


@functools.lru_cache(maxsize=8)
def _bin_hz(size: int, sample_rate: int) -> np.ndarray:
    hz = np.arange(size // 2 + 1) * (sample_rate / size)
    hz.flags.writeable = False
    return hz


@dataclasses.dataclass(frozen=True)
class Mode:
    """One resonance of a structure.

    Attributes:
        hz: Natural frequency.
        decay: Time constant of its ringing in seconds; the half-power bandwidth is 1/(pi decay).
        gain: Amplitude beside the other modes.
    """

    hz: float
    decay: float
    gain: float


@overload
def decibel(db: float) -> float: ...
@overload
def decibel(db: np.ndarray) -> np.ndarray: ...
def decibel(db: float | np.ndarray) -> float | np.ndarray:
    """Amplitude factor of a level in dB, in the shape of the level."""
    return 10.0 ** (np.asarray(db) / 20.0)


def draw_modes(
    rng: np.random.Generator,
    count: int,
    hz: tuple[float, float],
    *,
    decay: tuple[float, float],
    spread_db: float = 6.0,
) -> tuple[Mode, ...]:
    """Draws the resonances of one structure, spread over a range of frequencies.

    Args:
        rng: Random stream.
        count: Number of modes: one in each of `count` equal parts (in octaves) of the range.
        hz: Lowest and highest natural frequency.
        decay: Shortest and longest time constant in seconds.
        spread_db: Levels are drawn between -spread_db and 0 dB.
    """
    places = (np.arange(count) + rng.uniform(0.1, 0.9, count)) / count
    frequencies = hz[0] * (hz[1] / hz[0]) ** places
    decays = decay[0] * (decay[1] / decay[0]) ** rng.uniform(0, 1, count)
    gains = decibel(-spread_db * rng.uniform(0, 1, count))
    return tuple(
        Mode(float(f), float(d), float(g))
        for f, d, g in zip(frequencies, decays, gains, strict=True)
    )


def resonance(
    modes: Sequence[Mode], hz: Float[np.ndarray, "bins"], *, floor: float = 1.0
) -> Float[np.ndarray, "bins"]:
    """Amplitude response of a structure: `floor` plus a Lorentzian peak a mode.

    Args:
        modes: Resonances.
        hz: Frequencies at which to evaluate.
        floor: Response far from every resonance.
    """
    power = np.full(hz.shape, floor**2)
    for mode in modes:
        width = 1.0 / (2.0 * np.pi * mode.decay)
        power = power + mode.gain**2 / (1.0 + ((hz - mode.hz) / width) ** 2)
    return np.sqrt(power)


def grid(clock: Clock) -> Float[np.ndarray, "bins"]:
    """Frequencies (Hz) on which a smooth spectrum is given: dense where hearing is."""
    top = clock.sample_rate / 2
    return np.concatenate([[0.0], np.geomspace(20.0, top, 700)])


def slope(
    hz: Float[np.ndarray, "bins"], *, corner: float, db_per_octave: float
) -> Float[np.ndarray, "bins"]:
    """Amplitude that is flat below a corner (Hz) and falls by `db_per_octave` above it."""
    return (1.0 + (hz / corner) ** 2) ** (-db_per_octave / 12.04)


def band(hz: Float[np.ndarray, "bins"], low: float, high: float) -> Float[np.ndarray, "bins"]:
    """Amplitude of a band-pass with gentle flanks (12 dB an octave below, 24 above)."""
    ratio = hz / low
    return ratio**2 / (1.0 + ratio**2) / (1.0 + (hz / high) ** 4)


def noise(
    rng: np.random.Generator,
    clock: Clock,
    hz: Float[np.ndarray, "bins"],
    amplitude: Float[np.ndarray, "bins"],
    *,
    lines: Sequence[tuple[float, float]] = (),
) -> Float[np.ndarray, "samples"]:
    """Stationary Gaussian noise with a given spectrum, and steady tones for nothing.

    The spectrum itself is drawn and transformed back once, which costs less than filtering.

    Args:
        rng: Random stream.
        clock: Length and rate.
        hz: Frequencies of `amplitude`, rising.
        amplitude: Amplitude response; 1 everywhere gives unit variance.
        lines: Pairs (Hz, amplitude) of steady sine tones, moved to the nearest bin.
    """
    from scipy import fft

    size = fft.next_fast_len(clock.samples, real=True)
    bins = size // 2 + 1
    spectrum = rng.standard_normal((bins, 2), dtype=np.float32).view(np.complex64)[:, 0]
    step = clock.sample_rate / size
    shape = np.interp(_bin_hz(size, clock.sample_rate), hz, amplitude * np.sqrt(size / 2))
    spectrum *= shape.astype(np.float32)
    spectrum[0] = 0
    phases = rng.uniform(0, 2 * np.pi, len(lines))
    for (line, gain), phase in zip(lines, phases, strict=True):
        if line < 0.47 * clock.sample_rate:
            spectrum[round(line / step)] += gain * size / 2 * np.exp(1j * phase)
    return fft.irfft(spectrum, size, overwrite_x=True)[: clock.samples]


def wander(
    rng: np.random.Generator, clock: Clock, *, every: float, size: float
) -> Float[np.ndarray, "samples"]:
    """A slow random drift about 0.

    Args:
        rng: Random stream.
        clock: Length and rate.
        every: Seconds between independent points; straight lines join them.
        size: Standard deviation of the points.
    """
    points = rng.normal(0.0, size, int(clock.seconds / every) + 3)
    first = rng.uniform(0, 1)
    places = first + clock.times() * (1 / every)
    return np.interp(places, np.arange(len(points)), points).astype(np.float32)


def rotation(
    clock: Clock, hz: float | Float[np.ndarray, "samples"], phase: float
) -> Complex[np.ndarray, "samples"]:
    """Returns exp(i angle) of a shaft that turns `hz` times a second, from `phase` (radians) on.

    Its n-th power turns n times as fast: the harmonics of the shaft.
    """
    turns = np.cumsum(np.broadcast_to(np.asarray(hz, np.float64), (clock.samples,)))
    turns *= 1 / clock.sample_rate
    # The whole turns go before the digits do: single precision is for the last turn only.
    turns -= np.floor(turns)
    angle = turns.astype(np.float32) * np.float32(2 * np.pi) + np.float32(phase)
    turning = np.empty(clock.samples, np.complex64)
    np.cos(angle, out=turning.real)
    np.sin(angle, out=turning.imag)
    return turning


def harmonics(
    turning: Complex[np.ndarray, "samples"], weights: Sequence[complex]
) -> Float[np.ndarray, "samples"]:
    """Sum of the harmonics 1, 2, ... of a rotation, `weights[n-1]` for the n-th.

    By Horner's rule: one complex product a harmonic and no further sine.

    Args:
        turning: Unit complex numbers from `rotation`.
        weights: Complex amplitudes (modulus: amplitude, argument: phase).
    """
    total = np.full(turning.shape, weights[-1], np.complex64)
    for weight in reversed(weights[:-1]):
        total *= turning
        total += np.complex64(weight)
    return (total * turning).real


def ring(modes: Sequence[Mode], clock: Clock) -> Float[np.ndarray, "taps"]:
    """Answer of a structure to one blow: decaying sines with a steep but finite rise.

    Modes above 0.47 of the sample rate are left out. Cut after seven time constants.
    """
    length = int(7 * max(mode.decay for mode in modes) * clock.sample_rate) + 1
    time = np.arange(length) / clock.sample_rate
    answer = np.zeros(length)
    for mode in modes:
        if mode.hz < 0.47 * clock.sample_rate:
            answer += mode.gain * np.exp(-time / mode.decay) * np.sin(2 * np.pi * mode.hz * time)
    return answer.astype(np.float32)


def strike(
    clock: Clock,
    times: Float[np.ndarray, "blows"],
    gains: Float[np.ndarray, "blows"],
    answer: Float[np.ndarray, "taps"],
) -> Float[np.ndarray, "samples"]:
    """Sound of blows on a structure.

    Args:
        clock: Length and rate; blows outside the clip are dropped.
        times: Seconds.
        gains: Amplitudes.
        answer: From `ring`.
    """
    sound = np.zeros(clock.samples + len(answer), np.float32)
    starts = np.round(np.asarray(times) * clock.sample_rate).astype(int)
    for start, gain in zip(starts, np.asarray(gains, np.float32), strict=True):
        if 0 <= start < clock.samples:
            sound[start : start + len(answer)] += gain * answer
    return sound[: clock.samples]


def blow_times(
    rng: np.random.Generator, clock: Clock, per_second: float | np.ndarray
) -> Float[np.ndarray, "blows"]:
    """Times in seconds of a Poisson process, in order; its rate in blows a second."""
    count = rng.poisson(per_second * clock.seconds)
    return np.sort(rng.uniform(0, clock.seconds, count))
