"""Synthetic machines: same seed same bytes, MIMII layout, faults that are physical."""

import csv
import dataclasses
import json
import pathlib
import wave

import numpy as np
import pytest

from asd_jax.data import synthetic
from asd_jax.data.synthetic import fan, pump, render, room, slider, sounds, streams, valve
from asd_jax.data.synthetic.sounds import Clock
from asd_jax.errors import UserError

SMALL = synthetic.SyntheticMachines(
    types=("fan", "valve"), normal=2, abnormal=2, seconds=1.0, snr=(6, -6), seed=3
)
CLOCK = Clock(64000, 16000)

# (RMS, RMS of the difference, two samples) of one clip a type. These may change only with VERSION.
VERSION_1 = {
    "fan": (419.76, 191.21, 100, 226),
    "pump": (434.28, 207.97, 189, -356),
    "slider": (492.31, 234.59, -428, -416),
    "valve": (458.66, 423.72, 98, -150),
}


def _files(root: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.wav")}


def _samples(path: pathlib.Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return data.reshape(-1, file.getnchannels()).astype(np.float64)


def _power(sound: np.ndarray, low: float, high: float) -> float:
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    hz = np.fft.rfftfreq(len(sound), 1 / 16000)
    return float(power[(hz >= low) & (hz < high)].sum())


def _pair(machine, fault: str, severity: float = 1.0):
    """The same unit, state and random numbers, healthy and broken."""
    unit = machine.draw_unit(streams.stream(5, "unit"), 0)
    state = machine.draw_state(streams.stream(5, "run"), unit)
    broken = machine.damage(streams.stream(5, "fault"), state, fault, severity)
    sound = [machine.sound(streams.stream(5, "s"), unit, state, CLOCK) for state in (state, broken)]
    return unit, state, broken, *sound


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("small")
    synthetic.write_machines(root, SMALL)
    return root


def test_layout_and_format(small):
    expected = {
        f"{snr}_dB_{kind}/{unit}/{label}/{number:08d}.wav"
        for snr in (6, -6)
        for kind in SMALL.types
        for unit in SMALL.ids
        for label in ("normal", "abnormal")
        for number in range(2)
    }
    assert set(_files(small)) == expected
    with wave.open(str(small / "6_dB_fan/id_00/normal/00000000.wav")) as file:
        assert file.getparams()[:4] == (1, 2, 16000, 16000)
    assert {path.name for path in small.iterdir() if path.is_file()} == {
        synthetic.MARKER,
        synthetic.GROUND_TRUTH,
    }


def test_same_seed_same_bytes_and_a_subset_gives_the_same_clips(small, tmp_path):
    less = dataclasses.replace(SMALL, types=("valve",), ids=("id_02",), snr=(-6,), abnormal=1)
    synthetic.write_machines(tmp_path, less)
    files = _files(small)
    assert len(_files(tmp_path)) == 3
    assert all(files[name] == data for name, data in _files(tmp_path).items())


def test_clips_differ_from_each_other_and_between_seeds(small, tmp_path):
    files = _files(small)
    assert len(set(files.values())) == len(files)
    synthetic.write_machines(tmp_path, dataclasses.replace(SMALL, seed=4, types=("fan",)))
    assert not set(_files(tmp_path).values()) & set(files.values())


def test_written_set_is_left_and_an_interrupted_one_continued(small, tmp_path):
    synthetic.write_machines(tmp_path, SMALL)
    victim = tmp_path / "6_dB_fan/id_00/normal/00000001.wav"
    victim.unlink()
    synthetic.write_machines(tmp_path, SMALL)
    assert not victim.exists(), "a complete set must return at once"
    marker = tmp_path / synthetic.MARKER
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"complete": False}))
    kept = tmp_path / "-6_dB_fan/id_00/normal/00000001.wav"  # the victim's own other mixture
    before = kept.stat().st_mtime_ns
    synthetic.write_machines(tmp_path, SMALL)
    assert kept.stat().st_mtime_ns == before
    assert _files(tmp_path) == _files(small)
    assert not list(tmp_path.rglob("*.tmp"))


def test_other_settings_are_refused_with_the_difference(small):
    with pytest.raises(UserError, match=r"normal 2 there and 3 wished") as error:
        synthetic.write_machines(small, dataclasses.replace(SMALL, normal=3))
    assert str(small) in str(error.value)


