"""Faults by where they show, in three severities that are set by physical quantities.

In the mean spectrum: a new band or a rise of one. In loud moments: rubs, clicks, blows. In the
pattern over time: beating, interruptions, strokes that stick, strokes that are missed.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from asd_jax.data.synthetic import fan, pump, slider, sounds, valve
from asd_jax.data.synthetic.sounds import Clock, decibel
from asd_jax.data.synthetic.version2.units import Constants

SEVERITIES = ("mild", "medium", "severe")
KINDS = ("mean", "loud", "time")
OperatingState = (
    fan.OperatingState | pump.OperatingState | slider.OperatingState | valve.OperatingState
)


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault of a machine type.

    Attributes:
        name: Name.
        kind: Where it shows, of `KINDS`.
        steps: Its quantity for each of `SEVERITIES`.
        quantity: What the quantity is.
        scatter: Half width of the quantity's scatter from clip to clip: added to decibels,
            multiplied (as a share) where the quantity is a share or a depth.
    """

    name: str
    kind: str
    steps: tuple[float, float, float]
    quantity: str
    scatter: float = 1.0


_BAND = "dB, power of the new sound against the machine's"
_BLOWS = "dB, power of the blows, mean over the clip, against the machine's"
FAULTS: dict[str, tuple[Fault, Fault, Fault]] = {
    "fan": (
        Fault("bearing", "mean", (-20.0, -15.0, -10.0), _BAND),
        Fault("rubbing", "loud", (-16.0, -12.0, -8.0), _BLOWS),
        Fault("beating", "time", (0.2, 0.4, 0.7), "depth of the slow modulation", 0.15),
    ),
    "pump": (
        Fault("leak", "mean", (-18.0, -14.0, -10.0), _BAND),
        Fault("particles", "loud", (-22.0, -17.0, -12.0), _BLOWS),
        Fault("gas", "time", (0.4, 0.65, 0.9), "share of the sound that a break takes", 0.1),
    ),
    "slider": (
        Fault("dry_rail", "mean", (2.0, 4.0, 6.0), "dB, rise of the upper rolling noise", 0.5),
        Fault("dent", "loud", (-8.0, -3.0, 2.0), "dB, peak of the click against a reversal's blow"),
        Fault("sticking", "time", (0.4, 0.65, 0.9), "share of the motion that a hitch takes", 0.1),
    ),
    "valve": (
        Fault("leaking_seat", "mean", (-18.0, -14.0, -10.0), _BAND),
        Fault("hammer", "loud", (-18.0, -13.0, -8.0), _BLOWS),
        Fault("missing", "time", (0.1, 0.2, 0.35), "share of strokes that are missed", 0.1),
    ),
}


def draw_quantity(rng: np.random.Generator, fault: Fault, severity: str) -> float:
    """Draws the quantity of a fault, near the step of its severity."""
    step = fault.steps[SEVERITIES.index(severity)]
    off = fault.scatter * rng.uniform(-1, 1)
    return float(step + off if fault.scatter >= 0.5 else step * (1 + off))


def change_state(fault: Fault, value: float, state: OperatingState) -> OperatingState:
    """The state with those faults that change the machine's own sound; else the state as it is."""
    if fault.name == "dry_rail" and isinstance(state, slider.OperatingState):
        return dataclasses.replace(state, dry_db=state.dry_db + value)
    if fault.name == "dent":
        return dataclasses.replace(state, dent_db=value)
    # What makes the carriage hitch makes it late.
    if fault.name == "sticking" and isinstance(state, slider.OperatingState):
        return dataclasses.replace(state, jitter=state.jitter + 0.08 * value)
    # A plunger that sticks now and then is late at other times.
    if fault.name == "missing" and isinstance(state, valve.OperatingState):
        return dataclasses.replace(state, miss=value, jitter=state.jitter + 0.15 * value)
    return state


def add_sound(
    rng: np.random.Generator,
    fault: Fault,
    value: float,
    body: Float[np.ndarray, "samples"],
    clock: Clock,
    *,
    unit: Constants,
    state: OperatingState,
) -> Float[np.ndarray, "samples"]:
    """The machine's sound with those faults that add to it or modulate it.

    Args:
        rng: Random stream.
        fault: The fault.
        value: Its quantity.
        body: The machine's sound at its surface.
        clock: Length and rate.
        unit: Constants of the machine.
        state: Its state.
    """
    make = _SOUNDS.get(fault.name)
    if make is None:
        return body
    if fault.kind == "time":
        return body * make(rng, value, clock, unit).astype(np.float32)
    extra = make(rng, clock, unit, state)
    level = decibel(value) * np.sqrt(np.mean(body**2) / np.mean(extra**2))
    return body + np.float32(level) * extra


def _bearing(
    rng: np.random.Generator, clock: Clock, unit: fan.Unit, state: fan.OperatingState
) -> np.ndarray:
    """A worn bearing: a narrow band, modulated by the cage, and two tones of the outer race."""
    hz = sounds.grid(clock)
    center = 1400.0 * 2.0 ** rng.uniform(0, 1)
    race = 3.6 * unit.shaft_hz * state.speed  # balls times 0.4 of the shaft's speed
    lines = [(race * round(center / race * part), 0.15) for part in (0.96, 1.04)]
    return sounds.noise(rng, clock, hz, sounds.band(hz, 0.94 * center, 1.06 * center), lines=lines)


