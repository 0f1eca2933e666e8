"""The measuring of synthetic machines: told apart where they differ, heard where it shows."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from asd_jax.data import synthetic
from tests.benchmarks import synthetic as measured

SETTINGS = synthetic.SyntheticMachines(
    types=("fan",), ids=("id_00", "id_02"), normal=60, abnormal=20, seconds=2.0, version=2
)


def _heard(rng, *, shift=0.0, view="loud", kind="", severity=""):
    views = {name: rng.normal(0, 1, 16) for name in (*measured.SUM, "spread")}
    views[view] = views[view] + shift
    return measured.Heard(views, kind, severity, {"clip": rng.normal()})


@pytest.mark.parametrize(("apart", "low", "high"), [(3.0, 0.99, 1.0), (0.0, 0.25, 0.75)])
def test_units_are_named_where_they_differ_only(apart, low, high):
    rng = np.random.default_rng(0)
    clips = {
        ("fan", unit, "normal"): [_heard(rng, shift=apart * k, view="mean dB") for _ in range(60)]
        for k, unit in enumerate(SETTINGS.ids)
    }
    assert all(low <= share <= high for share in measured.identify(clips, SETTINGS, "fan"))


def test_a_reference_hears_its_own_view_alone_and_columns_part_the_anomalies():
    rng = np.random.default_rng(1)
    clips = {}
    for unit in SETTINGS.ids:
        clips["fan", unit, "normal"] = [_heard(rng) for _ in range(60)]
        clips["fan", unit, "abnormal"] = [
            _heard(rng, shift=4.0 * (k % 2), kind=("mean", "loud")[k % 2], severity="mild")
            for k in range(20)
        ]
    table = measured.aucs(clips, SETTINGS)
    assert table["loud"]["loud"] > 0.95 and 0.3 < table["loud"]["mean"] < 0.7
    assert table["equal sum"]["loud"] > 0.8
    for other in ("mean dB", "quiet", "spread", "level"):
        assert 0.3 < table[other]["loud"] < 0.7
    row = table["loud"]
    assert row["all"] == row["fan"] == row["mild"]
    assert row["all"] == pytest.approx((row["loud"] + row["mean"]) / 2)


def test_a_clip_is_summarised_by_its_sound():
    small = dataclasses.replace(SETTINGS, normal=2, abnormal=1)
    clips = measured.render_set(small)
    assert {key: len(part) for key, part in clips.items()} == {
        ("fan", unit, label): number
        for unit in small.ids
        for label, number in (("normal", 2), ("abnormal", 1))
    }
    one = clips["fan", "id_02", "abnormal"][0]
    assert (one.kind, one.severity) == ("mean", "mild")
    assert one.views["loud"].shape == (measured.MELS,)
    assert np.all(one.views["loud"] > one.views["mean dB"])
    assert np.all(one.views["quiet"] < one.views["mean dB"])
    power = 10 ** (one.levels["machine"] / 10) + 10 ** (one.levels["hall"] / 10)
    assert one.levels["clip"] == pytest.approx(10 * np.log10(power), abs=1.0)


@pytest.mark.slow
def test_the_command_prints_both_tables():
    command = "--version=2 --seeds=0 --types=valve --ids=2 --normal=14 --abnormal=9 --seconds=2"
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.synthetic", *command.split()],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "seed 0 valve   LDA: held out" in done.stdout
    assert "\nequal sum: all " in done.stdout and "valve/time" in done.stdout