def test_foreign_recordings_and_damaged_markers_are_refused(tmp_path):
    (tmp_path / "fan").mkdir()
    (tmp_path / "fan" / "mine.wav").write_bytes(b"")
    with pytest.raises(UserError, match=r"holds wav files"):
        synthetic.write_machines(tmp_path, SMALL)
    (tmp_path / synthetic.MARKER).write_text("{")
    with pytest.raises(UserError, match=r"damaged"):
        synthetic.write_machines(tmp_path, SMALL)
    with pytest.raises(UserError, match=r"is a file"):
        synthetic.write_machines(tmp_path / "fan" / "mine.wav", SMALL)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("types", ("tractor",)),
        ("types", ()),
        ("ids", ("id_00", "id_00")),
        ("ids", ("id_01",)),
        ("snr", (3,)),
        ("normal", -1),
        ("seconds", 0.0),
        ("sample_rate", 100),
        ("channels", 0),
        ("seed", -1),
    ],
)
def test_settings_check_themselves(field, value):
    with pytest.raises(UserError, match=field):
        synthetic.SyntheticMachines(**{field: value})


@pytest.mark.parametrize("machine_type", synthetic.TYPES)
def test_version_1_sounds_as_it_did(machine_type):
    assert synthetic.VERSION == 1
    settings = synthetic.SyntheticMachines(seconds=2.0, seed=11)
    plan = render.plan_clip(settings, machine_type, "id_02", "abnormal", 1)
    sound = render.mix(render.render_clip(settings, plan), 0)[:, 0].astype(float)
    rms, rough, *samples = VERSION_1[machine_type]
    assert (sound.std(), np.diff(sound).std()) == pytest.approx((rms, rough), abs=0.02)
    assert list(sound[[4000, 20000]]) == pytest.approx(samples, abs=2)


@pytest.mark.parametrize("machine_type", synthetic.TYPES)
def test_snr_is_that_of_the_mean_normal_machine(machine_type):
    settings = synthetic.SyntheticMachines(seconds=4.0)
    machine, hall = [], []
    for number in range(24):
        plan = render.plan_clip(settings, machine_type, "id_00", "normal", number)
        parts = render.render_clip(settings, plan)
        machine.append(np.mean(parts.machine**2))
        # The drift of the level is drawn, so it can be taken out.
        hall.append(np.mean(parts.hall**2) / 10 ** (plan.scene.level_db / 10))
    snr = 10 * np.log10(np.mean(machine) / np.mean(hall))
    assert abs(snr) < 1.2
    assert np.std(10 * np.log10(hall)) < 0.01


def test_only_the_background_changes_with_the_snr(small):
    # Two levels of the background give it, and then the machine; a set of its own at 0 dB agrees.
    name = "id_02/abnormal/00000001.wav"
    loud, soft = (_samples(small / f"{snr}_dB_valve" / name)[:, 0] for snr in (-6, 6))
    high, low = 10 ** (6 / 20), 10 ** (-6 / 20)
    hall = (loud - soft) / (high - low)
    machine = soft - low * hall
    plan = render.plan_clip(SMALL, "valve", "id_02", "abnormal", 1)
    parts = render.render_clip(SMALL, plan)
    np.testing.assert_allclose(machine, 32768 * (parts.machine + parts.floor)[:, 0], atol=1.5)
    np.testing.assert_allclose(hall, 32768 * parts.hall[:, 0], atol=1.0)
    assert np.std(machine) > 50


def test_channel_zero_of_the_array_is_the_mono_recording():
    mono = dataclasses.replace(SMALL, channels=1)
    array = dataclasses.replace(SMALL, channels=8)
    plan = render.plan_clip(mono, "fan", "id_00", "normal", 0)
    one, eight = (render.mix(render.render_clip(s, plan), 0) for s in (mono, array))
    assert eight.shape == (16000, 8)
    np.testing.assert_array_equal(one[:, 0], eight[:, 0])
    across = np.corrcoef(eight.T.astype(float))
    assert 0.5 < across[0, 4] < 0.9999


def test_alike_ids_are_one_unit_in_one_place():
    alike, differing = (
        synthetic.SyntheticMachines(types=("fan",), alike=True, seconds=1.0),
        dataclasses.replace(SMALL, seed=0),
    )
    a, b = (render.plan_clip(alike, "fan", unit, "normal", 0) for unit in ("id_00", "id_02"))
    assert a.unit == b.unit
    assert a.state != b.state
    a, b = (render.plan_clip(differing, "fan", unit, "normal", 0) for unit in ("id_00", "id_02"))
    assert a.unit != b.unit
    # Same room, nominal level: given the same run and stream names, the sounds are equal.
    assert render.unit_index(alike, "id_02") == 0


