"""A linear slider: a belt or screw drives a carriage to and fro on a rail."""

import dataclasses

import numpy as np
from jaxtyping import Float

from asd_jax.data.synthetic import sounds
from asd_jax.data.synthetic.sounds import Clock, Mode, decibel

FAULTS = ("rail_damage", "loose_belt", "no_grease")


@dataclasses.dataclass(frozen=True)
class Unit:
    """Constants of one slider.

    Attributes:
        stroke: Seconds from one reversal to the next.
        ramp: Seconds to reach full speed.
        whine_hz: Tone of the drive at full speed.
        whine_db: Its level against the rolling noise.
        blow_db: Level of the blow at a reversal.
        roll_hz: Centre of the rolling noise.
        frame: Resonances of the frame: reversals strike them, and they shape the whine.
        rail: Resonances of the rail, which a damaged place strikes.
        chatter_hz: Tone of a dry rail.
    """

    stroke: float
    ramp: float
    whine_hz: float
    whine_db: float
    blow_db: float
    roll_hz: float
    frame: tuple[Mode, ...]
    rail: tuple[Mode, ...]
    chatter_hz: float


@dataclasses.dataclass(frozen=True)
class OperatingState:
    """State of a slider during one clip; the defaults are those of a healthy one.

    Attributes:
        speed: Speed against nominal.
        load: Level of the rolling noise in dB.
        blow_db: Level of the reversals.
        whine_db: Level of the drive.
        jitter: Standard deviation of a reversal's time, part of a stroke.
        dent_db: Level of the click where the rail is damaged; -inf: sound rail.
        dent_at: Place of the damage, part of the stroke.
        slack_db: Level of the second blow after a reversal when the belt slaps; -inf: tight.
        flutter: Depth of the belt's flutter after a reversal.
        dry_db: Rise of the upper rolling noise.
        chatter_db: Level of stick-slip chatter; -inf: none.
    """

    speed: float
    load: float
    blow_db: float
    whine_db: float
    jitter: float = 0.004
    dent_db: float = -np.inf
    dent_at: float = 0.5
    slack_db: float = -np.inf
    flutter: float = 0.05
    dry_db: float = 0.0
    chatter_db: float = -np.inf


def draw_unit(rng: np.random.Generator, index: int) -> Unit:
    """Draws a slider; `index` (0 to 3) picks the part of each range, so that IDs differ."""
    part = (index + rng.uniform(0.2, 0.8)) / 4
    return Unit(
        stroke=0.65 + 0.7 * part,
        ramp=rng.uniform(0.08, 0.16),
        whine_hz=(620.0, 410.0, 880.0, 540.0)[index] * rng.uniform(0.93, 1.07),
        whine_db=rng.uniform(-6, 0),
        blow_db=rng.uniform(6, 11),
        roll_hz=700.0 + 900.0 * rng.uniform(),
        frame=sounds.draw_modes(rng, 5, (110.0, 1800.0), decay=(0.006, 0.025)),
        rail=sounds.draw_modes(rng, 4, (1800.0, 6000.0), decay=(0.001, 0.005)),
        chatter_hz=rng.uniform(1800, 3200),
    )


def draw_state(rng: np.random.Generator, unit: Unit) -> OperatingState:
    """Draws one healthy state."""
    return OperatingState(
        speed=1.0 + rng.normal(0, 0.02),
        load=rng.normal(0, 1.0),
        blow_db=rng.normal(0, 1.5),
        whine_db=rng.normal(0, 1.5),
        jitter=rng.uniform(0.002, 0.008),
        flutter=rng.uniform(0.02, 0.08),
        dry_db=rng.normal(0, 0.5),
    )


def damage(
    rng: np.random.Generator, state: OperatingState, fault: str, severity: float
) -> OperatingState:
    """Returns the state with a fault of severity 0 (inaudible) to 1 (clear).

    Rail damage: a click each time the carriage passes one place. Loose belt: a second blow after
    each reversal, irregular timing, and the drive flutters; a time average hides most of both.
    No grease: the upper rolling noise rises and the carriage chatters here and there.
    """
    if fault == "rail_damage":
        return dataclasses.replace(
            state, dent_db=-10 + 18 * severity, dent_at=rng.uniform(0.2, 0.8)
        )
    if fault == "loose_belt":
        return dataclasses.replace(
            state,
            slack_db=-14 + 14 * severity,
            flutter=state.flutter + 0.55 * severity,
            jitter=state.jitter + 0.04 * severity,
        )
    return dataclasses.replace(
        state, dry_db=state.dry_db + 7.0 * severity, chatter_db=-20 + 18 * severity
    )


