"""Recording sessions: what changes between days, and between training and test."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Complex

from asd_jax.data.synthetic import room
from asd_jax.data.synthetic.sounds import decibel
from asd_jax.data.synthetic.streams import stream
from asd_jax.data.synthetic.version2 import units

TRAIN, TEST = 4, 3  # sessions of each unit
# Standard deviations over the sessions of training, and the factor by which test sessions differ
# more: other weeks, another operator, the microphone taken down and put up again.
SPEED = {"fan": 0.006, "pump": 0.004, "slider": 0.008, "valve": 0.008}
LOAD_DB = 0.5
RESPONSE_DB = 0.35
GAIN_DB = 0.4
DISTANCE = 0.06
FURTHER = 1.6
# No session lies further out than this many standard deviations of its kind.
LIMIT = 2.0
ECHOES, ECHO = 4, 0.05  # reflections that are new in a session, and their amplitude


@dataclasses.dataclass(frozen=True)
class Session:
    """Conditions that all clips of one session share.

    Attributes:
        number: Number of the session; the last `TEST` are those of the test.
        speed: Speed against nominal.
        load_db: Load.
        response: Change of the microphone's response in dB at `units.KNOTS`.
        gain_db: Gain of the recorder.
        distance: Distance of the microphone against nominal.
        echoes: (seconds, amplitude) of reflections by what stands about on that day.
    """

    number: int
    speed: float
    load_db: float
    response: tuple[float, ...]
    gain_db: float
    distance: float
    echoes: tuple[tuple[float, float], ...]


@functools.lru_cache(maxsize=512)
def draw_session(seed: int, machine_type: str, index: int, number: int) -> Session:
    """A session of a unit."""
    rng = stream(seed, machine_type, index, "session", number, version=2)
    further = FURTHER if number >= TRAIN else 1.0

    def drawn(size: float) -> float:
        return float(further * size * np.clip(rng.normal(), -LIMIT, LIMIT))

    return Session(
        number=number,
        speed=1.0 + drawn(SPEED[machine_type]),
        load_db=drawn(LOAD_DB),
        response=units.smooth_response(rng, further * RESPONSE_DB),
        gain_db=drawn(GAIN_DB),
        distance=float(np.exp(drawn(DISTANCE))),
        echoes=tuple((rng.uniform(0.002, 0.03), drawn(ECHO)) for _ in range(ECHOES)),
    )


@functools.lru_cache(maxsize=128)
def response(
    seed: int, machine_type: str, index: int, number: int, sample_rate: int, size: int
) -> Complex[np.ndarray, "bins"]:
    """Spectrum of the way from a unit's surface to the microphone in a session.

    The stand (all units of a type are recorded on equal ones) gives the reflections and the
    reverberation, the unit its mounting, the session the rest.

    Args:
        seed: Seed of the set.
        machine_type: Machine type.
        index: Number of the unit.
        number: Number of the session; -1 for a nominal one.
        sample_rate: Samples a second.
        size: FFT length.
    """
    unit = units.draw_unit(seed, machine_type, index)
    hz = np.arange(size // 2 + 1) * (sample_rate / size)
    answer = room.reverberation(seed, f"stand {machine_type}", sample_rate, size)
    if number < 0:
        return ((answer + 1) * units.gain(unit.mounting, hz)).astype(np.complex64)
    session = draw_session(seed, machine_type, index, number)
    answer = answer + 1 / session.distance
    for seconds, amplitude in session.echoes:
        answer = answer + amplitude * np.exp(-2j * np.pi * hz * seconds)
    both = tuple(a + b for a, b in zip(unit.mounting, session.response, strict=True))
    answer = answer * units.gain(both, hz) * decibel(session.gain_db)
    return answer.astype(np.complex64)
