"""One clip of version 2: what is drawn for it, and its sound."""

import dataclasses
import functools

import numpy as np

from asd_jax.data.synthetic import room, valve
from asd_jax.data.synthetic.render import (
    MACHINE_DBFS,
    NamedClip,
    Recording,
    floor,
    unit_index,
)
from asd_jax.data.synthetic.settings import SyntheticMachines
from asd_jax.data.synthetic.sounds import Clock, decibel
from asd_jax.data.synthetic.streams import stream
from asd_jax.data.synthetic.version2 import bursts, faults, sessions, units


@dataclasses.dataclass(frozen=True)
class ClipPlan(NamedClip):
    """Everything drawn for one clip before its sound is made.

    Attributes:
        kind: Where it shows, of `faults.KINDS`; "" for a normal clip.
        severity: Of `faults.SEVERITIES`; "" for a normal clip.
        quantity: Physical quantity of the fault, 0 for a normal clip.
        unit: Constants of the machine, with what moves from clip to clip.
        state: State of the machine.
        placement: The session: where the microphone stands, speed and load of that day.
        scene: What happens in the hall.
    """

    kind: str
    severity: str
    quantity: float
    unit: units.Unit
    state: faults.OperatingState
    placement: sessions.Session
    scene: bursts.Scene

    @property
    def suffix(self) -> str:
        """Returns the part of the file name after the number: severity and fault."""
        return f"_{self.severity}_{self.fault}" if self.fault else ""


def plan_clip(
    settings: SyntheticMachines, machine_type: str, machine_id: str, label: str, number: int
) -> ClipPlan:
    """Draws one clip. Cheap: no sound is made.

    The first `settings.abnormal` normal clips, which MIMII's split tests, and all anomalous ones
    come from other sessions than the rest.

    Args:
        settings: The set; of it `seed`, `seconds`, `alike` and `abnormal` matter here.
        machine_type: Machine type.
        machine_id: Machine ID.
        label: "normal" or "abnormal".
        number: Number of the clip under this label.
    """
    seed, index = settings.seed, unit_index(settings, machine_id)
    clip = (machine_type, machine_id, label, number)
    unit = units.draw_unit(seed, machine_type, index)
    tested = label == "abnormal" or number < settings.abnormal
    first, count = (sessions.TRAIN, sessions.TEST) if tested else (0, sessions.TRAIN)
    rng = stream(seed, *clip, "run", version=2)
    session = sessions.draw_session(seed, machine_type, index, first + int(rng.integers(count)))
    state = _of_session(units.MODELS[machine_type].draw_state(rng, unit.constants), session)
    unit = units.at_work(stream(seed, *clip, "unit", version=2), unit)
    fault, kind, severity, quantity = "", "", "", 0.0
    if label == "abnormal":
        broken = _fault(machine_type, number)
        fault, kind = broken.name, broken.kind
        severity = faults.SEVERITIES[number // 3 % 3]
        quantity = faults.draw_quantity(rng, broken, severity)
        state = faults.change_state(broken, quantity, state)
    scene = bursts.draw_scene(stream(seed, *clip, "scene", version=2), settings.seconds)
    return ClipPlan(*clip, fault, kind, severity, quantity, unit, state, session, scene)


def render_clip(settings: SyntheticMachines, plan: ClipPlan) -> Recording:
    """Makes the sound of a planned clip."""
    clock = Clock(round(settings.seconds * settings.sample_rate), settings.sample_rate)
    seed, index = settings.seed, unit_index(settings, plan.machine_id)
    clip = (plan.machine_type, plan.machine_id, plan.label, plan.number)
    model = units.MODELS[plan.machine_type]
    constants = plan.unit.constants
    body = model.sound(stream(seed, *clip, "sound", version=2), constants, plan.state, clock)
    if plan.fault:
        broken = _fault(plan.machine_type, plan.number)
        rng = stream(seed, *clip, "fault", version=2)
        body = faults.add_sound(
            rng, broken, plan.quantity, body, clock, unit=constants, state=plan.state
        )
    machine = room.through(
        body,
        clock,
        lambda size: sessions.response(
            seed, plan.machine_type, index, plan.placement.number, clock.sample_rate, size
        ),
        channels=settings.channels,
    )
    rms = nominal_rms(seed, plan.machine_type, index, settings.sample_rate)
    machine *= np.float32(decibel(MACHINE_DBFS) / rms)
    hall = bursts.background(stream(seed, *clip, "hall", version=2), plan.scene, clock, seed=seed)
    hall = room.array(hall, clock, channels=settings.channels, direction=2.0)
    hall *= np.float32(decibel(MACHINE_DBFS + plan.scene.steady.level_db))
    return Recording(machine, hall, floor(settings, clip, clock, version=2))


@functools.lru_cache(maxsize=256)
def nominal_rms(seed: int, machine_type: str, index: int, sample_rate: int) -> float:
    """RMS of a normal unit at its place in no session's way, over eight runs of four seconds."""
    unit, model = units.draw_unit(seed, machine_type, index), units.MODELS[machine_type]
    clock, powers = Clock(4 * sample_rate, sample_rate), []
    for number in range(8):
        rng = stream(seed, machine_type, index, "nominal", number, version=2)
        state = model.draw_state(rng, unit.constants)
        recorded = room.through(
            model.sound(rng, unit.constants, state, clock),
            clock,
            lambda size: sessions.response(seed, machine_type, index, -1, sample_rate, size),
        )
        powers.append(np.mean(recorded.astype(np.float64) ** 2))
    return float(np.sqrt(np.mean(powers)))


def _fault(machine_type: str, number: int) -> faults.Fault:
    """Faults take turns, and after each round the severity goes up."""
    kinds = faults.FAULTS[machine_type]
    return kinds[number % len(kinds)]


def _of_session(state: faults.OperatingState, session: sessions.Session) -> faults.OperatingState:
    """The state at a session's speed and load."""
    changes = {}
    if isinstance(state, valve.OperatingState):
        changes["period"] = state.period / session.speed
    else:
        changes["speed"] = state.speed * session.speed
    name = "load" if hasattr(state, "load") else "force_db"
    changes[name] = getattr(state, name) + session.load_db
    return dataclasses.replace(state, **changes)
