"""Several units of one model: the same drawing, other tolerances, mountings and microphones."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from asd_jax.data.synthetic import fan, pump, slider, valve
from asd_jax.data.synthetic.sounds import Mode, decibel
from asd_jax.data.synthetic.streams import stream

MODELS = {"fan": fan, "pump": pump, "slider": slider, "valve": valve}
Constants = fan.Unit | pump.Unit | slider.Unit | valve.Unit

# How far units of one model lie apart, a multiple of the tolerances below. Set by the share of
# clips that a linear classifier names right, before any detector was tried.
SPREAD = {"fan": 1.15, "pump": 0.95, "slider": 0.9, "valve": 0.35}

# Tolerances (standard deviations) of a production: relative for times and frequencies, in dB for
# levels, in dB an octave for slopes.
RELATIVE = {
    "shaft_hz": 0.008,
    "corner": 0.05,
    "jet_hz": 0.03,
    "stroke": 0.02,
    "ramp": 0.05,
    "whine_hz": 0.01,
    "roll_hz": 0.05,
    "chatter_hz": 0.02,
    "period": 0.02,
    "dwell": 0.03,
    "air_hz": 0.05,
}
DECIBELS = {
    "tone_db": 1.0,
    "hum_db": 1.0,
    "fall_db": 0.3,
    "fall_octave": 0.15,
    "whine_db": 1.0,
    "blow_db": 0.7,
    "close_db": 0.7,
    "air_db": 1.0,
}
MODE_HZ, MODE_DB, MODE_DECAY = 0.02, 1.0, 0.1
# Where the units of a seed lie in each tolerance, in turns that differ from quantity to quantity
# (mean 0, variance 1): any two are about as far apart, whatever the seed.
PLACES = np.array([-3.0, -1.0, 1.0, 3.0]) / np.sqrt(5.0)
MOUNTING_DB = 0.7  # of the response of mounting and microphone at each of `KNOTS`
KNOTS = 62.5 * 2.0 ** np.arange(8)  # Hz


# From clip to clip (standard deviations): temperature, oil and where a blow falls move resonances.
CLIP_HZ, CLIP_DB = 0.004, 0.7


@dataclasses.dataclass(frozen=True)
class Unit:
    """One machine of a model.

    Attributes:
        constants: Constants of the machine, as version 1 has them.
        mounting: Response of its mounting and microphone in dB at `KNOTS`.
    """

    constants: Constants
    mounting: tuple[float, ...]


@functools.lru_cache(maxsize=64)
def draw_unit(seed: int, machine_type: str, index: int) -> Unit:
    """The unit with a number: the model's drawing within the tolerances of the production.

    Args:
        seed: Seed of the set; each has a model of its own.
        machine_type: Machine type.
        index: Number of the unit.
    """
    drawing = _drawing(seed, machine_type)
    rng = stream(seed, machine_type, "tolerances", version=2)

    def off(size: float) -> float:
        return float(SPREAD[machine_type] * size * rng.permutation(PLACES)[index])

    changes = {
        field.name: _vary(off, field.name, getattr(drawing, field.name))
        for field in dataclasses.fields(drawing)
    }
    levels = np.array([off(MOUNTING_DB) for _ in KNOTS])
    mounting = tuple(float(level) for level in levels - levels.mean())
    return Unit(dataclasses.replace(drawing, **changes), mounting)


def at_work(rng: np.random.Generator, unit: Unit) -> Unit:
    """The unit as it is during one clip: its resonances move a little."""
    changes = {
        field.name: tuple(
            dataclasses.replace(
                mode,
                hz=float(mode.hz * np.exp(rng.normal(0, CLIP_HZ))),
                gain=float(mode.gain * decibel(rng.normal(0, CLIP_DB))),
            )
            for mode in getattr(unit.constants, field.name)
        )
        for field in dataclasses.fields(unit.constants)
        if isinstance(getattr(unit.constants, field.name), tuple)
    }
    return dataclasses.replace(unit, constants=dataclasses.replace(unit.constants, **changes))


def smooth_response(rng: np.random.Generator, size_db: float) -> tuple[float, ...]:
    """Draws a response in dB at `KNOTS`, independent from octave to octave, of mean 0."""
    levels = rng.normal(0, size_db, len(KNOTS))
    return tuple(float(level) for level in levels - levels.mean())


def gain(response: tuple[float, ...], hz: Float[np.ndarray, "bins"]) -> Float[np.ndarray, "bins"]:
    """Amplitude of a response in dB at `KNOTS`, straight in dB an octave between them."""
    octaves = np.log2(np.maximum(hz, 1.0))
    return decibel(np.interp(octaves, np.log2(KNOTS), response))


def _drawing(seed: int, machine_type: str) -> Constants:
    rng = stream(seed, machine_type, "model", version=2)
    drawing = MODELS[machine_type].draw_unit(rng, int(rng.integers(4)))
    # Short cycles: a clip of two seconds holds several.
    if machine_type == "valve":
        return dataclasses.replace(drawing, period=rng.uniform(0.4, 0.6))
    if machine_type == "slider":
        return dataclasses.replace(drawing, stroke=rng.uniform(0.5, 0.8))
    return drawing


def _vary(off: Callable[[float], float], name: str, value: Any) -> Any:
    if name in RELATIVE:
        return float(value * np.exp(off(RELATIVE[name])))
    if name in DECIBELS:
        return float(value + off(DECIBELS[name]))
    if isinstance(value, tuple):
        return tuple(
            Mode(
                hz=float(mode.hz * np.exp(off(MODE_HZ))),
                decay=float(mode.decay * np.exp(off(MODE_DECAY))),
                gain=float(mode.gain * decibel(off(MODE_DB))),
            )
            for mode in value
        )
    return value
