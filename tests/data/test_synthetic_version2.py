"""Version 2 of the synthetic machines: units of one model, sessions, bursts, kinds of fault."""

import csv
import dataclasses
import hashlib
import itertools
import pathlib
from collections import Counter

import numpy as np
import pytest

from asd_jax.data import clips, synthetic
from asd_jax.data.synthetic import render as render1
from asd_jax.data.synthetic import streams
from asd_jax.data.synthetic.sounds import Clock
from asd_jax.data.synthetic.version2 import bursts, faults, render, sessions, units
from asd_jax.errors import UserError
from asd_jax.recipes.ensemble import settings
from asd_jax.runs import recordings
from asd_jax.runs.settings import from_config
from tests.runs.test_settings import get_config

SMALL = synthetic.SyntheticMachines(
    types=("fan", "valve"), normal=4, abnormal=3, seconds=2.0, seed=3, version=2
)
CLOCK = Clock(8 * 16000, 16000)
# Of ground_truth.csv: random draws agree to six digits everywhere, samples only nearly.
VERSION_1_DRAWN = "8da3fff54ba46a8a6af24f4c5574b193676bd39dfb3e977af2be1026c4e9ca02"
# (RMS, RMS of the difference, two samples) of one clip a type, as frozen.
VERSION_2 = {
    "fan": (510.27, 274.70, 50, -181),
    "pump": (789.13, 455.32, -718, 724),
    "slider": (467.13, 274.64, 604, 801),
    "valve": (439.74, 432.58, -229, -589),
}
EVERY = [(kind, fault) for kind, table in faults.FAULTS.items() for fault in table]


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("small2")
    synthetic.write_machines(root, SMALL)
    return root


