"""Loud moments of the background: trucks, hammering, voices, compressors that switch on."""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from asd_jax.data.synthetic import factory, sounds
from asd_jax.data.synthetic.sounds import Clock, Mode, decibel

RATE = 0.14  # bursts a second
LEVEL_DB = (0.0, 9.0)  # RMS of a burst against that of the steady background


@dataclasses.dataclass(frozen=True)
class Burst:
    """One loud moment.

    Attributes:
        kind: Key of `KINDS`.
        start: Seconds from the clip's beginning; negative if it is under way by then.
        seconds: Length.
        level_db: RMS over its length against that of the steady background.
        pitch: From 0 to 1: which truck, voice or tool.
    """

    kind: str
    start: float
    seconds: float
    level_db: float
    pitch: float


@dataclasses.dataclass(frozen=True)
class Scene:
    """Background and events in the hall during one clip.

    Attributes:
        steady: Its steady part, as in version 1, without passing events.
        bursts: Its loud moments.
    """

    steady: factory.Scene
    bursts: tuple[Burst, ...]


def draw_scene(rng: np.random.Generator, seconds: float) -> Scene:
    """Draws what happens during one clip."""
    steady = dataclasses.replace(factory.draw_scene(rng, seconds), events=())
    bursts = []
    for _ in range(rng.poisson(RATE * (seconds + 1.0))):
        kind = str(rng.choice(tuple(KINDS)))
        low, high = LENGTHS[kind]
        length = rng.uniform(low, high)
        bursts.append(
            Burst(
                kind=kind,
                start=rng.uniform(-min(1.0, 0.5 * length), seconds),
                seconds=length,
                level_db=rng.uniform(*LEVEL_DB),
                pitch=rng.uniform(),
            )
        )
    return Scene(steady, tuple(bursts))


def background(
    rng: np.random.Generator, scene: Scene, clock: Clock, *, seed: int
) -> Float[np.ndarray, "samples"]:
    """The hall without the machine, float32 `[samples]`: the steady part has mean power 1."""
    sound = factory.background(rng, scene.steady, clock, seed=seed)
    for burst in scene.bursts:
        part = Clock(int(burst.seconds * clock.sample_rate), clock.sample_rate)
        piece = KINDS[burst.kind](rng, part, burst.pitch).astype(np.float32)
        piece *= decibel(burst.level_db) / np.sqrt(np.mean(piece**2))
        first = int(burst.start * clock.sample_rate)
        inside = slice(max(first, 0), min(first + part.samples, clock.samples))
        sound[inside] += piece[inside.start - first : inside.stop - first]
    return sound


def _truck(rng: np.random.Generator, clock: Clock, pitch: float) -> Float[np.ndarray, "samples"]:
    """Rolling noise and an engine's firing orders that swell and fade."""
    hz = sounds.grid(clock)
    rolling = sounds.noise(
        rng, clock, hz, 4 * sounds.slope(hz, corner=150 + 250 * pitch, db_per_octave=6.0)
    )
    pace = 1.0 + sounds.wander(rng, clock, every=0.7, size=0.02)
    turning = sounds.rotation(clock, (30 + 20 * pitch) * pace, rng.uniform(0, 2 * np.pi))
    orders = decibel(-rng.uniform(0, 12, 10)) * np.exp(2j * np.pi * rng.uniform(0, 1, 10))
    swell = np.sin(np.pi * (np.arange(clock.samples) + 0.5) / clock.samples) ** 2
    return swell * (rolling + 0.5 * sounds.harmonics(turning, list(orders)))


def _hammering(
    rng: np.random.Generator, clock: Clock, pitch: float
) -> Float[np.ndarray, "samples"]:
    """Blows on sheet metal, three to five a second."""
    modes = [
        Mode(250.0 * 14.0 ** ((pitch + 0.23 * k) % 1), rng.uniform(0.005, 0.04), 1.0)
        for k in range(6)
    ]
    times = np.arange(0.01, clock.seconds, rng.uniform(0.2, 0.33))
    times = times + rng.normal(0, 0.015, len(times)).clip(-0.01)
    gains = decibel(rng.normal(0, 2.5, len(times)))
    return sounds.strike(clock, times, gains, sounds.ring(modes, clock)) + 1e-6


def _voices(rng: np.random.Generator, clock: Clock, pitch: float) -> Float[np.ndarray, "samples"]:
    """Babble of two voices: harmonics through formants, syllables, hisses between them."""
    total = np.zeros(clock.samples, np.float32)
    hz = sounds.grid(clock)
    for voice in range(2):
        low = 100.0 * 2.2 ** ((pitch + 0.4 * voice) % 1)
        formants = [
            Mode(center * rng.uniform(0.8, 1.25), 0.004, level)
            for center, level in ((500, 1.0), (1400, 0.5), (2600, 0.3))
        ]
        pace = 1.0 + sounds.wander(rng, clock, every=0.25, size=0.08)
        turning = sounds.rotation(clock, low * pace, rng.uniform(0, 2 * np.pi))
        order = np.arange(1, int(3600 / low))
        gain = sounds.resonance(formants, order * low, floor=0.02) / order**0.5
        weights = gain * np.exp(2j * np.pi * rng.uniform(0, 1, len(order)))
        syllables = np.clip(sounds.wander(rng, clock, every=0.12, size=1.0), 0, None)
        hiss = sounds.noise(rng, clock, hz, sounds.band(hz, 2500.0, 6000.0))
        gaps = np.clip(sounds.wander(rng, clock, every=0.12, size=1.0) - 1.0, 0, None)
        total += syllables * sounds.harmonics(turning, list(weights)) + 0.3 * gaps * hiss
    return total + 1e-6


def _compressor(
    rng: np.random.Generator, clock: Clock, pitch: float
) -> Float[np.ndarray, "samples"]:
    """A compressor that starts with a thump and runs up."""
    hz = sounds.grid(clock)
    running = sounds.noise(rng, clock, hz, sounds.band(hz, 200 + 200 * pitch, 1500 + 1500 * pitch))
    up = 1 - np.exp(-clock.times() / 0.3)
    turning = sounds.rotation(clock, (24 + 24 * pitch) * up, rng.uniform(0, 2 * np.pi))
    orders = decibel(-rng.uniform(0, 10, 12)) * np.exp(2j * np.pi * rng.uniform(0, 1, 12))
    thump = sounds.ring([Mode(90.0, 0.06, 1.0), Mode(310.0, 0.03, 0.6)], clock)
    sound = up * (running + 0.5 * sounds.harmonics(turning, list(orders)))
    return sound + sounds.strike(clock, np.array([0.02]), np.array([3.0]), thump)


KINDS: dict[str, Callable[..., np.ndarray]] = {
    "truck": _truck,
    "hammering": _hammering,
    "voices": _voices,
    "compressor": _compressor,
}
LENGTHS = {
    "truck": (2.5, 5.0),
    "hammering": (0.6, 2.0),
    "voices": (0.8, 2.5),
    "compressor": (1.5, 5.0),
}
