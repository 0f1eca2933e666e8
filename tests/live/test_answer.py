"""What scored recordings come to, in sentences and on a page."""

import datetime
import os
import re

import pytest
import soundfile

from asd_jax.detector import load_detector
from asd_jax.live import answer
from asd_jax.live.recordings import ClipScorer, Unreadable, score_each
from tests.live import machine

GROUPS = (("fan", "00"), ("pump", "00"))


def row(path, decision, kind="fan", label=-1):
    return {
        "path": path,
        "machine_type": kind,
        "machine_id": "00",
        "decision": decision,
        "label": label,
    }


def test_the_answer_counts_what_is_anomalous_unknown_and_unreadable():
    rows = [row("a.wav", 1), row("b.wav", 0), row("c.wav", 1, "pump"), row("d.wav", -1)]
    told = answer.sentences(rows, [Unreadable("e.wav", "x"), Unreadable("f.wav", "x")], GROUPS)
    assert told[0] == "2 of 3 anomalous."
    assert told[1] == "By machine: fan 1 of 2, pump 1 of 1."
    assert told[2].startswith("1 unknown") and told[3] == "2 could not be read."
    assert answer.sentences(rows[:2], [], GROUPS) == ("1 of 2 anomalous.",)
    assert answer.sentences([], [Unreadable("e", "x")], GROUPS)[0] == "Nothing could be judged."


@pytest.mark.parametrize(("healthy", "rough"), [(5, True), (20, False)])
def test_a_threshold_of_few_clips_is_called_rough(healthy, rough):
    told = answer.sentences([{**row("a.wav", 1), "healthy_clips": healthy}], [], GROUPS)
    assert (told[-1].startswith("The threshold comes from only 5")) == rough


def test_windows_count_as_clips_of_their_recordings():
    rows = [row("a.wav#t=0,10", 1), row("a.wav#t=10,20", 1), row("b.wav#t=0,10", 0)]
    assert answer.sentences(rows, [], GROUPS) == ("2 of 3 clips anomalous, in 1 of 2 recordings.",)


def test_labels_tell_what_was_missed_and_what_was_false():
    paths = {"x/abnormal/1.wav": 1, "x/normal/2.wav": 0, "anomaly_id_00_00000001.wav": 1}
    paths |= {"x/test/3.wav": -1, "normalise.wav": -1}
    rows = answer.labelled(row(path, 0) for path in paths)
    assert [r["label"] for r in rows] == list(paths.values())
    rows[0]["decision"] = rows[1]["decision"] = 1
    told = answer.sentences(rows, [], GROUPS)
    assert told[1:] == (
        "Of 2 faulty by their folders 1 caught, 1 missed.",
        "Of 1 healthy by their folders 1 false alarm.",
    )


@pytest.mark.parametrize(
    "name",
    ["20240131_142530.wav", "rec-2024-01-31T14.25.30_a.wav", "2024-01-31 14h25m30.flac"],
)
def test_a_name_tells_when_it_was_recorded(name):
    expected = datetime.datetime(2024, 1, 31, 14, 25, 30)
    assert answer.recorded(name) == (expected, True)
    later = expected + datetime.timedelta(seconds=20)
    assert answer.recorded(f"{name}#t=20,30") == (later, True)


def test_else_the_time_stamp_tells_and_no_number_is_taken_for_a_date(tmp_path):
    path = tmp_path / "20249931_142530.wav"
    path.touch()
    os.utime(path, (1.7e9, 1.7e9))
    assert answer.recorded(str(path)) == (datetime.datetime.fromtimestamp(1.7e9), False)
    assert answer.recorded("nowhere/1.wav") is None


def test_the_page_has_a_time_line_and_the_clips_and_no_folder_of_the_user(
    detector_folder, tmp_path
):
    secret = tmp_path / "secret"
    for day, kind in ((1, "normal"), (2, "normal"), (3, "abnormal")):
        sound = machine.hum(seed=day)
        if kind == "abnormal":
            sound = machine.with_tone(sound, start=0.3, end=0.6, hertz=2000)
        folder = secret / kind
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"2024010{day}_120000.wav", sound, machine.RATE)
    scorer = ClipScorer(load_detector(str(detector_folder)))
    paths = sorted(map(str, secret.rglob("*.wav")))
    rows = answer.labelled(score_each(scorer, paths))
    page = tmp_path / "page.html"
    answer.write_page(str(page), scorer, rows, [Unreadable(f"{secret}/broken.wav", "no sound")])
    text = page.read_text("utf-8")
    assert "of 3 anomalous." in text and "1 could not be read." in text
    assert "time of recording" in text and "Times are local: 3 by the recording" in text
    assert len(re.findall(r"<audio ", text)) == 3
    assert "abnormal/20240103_120000.wav" in text and "broken.wav" in text
    assert "secret" not in text and str(tmp_path) not in text
    for gone in ("How it was made", "What each branch contributes", "gave no embedding"):
        assert gone not in text


def test_stamps_closer_than_the_sound_is_long_are_those_of_a_copy(detector_folder, tmp_path):
    paths = []
    for number in range(3):
        paths.append(str(tmp_path / f"{number}.wav"))
        soundfile.write(paths[-1], machine.hum(seed=number), machine.RATE)
        os.utime(paths[-1], (1.7e9, 1.7e9))
    scorer = ClipScorer(load_detector(str(detector_folder)))
    rows = answer.labelled(score_each(scorer, paths))
    answer.write_page(str(tmp_path / "page.html"), scorer, rows, [])
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "a copy has changed them" in text and "in the order of their names" in text
