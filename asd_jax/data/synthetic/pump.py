"""A centrifugal pump: vane-pass tones, water noise in pipes, motor hum, particles and jets."""

import dataclasses

import numpy as np
from jaxtyping import Float

from asd_jax.data.synthetic import sounds
from asd_jax.data.synthetic.sounds import Clock, Mode, decibel

FAULTS = ("leakage", "contamination", "clogging")


@dataclasses.dataclass(frozen=True)
class Unit:
    """Constants of one pump.

    Attributes:
        shaft_hz: Turns a second.
        vanes: Number of vanes of the impeller.
        tone_db: Level of the vane-pass tone against the water noise.
        hum_db: Level of the mains hum.
        pipes: Resonances of the pipes, which shape the water noise.
        casing: Resonances of the casing, which particles strike.
        jet_hz: Band in which a leak hisses.
    """

    shaft_hz: float
    vanes: int
    tone_db: float
    hum_db: float
    pipes: tuple[Mode, ...]
    casing: tuple[Mode, ...]
    jet_hz: float


@dataclasses.dataclass(frozen=True)
class OperatingState:
    """State of a pump during one clip; the defaults are those of a healthy one.

    Attributes:
        speed: Speed against nominal.
        load: Level of the water noise in dB.
        tilt: Change of the noise's slope, dB an octave.
        tone_db: Change of the vane-pass tones.
        jet_db: Level of a leak's hiss; -inf: no leak.
        particles: Particles a second against the casing, in bursts.
        particle_db: Their level.
        surge: Depth of the slow surging of the flow.
        surge_hz: Its frequency.
        crackle_db: Level of cavitation bursts, once a turn; -inf: none.
    """

    speed: float
    load: float
    tilt: float
    tone_db: float
    jet_db: float = -np.inf
    particles: float = 0.5
    particle_db: float = -8.0
    surge: float = 0.05
    surge_hz: float = 1.0
    crackle_db: float = -np.inf


def draw_unit(rng: np.random.Generator, index: int) -> Unit:
    """Draws a pump; `index` (0 to 3) picks the part of each range, so that IDs differ."""
    part = (index + rng.uniform(0.2, 0.8)) / 4
    return Unit(
        shaft_hz=(24.2, 48.5, 24.6, 47.8)[index] * rng.uniform(0.97, 1.0),
        vanes=(6, 5, 7, 4)[index],
        tone_db=rng.uniform(-2, 4),
        hum_db=rng.uniform(-10, -4),
        pipes=sounds.draw_modes(rng, 6, (150.0 + 120 * part, 2500.0), decay=(0.003, 0.015)),
        casing=sounds.draw_modes(rng, 4, (1000.0, 4500.0), decay=(0.001, 0.004)),
        jet_hz=3000.0 + 2000.0 * part,
    )


def draw_state(rng: np.random.Generator, unit: Unit) -> OperatingState:
    """Draws one healthy state: even clean water carries a few particles."""
    return OperatingState(
        speed=1.0 + rng.normal(0, 0.005),
        load=rng.normal(0, 1.0),
        tilt=rng.normal(0, 0.3),
        tone_db=rng.normal(0, 1.5),
        particles=rng.uniform(0.0, 1.0),
        particle_db=rng.normal(-8.0, 2.0),
        surge=rng.uniform(0.02, 0.10),
        surge_hz=rng.uniform(0.7, 2.5),
    )


def damage(
    rng: np.random.Generator, state: OperatingState, fault: str, severity: float
) -> OperatingState:
    """Returns the state with a fault of severity 0 (inaudible) to 1 (clear).

    Leakage: a jet hisses in a high band and the pressure, so the vane tone, falls. Contamination:
    more and harder particles strike the casing, in bursts between quiet seconds (a time average
    hides them). Clogging: the starved flow surges slowly and cavitates once a turn.
    """
    if fault == "leakage":
        return dataclasses.replace(
            state, jet_db=-20 + 16 * severity, tone_db=state.tone_db - 2.5 * severity
        )
    if fault == "contamination":
        return dataclasses.replace(
            state,
            particles=state.particles + 12 * severity,
            particle_db=state.particle_db + 8 * severity,
        )
    return dataclasses.replace(
        state,
        load=state.load - 1.5 * severity,
        surge=state.surge + 0.45 * severity,
        crackle_db=-12 + 14 * severity,
        speed=state.speed * (1 + 0.006 * severity),
    )


