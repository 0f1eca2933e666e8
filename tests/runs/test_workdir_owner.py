"""The folder of a run: one owner at a time, a folder of this machine, nothing left of a kill."""

import gc
import os
import subprocess
import sys

import pytest

from asd_jax.errors import UserError
from asd_jax.runs.settings import Data
from asd_jax.runs.workdir import Workdir

VALUES = {"recipe": "ensemble", "seed": 0}
OWNS = """
import sys
from asd_jax.runs.workdir import Workdir
owned = Workdir.open(sys.argv[1], {"recipe": "ensemble", "seed": 0}, {})
print("owned", flush=True)
sys.stdin.read()
"""


def opened(folder):
    return Workdir.open(str(folder), VALUES, {})


def test_a_second_run_is_refused_until_the_first_is_gone_however_it_ends(tmp_path):
    command = [sys.executable, "-c", OWNS, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"owned\n"
        with pytest.raises(UserError, match=f"another run is at work in {tmp_path}; wait"):
            opened(tmp_path)
        other.kill()
        other.wait()
        opened(tmp_path)


def test_the_folder_is_free_when_its_run_is_over(tmp_path):
    owned = opened(tmp_path)
    again = opened(tmp_path)  # one process may: runs side by side, of which one goes on alone
    del owned, again
    gc.collect()
    command = [sys.executable, "-c", OWNS, str(tmp_path)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert done.stdout == b"owned\n"


def test_a_finished_run_is_anybodys_to_look_at(tmp_path):
    (tmp_path / "results.json").write_text("{}")
    command = [sys.executable, "-c", OWNS, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"owned\n"
        assert opened(tmp_path).finished()
        other.kill()


def test_what_a_killed_write_has_left_is_gone(tmp_path):
    (tmp_path / "detector").mkdir()
    for left in (".results.json.77.tmp", "detector/.arrays.npz.77.tmp"):
        (tmp_path / left).write_bytes(b"half")
    opened(tmp_path)
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("address", ["gs://bucket/run", "s3://bucket/run", "https://host/run"])
def test_an_address_is_no_folder(tmp_path, monkeypatch, address):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"--workdir is the address {address}"):
        opened(address)
    for field in ("root", "cache"):
        with pytest.raises(UserError, match=rf"config\.data\.{field} is the address {address}"):
            Data(**{field: address})
    assert os.listdir(tmp_path) == []
    Data(root="C:/recordings", cache="a:b/c")
