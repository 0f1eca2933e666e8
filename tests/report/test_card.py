import json
import pathlib

import pytest

from asd_jax.report.card import About, write_card

ABOUT = About(method="It has learned from normal sound.", score="High is odd.")

CONFIG = {
    "recipe": "ensemble",
    "protocol": "recommended",
    "seed": 3,
    "data": {"layout": "folder", "clip_seconds": 10.0, "sample_rate": 16000},
}
PUMP = {
    "machine_type": "pump",
    "machine_id": "02",
    "clips_normal": 30,
    "clips_anomaly": 12,
    "auc": 0.91234,
    "auc_interval": [0.85, 0.96],
    "threshold": 1.5,
    "recall": 0.75,
    "false_alarm_rate": 0.1,
}


def results(**more):
    return {"groups": [PUMP], "protocol": {}, "version": "9.9", "notes": [], **more}


def card(folder: pathlib.Path, found, config=CONFIG):
    write_card(str(folder), found, config, ABOUT)
    return (folder / "README.md").read_text()


def test_it_has_the_figures_of_each_machine_and_their_data(tmp_path):
    text = card(tmp_path, results(verdict="9 of 12 were caught."))
    assert "| pump 02 | 30, 12 | 0.912 (0.850 to 0.960) | 1.500 | 75% | 10% |" in text
    assert "the user's own recordings" in text and "seed 3" in text and "9 of 12" in text
    assert "Caveats" not in text


def test_synthetic_figures_are_called_so(tmp_path):
    config = CONFIG | {"data": CONFIG["data"] | {"layout": "synthetic"}}
    text = card(tmp_path, results(), config)
    assert "**synthetic**" in text and "nothing of any real machine" in text


@pytest.mark.parametrize(
    ("protocol", "words"),
    [({"oracle": True}, "with the test labels"), ({"leaking_clips": 4}, "too good")],
)
def test_what_flatters_is_said(tmp_path, protocol, words):
    assert words in card(tmp_path, results(protocol=protocol, notes=["few clips", "few clips"]))


def test_without_test_clips_no_figures_are_claimed(tmp_path):
    text = card(tmp_path, results(groups=[]))
    assert "nothing is known of its errors" in text and "AUC" not in text


def test_a_machine_without_faults_has_gaps(tmp_path):
    alone = PUMP | {"auc": None, "auc_interval": None, "recall": None, "clips_anomaly": 0}
    assert "| pump 02 | 30, 0 | – | 1.500 | – | 10% |" in card(tmp_path, results(groups=[alone]))


def test_results_survive_json(tmp_path):
    assert card(tmp_path, json.loads(json.dumps(results()))) == card(tmp_path, results())


def test_names_that_are_no_text_are_shown(tmp_path):
    found = results(notes=["Recordings are silent: one, Ger\udce4usch.wav."])
    assert "Ger\\udce4usch.wav" in card(tmp_path, found)