def test_alike_ids_differ_no_more_than_halves_of_one_id():
    alike = synthetic.SyntheticMachines(types=("fan",), alike=True, seconds=1.0)

    def spectrum(unit: str, settings: synthetic.SyntheticMachines, numbers: range) -> np.ndarray:
        rows = []
        for number in numbers:
            plan = render.plan_clip(settings, "fan", unit, "normal", number)
            sound = render.render_clip(settings, plan).machine[:, 0]
            power = np.abs(np.fft.rfft(sound)) ** 2
            bands = np.array_split(power[20:4000], 40)
            rows.append([10 * np.log10(part.mean()) for part in bands])
        return np.mean(rows, axis=0)

    def gap(settings: synthetic.SyntheticMachines) -> float:
        one, two = (spectrum(unit, settings, range(16)) for unit in ("id_00", "id_02"))
        return float(np.sqrt(np.mean((one - two) ** 2)))

    halves = spectrum("id_00", alike, range(16)) - spectrum("id_00", alike, range(16, 32))
    assert gap(alike) < 2 * np.sqrt(np.mean(halves**2))
    assert gap(dataclasses.replace(alike, alike=False)) > 3 * np.sqrt(np.mean(halves**2))


@pytest.mark.parametrize(
    ("machine", "fault"),
    [(machine, fault) for machine in render.MACHINES.values() for fault in machine.FAULTS],
)
def test_a_fault_grows_with_its_severity_from_nothing(machine, fault):
    unit = machine.draw_unit(streams.stream(5, "unit"), 1)
    state = machine.draw_state(streams.stream(5, "run"), unit)

    def change(severity: float) -> float:
        broken = machine.damage(streams.stream(5, "fault"), state, fault, severity)
        healthy, sound = (
            machine.sound(streams.stream(5, "sound"), unit, state, CLOCK)
            for state in (state, broken)
        )
        frames = [np.abs(np.fft.rfft(x.reshape(-1, 1000))) ** 2 for x in (healthy, sound)]
        return float(np.sqrt(np.mean((np.log(frames[1] + 1e-9) - np.log(frames[0] + 1e-9)) ** 2)))

    assert change(1.0) > 0.1
    assert change(1.0) > change(0.3)


def test_unbalance_raises_the_shaft_tone_and_modulates():
    unit, state, broken, healthy, sound = _pair(fan, "unbalance")
    shaft = unit.shaft_hz * state.speed
    rise = _power(sound, shaft - 1, shaft + 1) / _power(healthy, shaft - 1, shaft + 1)
    assert 8 < 10 * np.log10(rise) < 16
    envelope = [np.abs(x - x.mean()) for x in (healthy, sound)]
    depth = [_power(e - e.mean(), shaft - 0.7, shaft + 0.7) for e in envelope]
    assert depth[1] > 4 * depth[0]
    assert broken.whirl > state.whirl


def test_a_lower_voltage_lowers_the_blade_pass_tone():
    unit, state, broken, _, sound = _pair(fan, "voltage")
    assert abs(broken.speed / state.speed - 1) == pytest.approx(0.07)
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    hz = np.fft.rfftfreq(len(sound), 1 / 16000)
    near = np.abs(hz / (unit.blades * unit.shaft_hz) - 1) < 0.12
    peak = hz[near][np.argmax(power[near])]
    assert peak == pytest.approx(unit.blades * unit.shaft_hz * broken.speed, rel=0.01)


def test_a_leak_hisses_in_its_band_and_particles_strike():
    unit, _, _, healthy, leaking = _pair(pump, "leakage")
    limits = (unit.jet_hz, 1.6 * unit.jet_hz)
    assert _power(leaking, *limits) > 1.5 * _power(healthy, *limits)
    _, _, _, healthy, dirty = _pair(pump, "contamination")
    blows = dirty - healthy
    assert np.abs(blows).max() > 8 * blows.std(), "particles come one by one, not as a hiss"


def test_clogging_surges():
    _, state, broken, healthy, starved = _pair(pump, "clogging")
    level = [np.sqrt(np.mean(x.reshape(-1, 800) ** 2, axis=1)) for x in (healthy, starved)]
    assert np.std(level[1]) / np.mean(level[1]) > 2 * np.std(level[0]) / np.mean(level[0])
    assert broken.surge > state.surge


