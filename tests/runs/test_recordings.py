"""The recordings of a run: what they are taken as, what has changed, and when the folder is its."""

import dataclasses
import json
import os

import numpy as np
import pytest

from asd_jax.data import cache
from asd_jax.data.decode import read_wave
from asd_jax.errors import UserError
from asd_jax.recipes.ensemble.recipe import RECIPE
from asd_jax.runs import packed
from asd_jax.runs import recipe as single
from asd_jax.runs.cells import Cell
from asd_jax.runs.recordings import listing, news, open_recordings
from asd_jax.runs.settings import from_config
from asd_jax.runs.workdir import Workdir
from tests.data import odd
from tests.runs.test_settings import get_config


@pytest.fixture
def values(tmp_path, monkeypatch):
    """A run of a folder of a fan's recordings."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for k in range(8):
        odd.written(tmp_path / "data/fan/train/normal" / f"{k}.wav", odd.sound(seed=k))
    odd.written(tmp_path / "data/fan/test/abnormal/x.wav", odd.sound(seed=99))
    config = get_config("ensemble", "folder").to_dict()
    config["data"] |= {"root": str(tmp_path / "data"), "clip_seconds": 1.0}
    return config


def settings(values):
    from asd_jax.recipes.ensemble.settings import Ensemble

    return from_config(Ensemble, values)


def test_what_folders_are_taken_as_is_printed(values, capsys):
    opened = open_recordings(settings(values), progress=False)
    said = capsys.readouterr().out
    assert len(opened) == 9
    assert "8 healthy, to learn from: fan/train/normal (8)" in said
    assert "1 faulty, to test: fan/test/abnormal (1)" in said


def test_seeds_side_by_side_say_it_once(values, tmp_path, capsys):
    def load(config):
        open_recordings(config, progress=False)
        return RECIPE.imagined(config, 1)

    recipe = dataclasses.replace(RECIPE, load=load, adjust=lambda config, clips: (config, clips))
    cells = [Cell({**values, "seed": s}, str(tmp_path / f"{s}")) for s in (0, 1)]
    for _ in range(2):
        packed.open_runs(recipe, cells)
        assert capsys.readouterr().out.count("8 healthy, to learn from") == 1


def test_windows_are_decoded_once_and_sound_like_their_recordings(values, tmp_path, monkeypatch):
    long = odd.sound(seed=50, seconds=3.0)
    long[16000:32000] = 0
    odd.written(tmp_path / "data/fan/train/normal/long.wav", long)
    odd.written(tmp_path / "data/fan/train/normal/same.wav", odd.sound(seed=0))
    values["data"] |= {"long": "windows"}
    asked, real = [], cache.open_cache
    monkeypatch.setattr(cache, "open_cache", lambda *a, **k: asked.append(a) or real(*a, **k))
    opened = open_recordings(settings(values), progress=False)
    assert len(asked) == 1
    windows = {c.start: k for k, c in enumerate(opened.clips) if c.path.endswith("long.wav")}
    assert list(windows) == [0.0, 2.0]  # between them it is silent
    for start, k in windows.items():
        begin = round(start * 16000)
        np.testing.assert_array_equal(opened.waves[k], long[begin : begin + 16000])
    others = [k for k in range(len(opened)) if k not in windows.values()]
    assert len(others) == 9 and not any(opened.clips[k].windowed for k in others)
    for k in others:
        np.testing.assert_array_equal(opened.waves[k], read_wave(opened.clips[k].path))


def test_the_words_of_the_config_count(values, tmp_path):
    for state in ("runs", "walks", "kaputt"):
        odd.written(tmp_path / f"data/pump/{state}/1.wav", odd.sound(seed=len(state)))
    with pytest.raises(UserError, match=r"--config\.data\.abnormal=kaputt"):
        open_recordings(settings(values), progress=False)
    values["data"] |= {"normal": "runs, walks", "abnormal": "kaputt"}
    labels = {c.path: c.label for c in open_recordings(settings(values), progress=False).clips}
    assert labels[str(tmp_path / "data/pump/kaputt/1.wav")] == 1


def test_recordings_of_any_name_are_read_again_from_the_cache(values, tmp_path):
    folder = os.fsencode(tmp_path / "data/fan/train/normal")
    with open(os.path.join(folder, b"Ger\xe4usch\n.wav"), "wb") as file:
        file.write(odd.wav(odd.sound(seed=50)))
    first = open_recordings(settings(values), progress=False)
    again = open_recordings(settings(values), progress=False)
    assert len(first) == len(again) == 10
    everything = range(10)
    np.testing.assert_array_equal(first.waves.gather(everything), again.waves.gather(everything))


@pytest.mark.parametrize("way", ["alone", "packed"])
def test_a_root_that_is_wrong_does_not_lock_the_folder(values, tmp_path, way):
    values["data"]["root"] += "x"
    folder = str(tmp_path / "run")
    with pytest.raises(UserError, match="does not exist"):
        if way == "alone":
            single.run(values, folder)
        else:
            packed.run([Cell({**values, "seed": s}, f"{folder}/{s}") for s in (0, 1)])
    assert not list((tmp_path / "run").rglob("config.json"))


def test_recordings_that_come_and_go_are_told(values, tmp_path, capsys, caplog):
    workdir = Workdir(str(tmp_path / "run"))
    config = settings(values)
    workdir.begin(values, listing(config))
    assert news(config, workdir.recordings()) == ""
    results = {"verdict": "The fan is well.", "mean": {"auc": None}}
    (tmp_path / "run" / "results.json").write_text(json.dumps(results))
    odd.written(tmp_path / "data/fan/train/normal/new.wav", odd.sound(seed=60))
    odd.written(tmp_path / "data/fan/train/normal/1.wav", odd.sound(2.0, seed=61))
    (tmp_path / "data/fan/test/abnormal/x.wav").unlink()
    assert single.run(values, workdir.folder) == 0
    assert "The fan is well." in capsys.readouterr().out
    for part in ("1 new (fan/train/normal/new.wav)", "1 gone", "1 changed", "another --workdir"):
        assert part in caplog.text


def test_data_that_are_away_are_no_news(values, tmp_path):
    config = settings(values)
    before = listing(config)
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    assert news(config, before) == "" and listing(config) == {}
