"""The background: a factory hall whose other machines switch, drift and are interrupted."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float

from asd_jax.data.synthetic import sounds
from asd_jax.data.synthetic.sounds import Clock, Mode, decibel
from asd_jax.data.synthetic.streams import stream

NEIGHBOURS = 6
EVENTS = ("bang", "air", "signal", "vehicle")


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """Another machine of the hall: a comb of tones and a band of noise.

    Attributes:
        hz: Fundamental of the tones.
        tone_db: Level of the first tone, against the hall's hum and rumble.
        low: Lower edge of its noise in Hz.
        high: Upper edge of its noise in Hz.
        band_db: Level of its noise.
    """

    hz: float
    tone_db: float
    low: float
    high: float
    band_db: float


@dataclasses.dataclass(frozen=True)
class Scene:
    """Background and events in the hall during one clip.

    Attributes:
        level_db: Drift of the whole background between clips.
        corner: Corner of the rumble in Hz.
        fall: Fall of the rumble above it, dB an octave: the colour drifts between clips.
        running: (neighbour, level dB, speed, switch) of each audible machine; `switch` is
            when it starts (positive) or stops (negative), 0 if it runs all the time.
        events: (kind, seconds, level dB, pitch from 0 to 1) of each passing event.
    """

    level_db: float
    corner: float
    fall: float
    running: tuple[tuple[int, float, float, float], ...]
    events: tuple[tuple[str, float, float, float], ...]


@functools.lru_cache(maxsize=16)
def neighbours(seed: int) -> tuple[Neighbour, ...]:
    """The other machines of the hall of this seed: the same for all clips and types."""
    rng = stream(seed, "factory")
    return tuple(
        Neighbour(
            hz=90.0 * 11.0 ** rng.uniform(),
            tone_db=rng.uniform(-14, -4),
            low=(low := 150.0 * 12.0 ** rng.uniform()),
            high=low * rng.uniform(1.5, 4.0),
            band_db=rng.uniform(-14, -6),
        )
        for _ in range(NEIGHBOURS)
    )


def draw_scene(rng: np.random.Generator, seconds: float) -> Scene:
    """Draws what happens during one clip."""
    running = []
    for index in np.flatnonzero(rng.uniform(size=NEIGHBOURS) < 0.45)[:3]:
        switch = rng.uniform(0.1, 0.9) * seconds * rng.choice([-1.0, 1.0])
        switch = switch if rng.uniform() < 0.4 else 0.0
        running.append((int(index), rng.normal(0, 3.0), 1 + rng.normal(0, 0.02), float(switch)))
    events = tuple(
        (str(rng.choice(EVENTS)), rng.uniform(0, seconds), rng.normal(2.0, 4.0), rng.uniform())
        for _ in range(rng.poisson(0.08 * seconds))
    )
    return Scene(
        level_db=float(np.clip(rng.normal(0, 1.0), -2.5, 2.5)),
        corner=80.0 * 2.0 ** rng.uniform(0, 1.5),
        fall=rng.uniform(4.0, 6.5),
        running=tuple(running),
        events=events,
    )


def background(
    rng: np.random.Generator, scene: Scene, clock: Clock, *, seed: int
) -> Float[np.ndarray, "samples"]:
    """The hall without the machine, float32 `[samples]`, of mean power 1 over the clip.

    As in MIMII the power of each clip's background is made equal; `Scene.level_db` is left to the
    caller, who knows the signal-to-noise ratio.
    """
    hz = sounds.grid(clock)
    rumble = 4.0 * sounds.slope(hz, corner=scene.corner, db_per_octave=scene.fall)
    power = rumble**2
    lines = [(50.0, 0.4), (100.0, 0.5), (150.0, 0.2)]
    switched = []
    for index, level, speed, switch in scene.running:
        shape, tones = _neighbour(neighbours(seed)[index], hz, level, speed)
        if switch:
            gate = 0.5 + 0.5 * np.tanh(np.sign(switch) * (clock.times() - abs(switch)) / 0.1)
            switched.append(
                gate.astype(np.float32) * sounds.noise(rng, clock, hz, shape, lines=tones)
            )
        else:
            power, lines = power + shape**2, lines + tones
    sound = sounds.noise(rng, clock, hz, np.sqrt(power), lines=lines)
    sound *= 1.0 + sounds.wander(rng, clock, every=0.8, size=0.08)
    for other in switched:
        sound += other
    for event in scene.events:
        _event(rng, sound, clock, *event)
    return sound / np.sqrt(np.mean(sound**2))


def _neighbour(
    machine: Neighbour, hz: np.ndarray, level: float, speed: float
) -> tuple[np.ndarray, list[tuple[float, float]]]:
    shape = 3.0 * decibel(machine.band_db + level) * sounds.band(hz, machine.low, machine.high)
    gain = decibel(machine.tone_db + level)
    tones = [(machine.hz * speed * n, float(gain / n)) for n in range(1, 8)]
    return shape, tones


def _event(
    rng: np.random.Generator,
    sound: np.ndarray,
    clock: Clock,
    kind: str,
    at: float,
    db: float,
    pitch: float,
) -> None:
    """Adds one passing event to a sound in place."""
    start = int(at * clock.sample_rate)
    size = min(
        int({"bang": 0.5, "air": 1.6, "signal": 0.5, "vehicle": 4.0}[kind] * clock.sample_rate),
        clock.samples - start,
    )
    if size < 16:
        return
    part, time = Clock(size, clock.sample_rate), np.arange(size) / clock.sample_rate
    hz = sounds.grid(part)
    if kind == "bang":
        modes = [
            Mode(120.0 * 6.0 ** ((pitch + k * 0.31) % 1), 0.03 + 0.05 * pitch, 0.6)
            for k in range(4)
        ]
        piece = 2 * sounds.strike(part, np.zeros(1), np.ones(1), sounds.ring(modes, part))
    elif kind == "air":
        piece = sounds.noise(rng, part, hz, sounds.band(hz, 800 + 1500 * pitch, 6000.0))
        piece = 0.4 * piece * np.exp(-time / (0.1 + 0.4 * pitch))
    elif kind == "signal":
        piece = 0.25 * np.sin(2 * np.pi * (900 + 1800 * pitch) * time) * (time % 0.25 < 0.15)
    else:
        swell = np.sin(np.pi * np.minimum(time / 4.0, 1.0)) ** 2
        shape = 4.0 * sounds.slope(hz, corner=120.0 + 200 * pitch, db_per_octave=5.0)
        piece = sounds.noise(rng, part, hz, shape) * swell
    sound[start : start + size] += (decibel(db) * piece).astype(np.float32)