def sound(
    rng: np.random.Generator, unit: Unit, state: OperatingState, clock: Clock
) -> Float[np.ndarray, "samples"]:
    """Sound of the pump at its surface, float32 `[samples]`, level relative."""
    shaft = unit.shaft_hz * state.speed
    pace = 1.0 + sounds.wander(rng, clock, every=1.0, size=0.0015)
    turning = sounds.rotation(clock, shaft * pace, rng.uniform(0, 2 * np.pi))
    tones = sounds.harmonics(turning, _weights(rng, unit, state))
    phase = rng.uniform(0, 2 * np.pi)
    beat = np.cos(2 * np.pi * state.surge_hz * clock.times() + phase).astype(np.float32)
    beat = 1.0 + state.surge * beat + sounds.wander(rng, clock, every=0.4, size=0.06)
    body = beat * (tones + _water(rng, unit, state, clock)) + _particles(rng, unit, state, clock)
    return (body + _jet(rng, unit, state, clock, turning)).astype(np.float32)


def _weights(rng: np.random.Generator, unit: Unit, state: OperatingState) -> list[complex]:
    order = np.arange(1, 4 * unit.vanes + 1)
    levels = np.where(order % unit.vanes == 0, unit.tone_db + state.tone_db, -16.0)
    levels = levels - 12 * (order / unit.vanes - 1).clip(0) / 2 + rng.normal(0, 1.0, len(order))
    gain = sounds.resonance(unit.pipes, order * unit.shaft_hz * state.speed)
    return list(decibel(levels) * gain * np.exp(2j * np.pi * rng.uniform(0, 1, len(order))))


def _water(
    rng: np.random.Generator, unit: Unit, state: OperatingState, clock: Clock
) -> Float[np.ndarray, "samples"]:
    hz = sounds.grid(clock)
    spectrum = sounds.slope(hz, corner=500.0, db_per_octave=5.0 + state.tilt)
    spectrum *= 2.5 * sounds.resonance(unit.pipes, hz, floor=0.4) * decibel(state.load)
    hum = decibel(unit.hum_db)
    return sounds.noise(rng, clock, hz, spectrum, lines=[(100.0, hum), (200.0, 0.5 * hum)])


def _particles(
    rng: np.random.Generator, unit: Unit, state: OperatingState, clock: Clock
) -> Float[np.ndarray, "samples"]:
    # Dirt comes in clouds: each cloud carries about eight particles within a third of a second.
    clouds = sounds.blow_times(rng, clock, state.particles / 8)
    counts = rng.poisson(8, len(clouds))
    times = np.repeat(clouds, counts) + rng.exponential(0.15, counts.sum())
    gains = decibel(state.particle_db + 12 + rng.normal(0, 4, len(times)))
    return sounds.strike(clock, times, gains, sounds.ring(unit.casing, clock))


def _jet(
    rng: np.random.Generator, unit: Unit, state: OperatingState, clock: Clock, turning: np.ndarray
) -> Float[np.ndarray, "samples"]:
    if not np.isfinite(state.jet_db) and not np.isfinite(state.crackle_db):
        return np.zeros(clock.samples, np.float32)
    hz = sounds.grid(clock)
    hiss = sounds.noise(rng, clock, hz, sounds.band(hz, unit.jet_hz, 1.6 * unit.jet_hz) * 3)
    # Bubbles collapse as the vane passes its lowest pressure: a short gate once a turn.
    gate = np.clip(np.real(turning) - 0.8, 0, None) * 5
    return hiss * (decibel(state.jet_db) + decibel(state.crackle_db) * gate).astype(np.float32)