def test_a_damaged_rail_clicks_once_a_pass():
    unit, state, _, healthy, damaged = _pair(slider, "rail_damage")
    clicks = np.abs(damaged - healthy)
    loud = np.flatnonzero(clicks > 0.3 * clicks.max())
    count = 1 + np.sum(np.diff(loud) > 0.1 * 16000)
    assert abs(count - 4.0 * state.speed / unit.stroke) <= 2


def test_a_dry_rail_hisses_above_and_a_loose_belt_slaps():
    _, _, _, healthy, dry = _pair(slider, "no_grease")
    assert _power(dry, 2000, 7000) > 2 * _power(healthy, 2000, 7000)
    _, state, broken, _, _ = _pair(slider, "loose_belt")
    assert broken.jitter > 3 * state.jitter and np.isfinite(broken.slack_db)


def test_a_sluggish_valve_misses_and_a_gritty_one_rubs():
    unit = valve.draw_unit(streams.stream(5, "unit"), 0)
    state = valve.draw_state(streams.stream(5, "run"), unit)
    late = valve.damage(streams.stream(5, "fault"), state, "sluggish", 1.0)
    clock = Clock(60 * 16000, 16000)
    opens = [
        valve.actuations(streams.stream(5, "s"), unit, state, clock)[0] for state in (state, late)
    ]
    assert len(opens[1]) < 0.85 * len(opens[0])
    _, _, _, healthy, gritty = _pair(valve, "gritty")
    quiet = [np.quantile(np.abs(x), 0.6) for x in (healthy, gritty)]
    assert quiet[1] > 1.5 * quiet[0]


def test_ground_truth_tells_what_was_drawn(small):
    with open(small / synthetic.GROUND_TRUTH, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 4
    broken = [row for row in rows if row["label"] == "abnormal"]
    assert {row["fault"] for row in broken if row["machine_type"] == "valve"} == set(valve.FAULTS)
    assert all(render.LEAST_SEVERITY <= float(row["severity"]) <= 1 for row in broken)
    assert all(float(row["severity"]) == 0 for row in rows if row["label"] == "normal")
    plan = render.plan_clip(SMALL, "fan", "id_00", "normal", 0)
    assert json.loads(rows[0]["run"])["speed"] == pytest.approx(plan.state.speed, abs=1e-6)


def test_distance_scales_the_direct_sound():
    blow = np.zeros(16000, np.float32)
    blow[0] = 1
    clock, common = Clock(16000, 16000), {"seed": 0, "place": "here"}
    near, far = (
        room.record(blow, clock, room.Placement(d, 0.0, 0.0), **common)[:, 0] for d in (1.0, 2.0)
    )
    assert near[0] == pytest.approx(1.0, abs=0.01) and far[0] == pytest.approx(0.5, abs=0.01)
    np.testing.assert_allclose(near[1:], far[1:], atol=1e-5)


def test_noise_has_the_wished_power_and_harmonics_the_wished_lines():
    hz = sounds.grid(CLOCK)
    white = sounds.noise(streams.stream(0, "n"), CLOCK, hz, np.ones_like(hz), lines=[(1000.0, 4.0)])
    assert np.var(white) == pytest.approx(1 + 8, rel=0.05)
    turning = sounds.rotation(CLOCK, 10.0, 0.3)
    tone = sounds.harmonics(turning, [0.0, 2.0j, 0.5])
    angle = 0.3 + 2 * np.pi * 10 * (np.arange(CLOCK.samples) + 1) / 16000
    np.testing.assert_allclose(tone, -2 * np.sin(2 * angle) + 0.5 * np.cos(3 * angle), atol=1e-3)


def test_difficulty_knows_its_split_and_refuses_other_folders(tmp_path):
    from tests.benchmarks.difficulty import describe_difficulty

    with pytest.raises(UserError, match=r"ground_truth"):
        describe_difficulty(tmp_path)
    settings = dataclasses.replace(SMALL, types=("fan",), ids=("id_00",), normal=9, abnormal=3)
    synthetic.write_machines(tmp_path, settings)
    table = describe_difficulty(tmp_path)
    assert set(table) == {"6_dB_fan/id_00", "-6_dB_fan/id_00"}
    row = table["6_dB_fan/id_00"]
    assert {"level", "level_distance", "mean_logmel", *fan.FAULTS} == set(row)
    assert all(0 <= value <= 1 for value in row.values())
