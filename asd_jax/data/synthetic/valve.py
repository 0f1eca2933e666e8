"""A solenoid valve: a blow on opening, another on closing, air between them."""

import dataclasses

import numpy as np
from jaxtyping import Float

from asd_jax.data.synthetic import sounds
from asd_jax.data.synthetic.sounds import Clock, Mode, decibel

FAULTS = ("sluggish", "gritty")


@dataclasses.dataclass(frozen=True)
class Unit:
    """Constants of one valve.

    Attributes:
        period: Seconds between openings.
        dwell: Part of the period for which it is open.
        close_db: Level of the closing blow against the opening one.
        air_db: Level of the air while open.
        opening: Resonances that the opening blow excites.
        closing: Resonances that the closing blow excites.
        air_hz: Centre of the air noise.
    """

    period: float
    dwell: float
    close_db: float
    air_db: float
    opening: tuple[Mode, ...]
    closing: tuple[Mode, ...]
    air_hz: float


@dataclasses.dataclass(frozen=True)
class OperatingState:
    """State of a valve during one clip; the defaults are those of a healthy one.

    Attributes:
        period: Period against nominal.
        force_db: Level of the blows.
        spread_db: Standard deviation of the level from blow to blow.
        jitter: Standard deviation of an actuation's delay in seconds.
        pause: Chance that a cycle is followed by a pause of the process.
        lag: Delay of the opening in seconds.
        soft_db: Fall of the blows of a valve that moves slowly.
        miss: Chance that an actuation fails.
        rub_db: Level of the rubbing noise around each move; -inf: none.
        bounce: Chance that a closing blow bounces.
        leak_db: Level of the air through the closed valve; -inf: tight.
    """

    period: float
    force_db: float
    spread_db: float = 0.8
    jitter: float = 0.003
    pause: float = 0.03
    lag: float = 0.0
    soft_db: float = 0.0
    miss: float = 0.0
    rub_db: float = -np.inf
    bounce: float = 0.05
    leak_db: float = -np.inf


def draw_unit(rng: np.random.Generator, index: int) -> Unit:
    """Draws a valve; `index` (0 to 3) picks the part of each range, so that IDs differ."""
    part = (index + rng.uniform(0.2, 0.8)) / 4
    return Unit(
        period=0.75 + 0.55 * part,
        dwell=rng.uniform(0.25, 0.5),
        close_db=rng.uniform(-9, -3),
        air_db=rng.uniform(-40, -34),
        opening=sounds.draw_modes(rng, 5, (1100.0, 7300.0), decay=(0.001, 0.006)),
        closing=sounds.draw_modes(rng, 5, (600.0, 5500.0), decay=(0.001, 0.008)),
        air_hz=2500.0 + 2500.0 * rng.uniform(),
    )


def draw_state(rng: np.random.Generator, unit: Unit) -> OperatingState:
    """Draws one healthy state."""
    return OperatingState(
        period=1.0 + rng.normal(0, 0.01),
        force_db=rng.normal(0, 1.2),
        spread_db=rng.uniform(0.5, 1.2),
        jitter=rng.uniform(0.001, 0.005),
        bounce=rng.uniform(0.0, 0.1),
    )


def damage(
    rng: np.random.Generator, state: OperatingState, fault: str, severity: float
) -> OperatingState:
    """Returns the state with a fault of severity 0 (inaudible) to 1 (clear).

    Both are MIMII's contamination. Sluggish: a sticking plunger opens late and irregularly, strikes
    softer, and now and then not at all: fewer, later, weaker blows. Gritty: dirt rubs around each
    move, the plunger bounces, the seat no longer closes tight.
    """
    if fault == "sluggish":
        return dataclasses.replace(
            state,
            lag=0.06 * severity,
            jitter=state.jitter + 0.05 * severity,
            soft_db=4.0 * severity,
            spread_db=state.spread_db + 3 * severity,
            miss=0.35 * severity,
        )
    return dataclasses.replace(
        state,
        rub_db=-32 + 18 * severity,
        bounce=state.bounce + 0.7 * severity,
        leak_db=-50 + 12 * severity,
    )


def actuations(
    rng: np.random.Generator, unit: Unit, state: OperatingState, clock: Clock
) -> tuple[Float[np.ndarray, "cycles"], Float[np.ndarray, "cycles"]]:
    """Times in seconds at which the valve opens and closes; missed actuations are left out."""
    period = unit.period * state.period
    count = int(clock.seconds / period) + 3
    pauses = (rng.uniform(size=count) < state.pause) * rng.uniform(0.6, 2.0, count)
    starts = (rng.uniform(-1, 0) + np.arange(count)) * period + np.cumsum(pauses)
    late = state.lag + np.abs(rng.normal(0, state.jitter, (2, count)))
    done = rng.uniform(size=count) >= state.miss
    opens = starts + late[0]
    closes = starts + unit.dwell * period + 0.5 * late[1]
    return opens[done], np.maximum(closes, opens + 0.02)[done]


def sound(
    rng: np.random.Generator, unit: Unit, state: OperatingState, clock: Clock
) -> Float[np.ndarray, "samples"]:
    """Sound of the valve at its surface, float32 `[samples]`, level relative."""
    opens, closes = actuations(rng, unit, state, clock)
    blow = state.force_db - state.soft_db
    gains = decibel(blow + rng.normal(0, state.spread_db, len(opens)))
    body = sounds.strike(clock, opens, gains, sounds.ring(unit.opening, clock))
    gains = decibel(blow + unit.close_db + rng.normal(0, state.spread_db, len(closes)))
    closing = sounds.ring(unit.closing, clock)
    body += sounds.strike(clock, closes, gains, closing)
    bouncing = rng.uniform(size=len(closes)) < state.bounce
    delays = rng.uniform(0.012, 0.035, len(closes))
    fall = decibel(-rng.uniform(4, 10, len(closes)))
    body += sounds.strike(clock, closes + delays, gains * fall * bouncing, closing)
    return body + _air(rng, unit, state, clock, opens, closes)


def _air(
    rng: np.random.Generator,
    unit: Unit,
    state: OperatingState,
    clock: Clock,
    opens: np.ndarray,
    closes: np.ndarray,
) -> Float[np.ndarray, "samples"]:
    hz = sounds.grid(clock)
    hiss = sounds.noise(rng, clock, hz, sounds.band(hz, unit.air_hz, 2.0 * unit.air_hz))
    level = np.full(clock.samples, decibel(state.leak_db), np.float32)
    air, rub = decibel(unit.air_db + state.force_db), decibel(state.rub_db)
    for start, end in zip(opens, closes, strict=True):
        _raise(level, clock, start, end, air)
        if rub:
            _raise(level, clock, start - rng.uniform(0.01, 0.05), start + 0.02, rub)
            _raise(level, clock, end - rng.uniform(0.02, 0.08), end, rub)
    return hiss * level


def _raise(level: np.ndarray, clock: Clock, start: float, end: float, by: float) -> None:
    first, last = (int(max(time, 0) * clock.sample_rate) for time in (start, end))
    level[first:last] += by
