"""Which recordings are scored, and as which machine."""

import subprocess
import sys

import pytest

from asd_jax import score
from asd_jax.errors import UserError

GROUPS = (("fan", "00"), ("fan", "02"), ("pump", "00"), ("ToyCar", "00"), ("motor", "north wing"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("0_dB_fan/id_00/normal/00000001.wav", [0]),
        ("fan/test/anomaly_id_02_00000001.wav", [1]),
        ("ToyCar/test/section_00_target_test_normal_0001.wav", [3]),
        ("pump/new recording.wav", [2]),
        ("fan/00.wav", [0, 1]),
        ("motor/north wing/1.wav", [4]),
        ("fantastic/new.wav", [0, 1, 2, 3, 4]),
    ],
)
def test_the_path_tells_the_machine_or_leaves_candidates(path, expected):
    assert score.machines_of(path, GROUPS) == expected


def test_chosen_machine():
    assert score.chosen_machine(None, GROUPS) is None
    assert score.chosen_machine("fan/02", GROUPS) == ("fan", "02")
    assert score.chosen_machine("motor", [("motor", "")]) == ("motor", "")
    for name in ("pump", "pump/00", "pump 00"):  # as it is shown, and as it is stored
        assert score.chosen_machine(name, GROUPS) == ("pump", "00")
    with pytest.raises(UserError, match="it knows fan/00, fan/02, pump, ToyCar, motor/north wing"):
        score.chosen_machine("fan", GROUPS)
    with pytest.raises(UserError, match="it knows fan/00"):
        score.chosen_machine("fan/99", GROUPS)


def test_finds_recordings_below_folders_and_names_what_is_missing(tmp_path):
    (tmp_path / "a b" / "ü").mkdir(parents=True)
    for name in ("a b/2.WAV", "a b/ü/1.flac", "a b/notes.txt", "a b/._2.wav"):
        (tmp_path / name).touch()
    found = score.find_recordings([str(tmp_path)])
    assert [p.removeprefix(f"{tmp_path}/") for p in found] == ["a b/2.WAV", "a b/ü/1.flac"]
    with pytest.raises(UserError, match="nowhere does not exist"):
        score.find_recordings(["nowhere"])


@pytest.mark.parametrize("output", ["nowhere/a.csv", ".", "/proc/a.csv"])
def test_an_output_that_can_not_be_written_is_refused_before_the_detector_is_read(tmp_path, output):
    (tmp_path / "a.wav").touch()
    command = [sys.executable, "-m", "asd_jax.score", "--detector=nowhere", f"--output={output}"]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith(f"error: --output={output}: ")
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1
