"""One clip: what is drawn for it, its sound, and the mixture that is written."""

import dataclasses
import functools
import types

import numpy as np
from jaxtyping import Float, Int16

from asd_jax.data.samples import to_int16
from asd_jax.data.synthetic import factory, fan, pump, room, slider, valve
from asd_jax.data.synthetic.settings import IDS, SyntheticMachines
from asd_jax.data.synthetic.sounds import Clock, decibel
from asd_jax.data.synthetic.streams import stream

MACHINES = {"fan": fan, "pump": pump, "slider": slider, "valve": valve}

# Mean level of a normal machine, and of the microphone's own noise, in dB of full scale. MIMII's
# clips lie near -38 dB, which leaves room for the blows of a valve 30 dB above the mean.
MACHINE_DBFS = -40.0
FLOOR_DBFS = -82.0
LEAST_SEVERITY = 0.25


@dataclasses.dataclass(frozen=True)
class NamedClip:
    """Which clip of a set it is.

    Attributes:
        machine_type: Machine type.
        machine_id: Machine ID.
        label: "normal" or "abnormal".
        number: Number of the clip under this label.
        fault: Name of the fault; "" for a normal clip.
    """

    machine_type: str
    machine_id: str
    label: str
    number: int
    fault: str

    @property
    def suffix(self) -> str:
        """Returns the part of the file name after the number."""
        return ""


@dataclasses.dataclass(frozen=True)
class ClipPlan(NamedClip):
    """Everything drawn for one clip before its sound is made.

    Attributes:
        severity: Severity of the fault, 0 for a normal clip.
        unit: Constants of the machine.
        state: State of the machine.
        placement: Where the microphone stands.
        scene: What happens in the hall.
    """

    severity: float
    unit: fan.Unit | pump.Unit | slider.Unit | valve.Unit
    state: fan.OperatingState | pump.OperatingState | slider.OperatingState | valve.OperatingState
    placement: room.Placement
    scene: factory.Scene


@dataclasses.dataclass(frozen=True)
class Recording:
    """The parts of one clip, in full-scale units, float32 `[samples, channels]`.

    Attributes:
        machine: The machine in its room: the same at every signal-to-noise ratio.
        hall: The factory background at 0 dB.
        floor: The microphones' own noise.
    """

    machine: Float[np.ndarray, "samples channels"]
    hall: Float[np.ndarray, "samples channels"]
    floor: Float[np.ndarray, "samples channels"]


def unit_index(settings: SyntheticMachines, machine_id: str) -> int:
    """Returns the physical unit of an ID: its place among all IDs, or the first if alike."""
    return 0 if settings.alike else IDS.index(machine_id)


def plan_clip(
    settings: SyntheticMachines, machine_type: str, machine_id: str, label: str, number: int
) -> ClipPlan:
    """Draws one clip. Cheap: no sound is made.

    Args:
        settings: The set; of it only `seed`, `seconds` and `alike` matter here.
        machine_type: Machine type.
        machine_id: Machine ID.
        label: "normal" or "abnormal".
        number: Number of the clip under this label.
    """
    machine, seed = MACHINES[machine_type], settings.seed
    index = unit_index(settings, machine_id)
    unit = machine.draw_unit(stream(seed, machine_type, index, "unit"), index)
    clip = (machine_type, machine_id, label, number)
    rng = stream(seed, *clip, "run")
    state, fault, severity = machine.draw_state(rng, unit), "", 0.0
    if label == "abnormal":
        fault = machine.FAULTS[number % len(machine.FAULTS)]
        severity = float(rng.uniform(LEAST_SEVERITY, 1.0))
        state = machine.damage(rng, state, fault, severity)
    placement = room.draw_placement(stream(seed, *clip, "placement"))
    scene = factory.draw_scene(stream(seed, *clip, "scene"), settings.seconds)
    return ClipPlan(*clip, fault, severity, unit, state, placement, scene)


def render_clip(settings: SyntheticMachines, plan: ClipPlan) -> Recording:
    """Makes the sound of a planned clip."""
    clock = Clock(round(settings.seconds * settings.sample_rate), settings.sample_rate)
    seed, index = settings.seed, unit_index(settings, plan.machine_id)
    clip = (plan.machine_type, plan.machine_id, plan.label, plan.number)
    array = {"channels": settings.channels}
    machine = room.record(
        MACHINES[plan.machine_type].sound(
            stream(seed, *clip, "sound"), plan.unit, plan.state, clock
        ),
        clock,
        plan.placement,
        seed=seed,
        place=f"{plan.machine_type} {index}",
        **array,
    )
    machine *= decibel(MACHINE_DBFS) / nominal_rms(
        seed, plan.machine_type, index, settings.sample_rate
    )
    hall = factory.background(stream(seed, *clip, "hall"), plan.scene, clock, seed=seed)
    hall = room.array(hall, clock, direction=2.0, **array)
    hall *= decibel(MACHINE_DBFS + plan.scene.level_db)
    return Recording(machine, hall, floor(settings, clip, clock, version=1))


def floor(
    settings: SyntheticMachines, clip: tuple, clock: Clock, *, version: int
) -> Float[np.ndarray, "samples channels"]:
    """The microphones' own noise; `clip` is type, ID, label and number."""
    drawn = [
        stream(settings.seed, *clip, "floor", channel, version=version).standard_normal(
            clock.samples, dtype=np.float32
        )
        for channel in range(settings.channels)
    ]
    return np.stack(drawn, 1) * np.float32(decibel(FLOOR_DBFS))


def mix(recording: Recording, snr: float) -> Int16[np.ndarray, "samples channels"]:
    """Mixes a recording at a signal-to-noise ratio in dB: only the background's level changes."""
    hall_gain = np.float32(decibel(-snr))
    sound = recording.machine + hall_gain * recording.hall + recording.floor
    return to_int16(sound)


@functools.lru_cache(maxsize=256)
def nominal_rms(seed: int, machine_type: str, index: int, sample_rate: int) -> float:
    """RMS of a normal unit in its room at the nominal distance, over eight runs of four seconds.

    The runs are drawn for this purpose only; no clip's level is measured, so a run or a fault that
    is louder stays louder.
    """
    machine: types.ModuleType = MACHINES[machine_type]
    unit = machine.draw_unit(stream(seed, machine_type, index, "unit"), index)
    clock, powers = Clock(4 * sample_rate, sample_rate), []
    for number in range(8):
        rng = stream(seed, machine_type, index, "nominal", number)
        sound = machine.sound(rng, unit, machine.draw_state(rng, unit), clock)
        nominal = room.Placement(distance=1.0, gain_db=0.0, tilt=0.0)
        recorded = room.record(sound, clock, nominal, seed=seed, place=f"{machine_type} {index}")
        powers.append(np.mean(recorded.astype(np.float64) ** 2))
    return float(np.sqrt(np.mean(powers)))