def reversals(
    rng: np.random.Generator, unit: Unit, state: OperatingState, clock: Clock
) -> Float[np.ndarray, "turns"]:
    """Times in seconds of the reversals, from before the clip to after it."""
    stroke = unit.stroke / state.speed
    count = int(clock.seconds / stroke) + 4
    starts = (rng.uniform(-2, -1) + np.arange(count)) * stroke
    return starts + np.clip(rng.normal(0, state.jitter, count), -0.1, 0.1) * stroke


def sound(
    rng: np.random.Generator, unit: Unit, state: OperatingState, clock: Clock
) -> Float[np.ndarray, "samples"]:
    """Sound of the slider at its surface, float32 `[samples]`, level relative."""
    turns = reversals(rng, unit, state, clock)
    pace = _pace(unit, state, turns, clock)
    body = pace * (_drive(rng, unit, state, clock, pace, turns) + _rolling(rng, unit, state, clock))
    gains = decibel(unit.blow_db + state.blow_db + rng.normal(0, 0.8, len(turns)))
    blow = sounds.ring(unit.frame, clock)
    body += sounds.strike(clock, turns, gains, blow)
    slaps = turns + rng.uniform(0.02, 0.05, len(turns))
    body += sounds.strike(clock, slaps, gains * decibel(state.slack_db), blow)
    return (body + _clicks(rng, unit, state, clock, turns)).astype(np.float32)


def _pace(
    unit: Unit, state: OperatingState, turns: Float[np.ndarray, "turns"], clock: Clock
) -> Float[np.ndarray, "samples"]:
    # A trapezium of speed a stroke: still at the reversal, full speed after the ramp.
    knots = np.stack([turns, turns + unit.ramp, np.append(turns[1:], turns[-1] + 1) - unit.ramp], 1)
    height = np.tile([0.0, 1.0, 1.0], len(turns))
    pace = np.interp(clock.times(), knots.ravel(), height)
    return (pace * state.speed).astype(np.float32)


def _drive(
    rng: np.random.Generator,
    unit: Unit,
    state: OperatingState,
    clock: Clock,
    pace: Float[np.ndarray, "samples"],
    turns: Float[np.ndarray, "turns"],
) -> Float[np.ndarray, "samples"]:
    turning = sounds.rotation(clock, unit.whine_hz * pace, rng.uniform(0, 2 * np.pi))
    order = np.arange(1, 8)
    levels = unit.whine_db + state.whine_db - 5 * (order - 1) + rng.normal(0, 1.0, 7)
    gain = sounds.resonance(unit.frame, order * unit.whine_hz * state.speed, floor=0.7)
    weights = decibel(levels) * gain * np.exp(2j * np.pi * rng.uniform(0, 1, 7))
    time = clock.times()
    since = time - turns[np.searchsorted(turns, time, side="right") - 1]
    flutter = np.exp(-since / 0.3) * np.cos(2 * np.pi * rng.uniform(9, 18) * since)
    swing = 1.0 + state.flutter * flutter.astype(np.float32)
    return swing * sounds.harmonics(turning, list(weights))


def _rolling(
    rng: np.random.Generator, unit: Unit, state: OperatingState, clock: Clock
) -> Float[np.ndarray, "samples"]:
    hz = sounds.grid(clock)
    spectrum = sounds.slope(hz, corner=unit.roll_hz, db_per_octave=6.0)
    spectrum *= decibel(state.load + state.dry_db * hz**2 / (hz**2 + 1500.0**2))
    rolling = sounds.noise(rng, clock, hz, spectrum * sounds.resonance(unit.frame, hz) * 2.0)
    if not np.isfinite(state.chatter_db):
        return rolling
    squeal = sounds.noise(
        rng, clock, hz, sounds.band(hz, 0.97 * unit.chatter_hz, 1.03 * unit.chatter_hz)
    )
    patches = np.clip(sounds.wander(rng, clock, every=0.08, size=1.0) - 0.8, 0, None)
    return rolling + 6 * np.float32(decibel(state.chatter_db)) * patches * squeal


def _clicks(
    rng: np.random.Generator, unit: Unit, state: OperatingState, clock: Clock, turns: np.ndarray
) -> Float[np.ndarray, "samples"]:
    # The same place is passed at dent_at on the way out and at 1 - dent_at on the way back.
    way = np.where(np.arange(len(turns) - 1) % 2 == 0, state.dent_at, 1 - state.dent_at)
    times = turns[:-1] + way * np.diff(turns)
    gains = decibel(unit.blow_db + state.dent_db + rng.normal(0, 2.0, len(times)))
    return sounds.strike(clock, times, gains, sounds.ring(unit.rail, clock))
