"""A ventilator: shaft and blade-pass tones, flow noise in a resonant housing, mains hum."""

import dataclasses

import numpy as np
from jaxtyping import Float

from asd_jax.data.synthetic import sounds
from asd_jax.data.synthetic.sounds import Clock, Mode, decibel

FAULTS = ("unbalance", "voltage", "clogging")


@dataclasses.dataclass(frozen=True)
class Unit:
    """Constants of one fan.

    Attributes:
        shaft_hz: Turns a second at nominal load.
        blades: Number of blades.
        tone_db: Level of the blade-pass tone against the flow noise.
        fall_db: Fall of the blade-pass harmonics, dB each.
        hum_db: Level of the mains hum (100 Hz).
        corner: Corner of the flow noise in Hz.
        fall_octave: Fall of the flow noise above it, dB an octave.
        housing: Resonances of the housing.
    """

    shaft_hz: float
    blades: int
    tone_db: float
    fall_db: float
    hum_db: float
    corner: float
    fall_octave: float
    housing: tuple[Mode, ...]


@dataclasses.dataclass(frozen=True)
class OperatingState:
    """State of a fan during one clip; the defaults are those of a healthy one.

    Attributes:
        speed: Speed against nominal.
        load: Flow resistance in dB of flow noise: varies with what the fan is connected to.
        tilt: Change of the noise's slope, dB an octave.
        unbalance_db: Rise of the once-per-turn tone.
        whirl: Depth of the once-per-turn modulation of blade tones and flow noise.
        hum_db: Change of the hum.
        stall_db: Level of the rumble of separated flow; -inf: none.
        throttle_db: Fall of the flow noise above the corner.
        blade_db: Change of the blade-pass tones.
    """

    speed: float
    load: float
    tilt: float
    unbalance_db: float
    whirl: float = 0.04
    hum_db: float = 0.0
    stall_db: float = -np.inf
    throttle_db: float = 0.0
    blade_db: float = 0.0


def draw_unit(rng: np.random.Generator, index: int) -> Unit:
    """Draws a fan; `index` (0 to 3) picks the part of each range, so that IDs differ."""
    part = (index + rng.uniform(0.2, 0.8)) / 4
    return Unit(
        shaft_hz=20.0 + 12.0 * part,
        blades=(7, 5, 9, 6)[index],
        tone_db=rng.uniform(-7, -1),
        fall_db=rng.uniform(3, 6),
        hum_db=rng.uniform(-18, -10),
        corner=rng.uniform(250, 600),
        fall_octave=rng.uniform(4.5, 7.0),
        housing=sounds.draw_modes(rng, 5, (220.0, 5000.0), decay=(0.002, 0.008)),
    )


def draw_state(rng: np.random.Generator, unit: Unit) -> OperatingState:
    """Draws one healthy state."""
    return OperatingState(
        speed=1.0 + rng.normal(0, 0.012),
        load=rng.normal(0, 1.0),
        tilt=rng.normal(0, 0.25),
        unbalance_db=rng.normal(0, 1.5),
        whirl=rng.uniform(0.02, 0.07),
        hum_db=rng.normal(0, 1.0),
        blade_db=rng.normal(0, 1.0),
    )


def damage(
    rng: np.random.Generator, state: OperatingState, fault: str, severity: float
) -> OperatingState:
    """Returns the state with a fault of severity 0 (inaudible) to 1 (clear).

    Unbalance: a mass on the rotor lifts the once-per-turn tone and modulates the rest with the
    turn (hidden from a time average). Voltage: the speed falls or rises, the hum and (with the
    fifth power of the speed) the flow noise follow. Clogging: less flow, less hiss, separated flow
    rumbles, blade tones rise, the unloaded shaft speeds up a little.
    """
    if fault == "unbalance":
        return dataclasses.replace(
            state,
            unbalance_db=state.unbalance_db + 12 * severity,
            whirl=state.whirl + 0.45 * severity,
        )
    if fault == "voltage":
        sign = rng.choice([-1.0, -1.0, 1.0])
        return dataclasses.replace(
            state,
            speed=state.speed * (1 + sign * 0.07 * severity),
            hum_db=state.hum_db + sign * 4 * severity,
        )
    return dataclasses.replace(
        state,
        speed=state.speed * (1 + 0.015 * severity),
        throttle_db=3.5 * severity,
        stall_db=-22 + 13 * severity,
        blade_db=state.blade_db + 3 * severity,
    )


def sound(
    rng: np.random.Generator, unit: Unit, state: OperatingState, clock: Clock
) -> Float[np.ndarray, "samples"]:
    """Sound of the fan at its surface, float32 `[samples]`, level relative."""
    shaft = unit.shaft_hz * state.speed
    pace = 1.0 + sounds.wander(rng, clock, every=1.0, size=0.002)
    turning = sounds.rotation(clock, shaft * pace, rng.uniform(0, 2 * np.pi))
    tones = sounds.harmonics(turning, _shaft_weights(rng, unit, state))
    blades = turning.copy()
    for _ in range(unit.blades - 1):
        blades *= turning
    swing = 1.0 + state.whirl * np.real(turning) + sounds.wander(rng, clock, every=0.3, size=0.06)
    blade_tones = sounds.harmonics(blades, _blade_weights(rng, unit, state))
    flow = _flow(rng, unit, state, clock) * (1.0 + 0.2 * np.real(blades))
    return (tones + swing * (blade_tones + flow)).astype(np.float32)


def _shaft_weights(rng: np.random.Generator, unit: Unit, state: OperatingState) -> list[complex]:
    levels = np.array([-16.0 + state.unbalance_db, -20.0 + 0.4 * state.unbalance_db, -26.0])
    phases = rng.uniform(0, 2 * np.pi, 3)
    return list(decibel(levels + 40 * np.log10(state.speed)) * np.exp(1j * phases))


def _blade_weights(rng: np.random.Generator, unit: Unit, state: OperatingState) -> list[complex]:
    order = np.arange(1, 9)
    levels = unit.tone_db + state.blade_db - unit.fall_db * (order - 1) + 50 * np.log10(state.speed)
    levels = levels + rng.normal(0, 1.5, 8)
    gain = sounds.resonance(unit.housing, order * unit.blades * unit.shaft_hz * state.speed)
    return list(decibel(levels) * gain * np.exp(2j * np.pi * rng.uniform(0, 1, 8)))


def _flow(
    rng: np.random.Generator, unit: Unit, state: OperatingState, clock: Clock
) -> Float[np.ndarray, "samples"]:
    hz = sounds.grid(clock)
    hiss = sounds.slope(
        hz, corner=unit.corner * state.speed, db_per_octave=unit.fall_octave + state.tilt
    )
    hiss *= decibel(-state.throttle_db * hz / (hz + unit.corner))
    stall = decibel(state.stall_db) * sounds.slope(hz, corner=70.0, db_per_octave=9.0) * 6
    spectrum = np.sqrt(hiss**2 + stall**2) * sounds.resonance(unit.housing, hz)
    # 2.5: density at the corner for a noise about as strong as the tones; 50 log10: dipole noise.
    spectrum *= 2.5 * decibel(state.load + 50 * np.log10(state.speed))
    hum = decibel(unit.hum_db + state.hum_db)
    lines = [(100.0, hum), (200.0, 0.4 * hum), (300.0, 0.25 * hum)]
    return sounds.noise(rng, clock, hz, spectrum, lines=lines)
