"""Names of configs and sweeps, and the one command with all others below it."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

from asd_jax import project
from asd_jax.__main__ import COMMANDS
from asd_jax.errors import UserError
from asd_jax.sweep import named

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    "name", ["ensemble:folder", "configs/ensemble.py:folder", "ensemble.py:folder"]
)
def test_a_config_is_found_by_name_from_anywhere(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert project.config_file(name) == f"{ROOT}/configs/ensemble.py:folder"
    monkeypatch.chdir(ROOT)
    assert project.config_file(name) == "configs/ensemble.py:folder"


def test_a_file_that_is_there_comes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("ensemble").touch()
    assert project.config_file("ensemble:x") == "ensemble:x"
    assert project.sweep_file("sun_table5") == f"{ROOT}/configs/sweeps/sun_table5.py"


def test_an_unknown_name_lists_the_known():
    with pytest.raises(
        UserError, match=r"--config=none:x is not a file.*ensemble, pump_classifier"
    ):
        project.config_file("none:x")
    with pytest.raises(UserError, match="sun_table4"):
        project.sweep_file("sun_table9")


def test_only_the_config_of_a_command_line_is_looked_up(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    given = ["x", "--config", "ensemble", "--config.seed=1", "--workdir=ensemble"]
    found = ["x", "--config=configs/ensemble.py", "--config.seed=1", "--workdir=ensemble"]
    assert project.with_config_files(given) == found
    line = ["sun_table5", "--on=print", "--config=x"]
    assert named(line) == ["configs/sweeps/sun_table5.py", *line[1:]]
    assert named(["--sweep=sun_table5"]) == ["--sweep=configs/sweeps/sun_table5.py"]
    assert named(["--sweep", "sun_table5"]) == ["--sweep", "configs/sweeps/sun_table5.py"]


def test_a_wheel_has_its_own(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "mine.py").touch()
    monkeypatch.setattr(project, "_INSIDE", tmp_path)
    assert project.config_file("configs/mine.py") == f"{tmp_path}/configs/mine.py"


def asd_jax(*words, cwd=ROOT):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "asd_jax", *words]
    return subprocess.run(line, capture_output=True, text=True, cwd=cwd, env=environment)


def test_every_command_is_a_module():
    for module, _ in COMMANDS.values():
        assert importlib.util.find_spec(module), module
    said = asd_jax().stdout
    assert all(f"\n  {name} " in said for name in COMMANDS)
    wrong = asd_jax("trian")
    assert wrong.returncode == 2 and "'trian' is no command" in wrong.stderr


def test_commands_get_their_words_and_end_with_their_status(tmp_path):
    refused = asd_jax("train", "--config=ensemble:folder", cwd=tmp_path)
    assert refused.returncode == 2 and "config.data.root is empty" in refused.stderr
    watched = asd_jax("watch", "--detector=nowhere", str(tmp_path))
    assert watched.returncode == 2 and "nowhere holds no detector" in watched.stderr
    lost = asd_jax("watch", "--detector=nowhere")
    assert lost.returncode == 2 and "the one folder to watch" in lost.stderr
    swept = asd_jax("sweep", "sun_table5", "--on=print", cwd=tmp_path)
    assert swept.returncode == 0 and "network.attention=eca" in swept.stdout


def test_the_doctor_says_what_is_missing_and_how_to_get_it(monkeypatch, capsys):
    from asd_jax import doctor

    monkeypatch.setattr(doctor.metadata, "requires", lambda _: ["numpy>=2", "not-there>=1.5"])
    monkeypatch.setattr(doctor, "cache", lambda: "")
    assert doctor.main([]) == 1
    said = capsys.readouterr().out
    assert "pip install 'not-there>=1.5'" in said and len(said.splitlines()) < 20
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: ["numpy>=2", "x; extra == 'y'"])
    assert doctor.main([]) == 0 and "missing" not in capsys.readouterr().out
