"""`python -m asd_jax.fetch mimii`: from a server to folders that the readers read."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from asd_jax.data.clips import read_clips
from asd_jax.data.decode import read_wave
from asd_jax.data.download.records import DATA_SETS, Archive, DataSet
from asd_jax.errors import UserError
from asd_jax.runs.settings import from_config
from tests.data.fetching import md5, mimii_zip


def test_mimii_is_read_as_it_was_fetched(command, server, mimii, tmp_path, capsys):
    assert command("mimii", machines=["fan", "pump"]) == 0
    root = tmp_path / "data"
    clips = read_clips("mimii", root, snr=("0",))
    assert {clip.group for clip in clips} == {
        (machine, machine_id) for machine in ("fan", "pump") for machine_id in ("00", "02")
    }
    assert len(clips) == 36 and {clip.snr for clip in clips} == {"0"}
    for name, sound in mimii["fan"].items():
        np.testing.assert_array_equal(read_wave(root / "0dB" / name), sound[:, 0])
        assert soundfile.info(root / "0dB" / name).channels == 1
    assert sorted(os.listdir(root)) == [".fetch.lock", "0dB", "fetch.json"]  # the zips are gone
    said = capsys.readouterr()
    assert f"--config=configs/ensemble.py:mimii --config.data.root={root}" in said.out
    assert "CC BY-SA 4.0" in said.err
    left = r"\d\d:\d\d<\d\d:\d\d"  # tqdm: time spent, time left
    for work in ("0_dB_fan.zip", "unpacking 0_dB_fan.zip"):
        assert re.search(rf"[\r\n]{re.escape(work)}: 100%.*\[{left}", said.err)
    before = len(server.requests)
    command("mimii", machines=["fan"], accept_licence=False)  # done, and accepted
    assert len(server.requests) == before


@pytest.mark.parametrize("level", ["-6", "6"])
def test_the_other_noise_levels_keep_their_folders(command, mimii, tmp_path, level, capsys):
    command("mimii", machines=["valve"], snr=[level])
    clips = read_clips("mimii", tmp_path / "data", snr=(level,))
    assert len(clips) == 18 and {clip.snr for clip in clips} == {level}
    assert f"--config.data.snr=\"('{level}',)\"" in capsys.readouterr().out


def test_what_was_fetched_goes_through_the_recipe(command, mimii, tmp_path, monkeypatch):
    from asd_jax.recipes.ensemble import clips as corpus
    from asd_jax.recipes.ensemble import settings
    from configs import ensemble

    command("mimii", machines=["fan"])
    config = ensemble.get_config("mimii")
    config.data.root = str(tmp_path / "data")
    config.data.cache = str(tmp_path / "cache")
    config.data.clip_seconds = 0.25
    loaded = corpus.load(from_config(settings.Ensemble, config.to_dict()), progress=False)
    assert loaded.groups == (("fan", "00"), ("fan", "02"))
    assert len(loaded.training) and len(loaded.test)


# asd_jax.main with networks of a few weights
MAIN = """
from asd_jax import commands, main
from asd_jax.recipes.ensemble import networks
from tests.recipes import tiny

networks.build = tiny.build
commands.run(main.main)
"""
SHORT = """--config.features.n_mels=64 --config.scoring.bootstrap=50 --config.data.clip_seconds=1
--config.pretrain.epochs=0.5 --config.finetune.epochs=0.5 --config.temporal.epochs=0.5
--config.fusion.epochs=0.5 --config.pretrain.batch_size=8 --config.finetune.batch_size=8
--config.temporal.batch_size=8 --config.fusion.batch_size=8"""


@pytest.mark.slow
def test_the_command_that_is_printed_trains_and_evaluates(
    command, server, mimii, tmp_path, monkeypatch, capsys
):
    content, _ = mimii_zip(tmp_path, "fan", (14, 4), 16000)
    (archive,) = (a for a in DATA_SETS["mimii"].archives if a.name == "0_dB_fan.zip")
    fan = Archive(**{**vars(archive), "size": len(content), "md5": md5(content)})
    monkeypatch.setitem(DATA_SETS, "mimii", DataSet("mimii", "MIMII", "CC BY-SA 4.0", (fan,)))
    server.files[f"/{fan.path}"] = content
    command("mimii")
    line = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert line[:3] == ["python", "-m", "asd_jax.main"]
    line = [sys.executable, "-c", MAIN, *line[3:], *SHORT.split(), f"--workdir={tmp_path / 'run'}"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    groups = {(group["machine_type"], group["machine_id"]) for group in results["groups"]}
    assert groups == {("fan", "00"), ("fan", "02")}


def test_archives_are_kept_on_request_and_unpacked_without_the_server(
    command, server, mimii, tmp_path
):
    command("mimii", machines=["fan"], keep_archives=True)
    root = tmp_path / "data"
    assert os.listdir(root / "archives") == ["0_dB_fan.zip"]
    shutil.rmtree(root / "0dB" / "fan" / "id_02")
    server.files.clear()
    command("mimii", machines=["fan"])
    assert len(read_clips("mimii", root)) == 18
    assert not (root / "archives").exists()


def test_an_archive_put_there_by_hand_is_checked(command, server, mimii, tmp_path):
    folder = tmp_path / "data" / "archives"
    folder.mkdir(parents=True)
    (folder / "0_dB_fan.zip").write_bytes(b"something else")
    with pytest.raises(UserError, match="is not the published file"):
        command("mimii", machines=["fan"])
    name = "/records/3384388/files/0_dB_fan.zip"
    (folder / "0_dB_fan.zip").write_bytes(server.files.pop(name))
    command("mimii", machines=["fan"])
    assert len(read_clips("mimii", tmp_path / "data")) == 18