def _files(root: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.wav")}


def _pair(machine_type: str, fault: faults.Fault, severity: str = "severe"):
    """The same unit, state and random numbers, healthy and broken."""
    model, unit = units.MODELS[machine_type], units.draw_unit(5, machine_type, 0).constants
    state = model.draw_state(streams.stream(5, "run"), unit)
    value = fault.steps[faults.SEVERITIES.index(severity)]
    broken = faults.change_state(fault, value, state)
    healthy, body = (
        model.sound(streams.stream(5, "s"), unit, state, CLOCK) for state in (state, broken)
    )
    rng = streams.stream(5, "fault")
    return healthy, faults.add_sound(rng, fault, value, body, CLOCK, unit=unit, state=broken)


def _bands(sound: np.ndarray) -> np.ndarray:
    """Power `[bands, frames]` in thirds of an octave from 100 Hz, frames of 64 ms."""
    power = np.abs(np.fft.rfft(sound.reshape(-1, 1024) * np.hanning(1024), axis=1)) ** 2
    hz = np.fft.rfftfreq(1024, 1 / 16000)
    edges = 125.0 * 2.0 ** (np.arange(19) / 3)
    pairs = itertools.pairwise(edges)
    return np.stack([power[:, (hz >= a) & (hz < b)].mean(1) + 1e-12 for a, b in pairs])


def _db(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(power)


def _rise(machine_type: str, fault: faults.Fault, severity: str) -> dict[str, float]:
    """What a fault changes: its kind's own measure should, those of the other kinds should not."""
    pair = _pair(machine_type, fault, severity)
    hall = 0.2 * np.std(pair[0]) * streams.stream(5, "hall").standard_normal(CLOCK.samples)
    before, after = (_bands(sound + hall) for sound in pair)
    usual, now = (_db(np.median(part, axis=1)) for part in (before, after))
    high, top = (_db(np.quantile(part, 0.97, axis=1)) for part in (before, after))
    swing = [np.std(_db(part.mean(0))) for part in (before, after)]
    if fault.name == "missing":  # fewer blows: what grows is the longest pause, in seconds
        swing = [_longest_pause(part.mean(0)) for part in (before, after)]
    return {
        "median": float(np.max(np.abs(now - usual))),
        "loud": float(np.max(top - high)),
        "mean": float(abs(_db(after.mean() / before.mean()))),
        "swing": float(swing[1] - swing[0]),
    }


def _longest_pause(power: np.ndarray) -> float:
    loud = np.flatnonzero(power > 0.2 * np.quantile(power, 0.97))
    return float(np.max(np.diff(loud)) * 1024 / 16000)


def test_version_1_draws_what_it_drew(tmp_path):
    settings = synthetic.SyntheticMachines(normal=2, abnormal=3, seconds=1.0, seed=11)
    assert settings.version == 1
    synthetic.write_machines(tmp_path, dataclasses.replace(settings, types=("fan", "valve")))
    text = (tmp_path / synthetic.GROUND_TRUTH).read_bytes()
    assert hashlib.sha256(text).hexdigest() == VERSION_1_DRAWN
    assert '"version": 1' in (tmp_path / synthetic.MARKER).read_text()


@pytest.mark.parametrize("machine_type", synthetic.TYPES)
def test_version_2_sounds_as_it_did(machine_type):
    settings = synthetic.SyntheticMachines(seconds=2.0, seed=11, version=2)
    plan = render.plan_clip(settings, machine_type, "id_02", "abnormal", 1)
    sound = render1.mix(render.render_clip(settings, plan), 0)[:, 0].astype(float)
    rms, rough, *samples = VERSION_2[machine_type]
    assert (sound.std(), np.diff(sound).std()) == pytest.approx((rms, rough), abs=0.02)
    assert list(sound[[4000, 20000]]) == pytest.approx(samples, abs=2)


def test_same_seed_same_bytes_and_a_subset_gives_the_same_clips(small, tmp_path):
    less = dataclasses.replace(SMALL, types=("valve",), ids=("id_02",), normal=2)
    synthetic.write_machines(tmp_path, less)
    files, again = _files(small), _files(tmp_path)
    assert len(again) == 5
    assert all(files[name] == data for name, data in again.items())
    assert len(set(files.values())) == len(files)


def test_versions_and_seeds_share_no_clip_and_no_folder(small, tmp_path):
    with pytest.raises(UserError, match="version 2 there and 1 wished"):
        synthetic.write_machines(small, dataclasses.replace(SMALL, version=1))
    other = dataclasses.replace(SMALL, seed=4, types=("fan",))
    synthetic.write_machines(tmp_path, other)
    assert not set(_files(tmp_path).values()) & set(_files(small).values())
    one, two = (streams.stream(0, "x", version=v).integers(2**60) for v in (1, 2))
    assert one != two


def test_names_tell_severity_and_fault_and_are_read_as_mimii(small):
    names = {path.name for path in small.rglob("0_dB_fan/id_00/abnormal/*.wav")}
    assert names == {
        "00000000_mild_bearing.wav",
        "00000001_mild_rubbing.wav",
        "00000002_mild_beating.wav",
    }
    table = clips.read_clips("mimii", small)
    assert len(table) == 2 * 2 * 7
    assert Counter((c.split, c.label) for c in table) == {
        ("test", clips.ANOMALY): 12,
        ("test", clips.NORMAL): 12,
        ("train", clips.NORMAL): 4,
    }
    trained = {pathlib.Path(c.path).name for c in table if c.split == "train"}
    assert trained == {"00000003.wav"}


def test_ground_truth_names_kind_and_quantity(small):
    with open(small / synthetic.GROUND_TRUTH, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] == "abnormal"]
    assert {row["kind"] for row in rows} == set(faults.KINDS)
    for row in rows:
        (fault,) = [f for f in faults.FAULTS[row["machine_type"]] if f.name == row["fault"]]
        assert fault.kind == row["kind"] and row["severity"] == "mild"
        far = 1.0 if fault.scatter >= 0.5 else fault.scatter * fault.steps[0]
        assert abs(float(row["quantity"]) - fault.steps[0]) <= far + 1e-6


def test_severities_and_kinds_take_turns_and_do_not_go_together():
    settings = dataclasses.replace(SMALL, abnormal=36)
    plans = [render.plan_clip(settings, "fan", "id_00", "abnormal", n) for n in range(36)]
    counts = Counter((plan.kind, plan.severity) for plan in plans)
    assert len(counts) == 9 and set(counts.values()) == {4}


@pytest.mark.parametrize("machine_type", synthetic.TYPES)
def test_units_are_of_one_model_and_differ(machine_type):
    some = [units.draw_unit(7, machine_type, index) for index in range(4)]
    assert len(set(some)) == 4
    name = {"fan": "shaft_hz", "pump": "shaft_hz", "slider": "whine_hz", "valve": "period"}
    values = np.array([getattr(unit.constants, name[machine_type]) for unit in some])
    assert 0.0005 < np.std(values) / np.mean(values) < 0.05
    mounting = np.array([unit.mounting for unit in some])
    assert 0.1 < np.std(mounting) < 2 and np.abs(mounting).max() < 5
    other = units.draw_unit(8, machine_type, 0)
    assert abs(getattr(other.constants, name[machine_type]) / values.mean() - 1) > 0.01


def test_alike_ids_are_one_unit_in_the_same_sessions():
    alike = synthetic.SyntheticMachines(types=("fan",), alike=True, seconds=2.0, version=2)
    plans = [
        render.plan_clip(alike, "fan", unit, "normal", number)
        for unit in ("id_00", "id_02")
        for number in range(60)
    ]
    assert len({plan.unit.mounting for plan in plans}) == 1
    assert len({plan.unit.constants.shaft_hz for plan in plans}) == 1
    assert len({plan.placement for plan in plans}) == sessions.TRAIN + sessions.TEST
    assert len({plan.state for plan in plans}) == len(plans)


def test_test_clips_come_from_sessions_that_training_has_not_heard():
    settings = dataclasses.replace(SMALL, normal=60, abnormal=20)

    def heard(label: str, numbers: range) -> set[int]:
        some = [render.plan_clip(settings, "fan", "id_00", label, n) for n in numbers]
        return {plan.placement.number for plan in some}

    trained = heard("normal", range(20, 60))
    assert trained == set(range(sessions.TRAIN))
    assert heard("normal", range(20)) == heard("abnormal", range(20))
    assert not heard("normal", range(20)) & trained


@pytest.mark.parametrize("machine_type", synthetic.TYPES)
def test_sessions_change_speed_load_and_response_within_bounds(machine_type):
    many = [sessions.draw_session(s, machine_type, 0, n) for s in range(30) for n in (0, 5)]
    speed = np.array([one.speed - 1 for one in many])
    assert 0 < np.abs(speed).max() <= 0.03
    assert np.abs([one.load_db for one in many]).max() <= 2
    assert 0.05 < np.std([one.response for one in many]) < 1.5
    spread = [np.std(speed[k::2]) for k in (0, 1)]
    assert spread[1] > 1.2 * spread[0], "test sessions lie further out"
    plain, changed = (sessions.response(3, machine_type, 0, n, 16000, 32000) for n in (-1, 5))
    step = 20 * np.log10(np.abs(changed[200:14000]) / np.abs(plain[200:14000]))
    assert 0.2 < np.std(step) < 5


def test_bursts_are_the_loudest_in_part_of_the_clips_and_nothing_else_is_added():
    scenes = [bursts.draw_scene(streams.stream(1, n, version=2), 4.0) for n in range(200)]
    share = np.mean([bool(scene.bursts) for scene in scenes])
    assert 0.3 < share < 0.7
    assert {burst.kind for scene in scenes for burst in scene.bursts} == set(bursts.KINDS)
    clock = Clock(64000, 16000)
    quiet = dataclasses.replace(scenes[0], bursts=())
    steady = bursts.background(streams.stream(2, "h"), quiet, clock, seed=0)
    assert np.mean(steady**2) == pytest.approx(1.0, rel=1e-3)
    for kind in bursts.KINDS:
        burst = bursts.Burst(kind, start=1.5, seconds=1.0, level_db=6.0, pitch=0.4)
        loud = dataclasses.replace(quiet, bursts=(burst,))
        added = bursts.background(streams.stream(2, "h"), loud, clock, seed=0) - steady
        assert np.mean(added[24000:40000] ** 2) == pytest.approx(10**0.6, rel=0.05)
        assert np.abs(np.delete(added, np.s_[24000:40000])).max() < 1e-5
        before = bursts.Burst(kind, start=-0.5, seconds=1.0, level_db=6.0, pitch=0.4)
        cut = dataclasses.replace(quiet, bursts=(before,))
        added = bursts.background(streams.stream(2, "h"), cut, clock, seed=0) - steady
        assert np.abs(added[:8000]).max() > 0.1 and np.abs(added[8000:]).max() < 1e-5


@pytest.mark.parametrize(("machine_type", "fault"), EVERY)
def test_a_fault_shows_where_its_kind_says_and_not_elsewhere(machine_type, fault):
    found = _rise(machine_type, fault, "severe")
    if fault.kind == "mean":
        assert found["median"] > 2
        assert found["swing"] < 0.3
    elif fault.kind == "loud":
        assert found["loud"] > 3
        assert found["median"] < 2.5
        assert found["mean"] < 3
    else:
        assert found["swing"] > 0.15
        assert found["mean"] < (3 if fault.name == "missing" else 0.3)


@pytest.mark.parametrize(("machine_type", "fault"), EVERY)
def test_a_fault_grows_with_its_severity(machine_type, fault):
    assert list(fault.steps) == sorted(set(fault.steps))
    measure = {"mean": "median", "loud": "loud", "time": "swing"}[fault.kind]
    rises = [_rise(machine_type, fault, severity)[measure] for severity in faults.SEVERITIES]
    assert rises[0] < rises[2]


@pytest.mark.parametrize(
    ("machine_type", "fault"), [(m, f) for m, f in EVERY if f.quantity.startswith("dB, power")]
)
def test_the_level_of_a_new_sound_is_its_quantity(machine_type, fault):
    healthy, broken = _pair(machine_type, fault, "medium")
    level = _db(np.mean((broken - healthy) ** 2) / np.mean(healthy**2))
    assert level == pytest.approx(fault.steps[1], abs=0.1)


def test_a_valve_misses_its_share_of_strokes():
    missing = faults.FAULTS["valve"][2]
    model, unit = units.MODELS["valve"], units.draw_unit(5, "valve", 0).constants
    state = model.draw_state(streams.stream(5, "run"), unit)
    clock = Clock(60 * 16000, 16000)
    number = [
        len(model.actuations(streams.stream(5, "s"), unit, state, clock)[0])
        for state in (state, faults.change_state(missing, 0.35, state))
    ]
    assert 0.5 < number[1] / number[0] < 0.8


@pytest.mark.parametrize("machine_type", synthetic.TYPES)
def test_levels_are_normalised_and_loud_runs_stay_louder(machine_type):
    levels = []
    for number in range(12):
        plan = render.plan_clip(SMALL, machine_type, "id_00", "normal", number + 3)
        parts = render.render_clip(SMALL, plan)
        levels.append(_db(np.mean(parts.machine**2)))
        steady = dataclasses.replace(plan, scene=dataclasses.replace(plan.scene, bursts=()))
        hall = _db(np.mean(render.render_clip(SMALL, steady).hall ** 2))
        assert hall == pytest.approx(render1.MACHINE_DBFS + plan.scene.steady.level_db, abs=0.05)
    assert np.mean(levels) == pytest.approx(render1.MACHINE_DBFS, abs=2.5)
    assert 0.1 < np.std(levels) < 4


def test_version_2_needs_two_seconds_and_an_unknown_version_is_refused():
    for field, value in (("seconds", 1.0), ("version", 3)):
        with pytest.raises(UserError, match=field):
            synthetic.SyntheticMachines(**{"version": 2, field: value})
    plan = render.plan_clip(SMALL, "pump", "id_00", "abnormal", 1)
    assert render.render_clip(SMALL, plan).machine.shape == (32000, 1)


@pytest.mark.parametrize(("source", "types"), [("quickstart", 4), ("alike", 1), ("smoke", 2)])
def test_v2_in_the_configs_argument_changes_version_and_ids_alone(source, types):
    def read(argument: str) -> settings.Ensemble:
        return from_config(settings.Ensemble, get_config("ensemble", argument).to_dict())

    plain, changed = read(source), read(f"{source},v2")
    assert plain.synthetic.version == 1 and changed.synthetic.version == 2
    assert len(changed.synthetic.types) == types and len(changed.synthetic.ids) == 3
    undone = {"version": 1, "ids": plain.synthetic.ids}
    synthetic_undone = dataclasses.replace(changed.synthetic, **undone)
    assert dataclasses.replace(changed, synthetic=synthetic_undone) == plain
    roots = {recordings.synthetic_root(c.synthetic, c.data) for c in (plain, changed)}
    assert len(roots) == 2


def test_v2_of_a_real_data_set_is_refused():
    with pytest.raises(UserError, match="mimii,v2 is not known"):
        get_config("ensemble", "mimii,v2")
