"""The folder of a run: taken up by the same config, refused to another."""

import json

import pytest

from asd_jax.errors import UserError
from asd_jax.runs.workdir import Stopwatch, Workdir

VALUES = {"seed": 0, "save_seconds": 60.0, "pretrain": {"epochs": 2.0}}


def test_the_same_config_goes_on(tmp_path):
    Workdir.open(str(tmp_path / "run"), VALUES, VALUES)
    assert Workdir.open(str(tmp_path / "run"), VALUES, VALUES).config() == VALUES


def test_another_config_is_refused_by_the_fields_that_differ(tmp_path):
    Workdir.open(str(tmp_path), VALUES, VALUES)
    with pytest.raises(UserError, match=r"pretrain\.epochs: 2\.0 there, 3\.0 now") as refused:
        Workdir.open(str(tmp_path), VALUES | {"pretrain": {"epochs": 3.0}}, VALUES)
    assert "seed" not in str(refused.value)


def test_what_changes_no_result_may_differ(tmp_path):
    Workdir.open(str(tmp_path), VALUES, VALUES)
    again = Workdir.open(str(tmp_path), VALUES | {"save_seconds": 1.0}, VALUES)
    assert again.config() == VALUES  # the folder's own


def test_a_field_added_since_counts_as_its_default(tmp_path):
    Workdir.open(str(tmp_path), VALUES, VALUES)
    newer = VALUES | {"added": 1}
    Workdir.open(str(tmp_path), newer, newer)
    with pytest.raises(UserError, match="added: 1 there by default"):
        Workdir.open(str(tmp_path), newer | {"added": 2}, newer)


def test_a_damaged_folder_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        Workdir.open(str(tmp_path), VALUES, VALUES)


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--workdir="):
        Workdir.open(str(tmp_path / "file" / "run"), VALUES, VALUES)


def test_a_run_is_finished_by_its_results(tmp_path, capsys):
    workdir = Workdir.open(str(tmp_path), VALUES, VALUES)
    assert not workdir.finished()
    results = {"verdict": "Of 3 faulty clips 2 were caught.", "mean": {"auc": 0.75, "pauc": 0.5}}
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert workdir.finished()
    workdir.say_result()
    said = capsys.readouterr().out
    assert "2 were caught" in said and "Mean AUC 0.7500" in said and "report.html" in said


def test_the_terminal_says_what_was_learned_and_what_to_do_next(tmp_path, capsys):
    workdir = Workdir.open(str(tmp_path / "my run"), VALUES, VALUES)
    learned = {
        "sentences": ["Learned from 8 healthy recordings."],
        "heard": [{"fault": "a hum", "cells": [["-20 dB", 1, 3]]}],
        "next": [["Judge recordings", "python -m asd_jax.score --detector=RUN/detector PATH"]],
    }
    results = {"verdict": "Nothing.", "mean": {}, "learned": learned}
    (tmp_path / "my run" / "results.json").write_text(json.dumps(results))
    workdir.say_result()
    said = capsys.readouterr().out
    assert said.startswith("Learned from 8 healthy recordings.\n")
    assert "a hum: 1 of 3 at -20 dB" in said
    assert f"\n    python -m asd_jax.score --detector='{tmp_path}/my run'/detector PATH\n" in said


def test_laps_are_booked_by_name_beside_those_from_elsewhere():
    stopwatch = Stopwatch({"data": 3.0})
    stopwatch.lap("pretrain")
    assert stopwatch.seconds.keys() == {"data", "pretrain"} and stopwatch.seconds["data"] == 3.0