def _hiss(rng: np.random.Generator, clock: Clock, low: float, high: float) -> np.ndarray:
    hz = sounds.grid(clock)
    return sounds.noise(rng, clock, hz, sounds.band(hz, low, high))


def _leak(
    rng: np.random.Generator, clock: Clock, unit: pump.Unit, state: pump.OperatingState
) -> np.ndarray:
    return _hiss(rng, clock, 0.5 * unit.jet_hz, 0.8 * unit.jet_hz)


def _seat(
    rng: np.random.Generator, clock: Clock, unit: valve.Unit, state: valve.OperatingState
) -> np.ndarray:
    return _hiss(rng, clock, 0.6 * unit.air_hz, 1.2 * unit.air_hz)


def _rubbing(
    rng: np.random.Generator, clock: Clock, unit: fan.Unit, state: fan.OperatingState
) -> np.ndarray:
    """A blade touches the housing once a turn, for some tenths of a second at a time."""
    turn = 1 / (unit.shaft_hz * state.speed)
    times = []
    for _ in range(max(1, rng.poisson(0.5 * clock.seconds))):
        start = rng.uniform(0, clock.seconds - 0.4)
        times.append(np.arange(start, start + rng.uniform(0.15, 0.4), turn))
    at = np.concatenate(times)
    gains = decibel(rng.normal(0, 3.0, len(at)))
    return sounds.strike(clock, at, gains, sounds.ring(unit.housing[1:], clock))


def _particles(
    rng: np.random.Generator, clock: Clock, unit: pump.Unit, state: pump.OperatingState
) -> np.ndarray:
    """Clouds of dirt strike the casing, a dozen grains within a third of a second."""
    clouds = rng.uniform(0, clock.seconds - 0.4, max(1, rng.poisson(0.5 * clock.seconds)))
    at = np.concatenate([start + rng.uniform(0, 0.35, rng.integers(8, 16)) for start in clouds])
    gains = decibel(rng.normal(0, 3.0, len(at)))
    return sounds.strike(clock, at, gains, sounds.ring(unit.casing, clock))


def _hammer(
    rng: np.random.Generator, clock: Clock, unit: valve.Unit, state: valve.OperatingState
) -> np.ndarray:
    """Water hammer: every third stroke or so the pipe answers with a low blow."""
    strokes = clock.seconds / (unit.period * state.period)
    count = max(1, rng.binomial(max(1, int(strokes)), 0.3))
    at = rng.choice(max(count, int(strokes)), count, replace=False) + rng.uniform(0.1, 0.9)
    pipe = sounds.draw_modes(rng, 4, (180.0, 1100.0), decay=(0.01, 0.04))
    blow = sounds.ring(pipe, clock)
    times = np.minimum(at * unit.period * state.period, clock.seconds - 0.1)
    return sounds.strike(clock, times, decibel(rng.normal(0, 1.5, count)), blow)


def _beating(rng: np.random.Generator, depth: float, clock: Clock, unit: fan.Unit) -> np.ndarray:
    """Rotating stall: the whole sound swells and fades, its mean power unchanged."""
    angle = 2 * np.pi * (rng.uniform(0.8, 2.5) * clock.times() + rng.uniform())
    swing = 1 + depth * np.sin(angle + 0.5 * sounds.wander(rng, clock, every=0.5, size=1.0))
    return swing / np.sqrt(np.mean(swing**2))


def _gas(rng: np.random.Generator, share: float, clock: Clock, unit: pump.Unit) -> np.ndarray:
    """Gas in the suction line: the flow breaks off for tenths of a second, irregularly."""
    return _dips(rng, share, clock, every=0.6, seconds=(0.1, 0.3))


def _sticking(
    rng: np.random.Generator, share: float, clock: Clock, unit: slider.Unit
) -> np.ndarray:
    """The carriage hitches within a stroke."""
    return _dips(rng, share, clock, every=0.9 * unit.stroke, seconds=(0.1, 0.25))


def _dips(
    rng: np.random.Generator,
    share: float,
    clock: Clock,
    *,
    every: float,
    seconds: tuple[float, float],
) -> np.ndarray:
    """Returns 1 with short dips to 1 - share at random times, scaled to unchanged mean power."""
    count = max(1, rng.poisson(clock.seconds / every))
    level, time = np.ones(clock.samples), clock.times()
    for start in rng.uniform(0, clock.seconds - seconds[1], count):
        length = rng.uniform(*seconds)
        inside = slice(int(start * clock.sample_rate), int((start + length) * clock.sample_rate))
        edge = np.minimum(time[inside] - start, start + length - time[inside]) / 0.015
        level[inside] = np.minimum(level[inside], 1 - share * np.clip(edge, 0, 1))
    return level / np.sqrt(np.mean(level**2))


_SOUNDS: dict[str, Callable[..., np.ndarray]] = {
    "bearing": _bearing,
    "leak": _leak,
    "leaking_seat": _seat,
    "rubbing": _rubbing,
    "particles": _particles,
    "hammer": _hammer,
    "beating": _beating,
    "gas": _gas,
    "sticking": _sticking,
}
