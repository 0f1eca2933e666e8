"""Whole recordings are judged, what is no sound is not, and rows say what is wrong with a sound."""

import json
import os
import tracemalloc

import numpy as np
import pytest
import soundfile

from asd_jax.data import decode
from asd_jax.data.table import UNKNOWN
from asd_jax.detector import decide
from asd_jax.live.alarm import Alarms, Rule
from asd_jax.live.output import Output
from asd_jax.live.recordings import ClipScorer, Unreadable, read_windows, score_each, score_paths
from asd_jax.report.files import read_scores, write_scores
from asd_jax.runs.settings import Data
from tests.data import odd
from tests.live import machine
from tests.live.machine import RATE, hum


@pytest.fixture
def cut_listener(clip_scorer):
    """A detector that was trained on the first second of each recording."""
    import dataclasses

    found = clip_scorer.detector
    data = dataclasses.replace(found.config.data, long="cut")
    config = dataclasses.replace(found.config, data=data)
    return ClipScorer(dataclasses.replace(found, config=config), machine.GROUPS[0])


def put(folder, name, samples, rate=RATE):
    soundfile.write(folder / name, samples, rate)
    return str(folder / name)


def test_a_fault_late_in_a_long_recording_is_heard(tmp_path, cut_listener):
    sound = machine.with_tone(hum(30.0), start=28.0, end=29.0, hertz=2500, height=4000)
    rows = list(score_each(cut_listener, [put(tmp_path, "long.wav", sound)]))
    assert len(rows) == 30 and [row["decision"] for row in rows].index(1) == 28
    assert max(rows, key=lambda row: row["score"])["path"].endswith("long.wav#t=28,29")


def test_memory_does_not_grow_with_a_recording(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "_BLOCK", 1 << 16)
    settings, peaks = Data(clip_seconds=1.0), []
    for seconds in (20, 200):
        path = put(tmp_path, f"{seconds}.flac", np.resize(hum(5.0), seconds * 48000), 48000)
        tracemalloc.start()
        assert sum(1 for _ in read_windows(path, settings, ())) == seconds
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


NO_SOUND = {
    "silent": np.zeros(RATE),
    "constant": np.full(RATE, 0.2),
    "short": hum()[: RATE // 20] / 32768,
}


@pytest.mark.parametrize("kind", NO_SOUND)
@pytest.mark.parametrize("rate", [RATE, 44100])
def test_what_is_no_sound_gets_no_score_and_raises_no_alarm(tmp_path, clip_scorer, kind, rate):
    samples = NO_SOUND[kind] if kind == "short" else np.resize(NO_SOUND[kind], rate)
    paths = [put(tmp_path, f"{k}.wav", samples, rate) for k in range(4)]
    alarms = Alarms(Rule(raised=1, of=1))
    for row in score_each(clip_scorer, paths):
        assert np.isnan(row["score"]) and row["decision"] == UNKNOWN
        assert kind in row["quality"].split() and row["departs_from_s"] is None
        assert alarms.update(row) == {"alarm": False, "alarm_changed": ""}


def test_silence_in_the_middle_is_unknown_and_the_rest_is_scored(tmp_path, clip_scorer):
    sound = np.concatenate([hum(2.0), np.zeros(2 * RATE, np.int16), hum(1.0)])
    rows = list(score_each(clip_scorer, [put(tmp_path, "gap.wav", sound)]))
    assert [row["quality"] for row in rows] == ["", "", "silent", "silent", ""]
    assert [row["decision"] == UNKNOWN for row in rows] == [False, False, True, True, False]


def with_gap(samples, seconds):
    """The sound after a microphone that fell out for so long, where it stayed at its last value."""
    samples = samples.copy()
    samples[1000 : 1000 + round(seconds * RATE)] = samples[999]
    return samples


@pytest.mark.parametrize(
    ("samples", "rate", "flags"),
    [
        (hum(), RATE, ""),
        (hum()[: RATE // 2], RATE, "repeated"),
        (hum(), 8000, "resampled"),
        (np.clip(hum() / 1000, -1, 1), RATE, "clipped level"),
        (with_gap(hum(), 0.2), RATE, "gaps"),
        (with_gap(hum()[: RATE // 2], 0.2), RATE, "gaps repeated"),
        (with_gap(hum(), 0.05), RATE, ""),
        (np.rint(hum() / 64).astype(np.int16), RATE, "level"),
        (np.stack([hum(), np.zeros(RATE, np.int16)], 1), RATE, "dead_channel"),
    ],
)
def test_rows_say_what_is_wrong_with_the_sound(tmp_path, clip_scorer, samples, rate, flags):
    if rate != RATE:
        samples = samples[: rate * len(samples) // RATE]
    path = put(tmp_path, "a.wav", samples, rate)
    (row,) = score_each(clip_scorer, [path])
    assert score_paths(clip_scorer.detector, [path])[0][0]["quality"] == row["quality"]
    assert row["quality"].replace("repeated ", "") == flags or row["quality"] == flags
    write_scores(tmp_path / "scores.csv", [row])
    assert read_scores(tmp_path / "scores.csv")[0]["quality"] == row["quality"]


def test_a_cut_off_recording_is_scored_as_far_as_it_goes(tmp_path, clip_scorer):
    path = tmp_path / "cut.wav"
    path.write_bytes(odd.wav(hum(3.0))[: 2 * 2 * RATE])
    rows = list(score_each(clip_scorer, [str(path)]))
    assert len(rows) == 2 and {row["quality"] for row in rows} == {"cut_off"}


def test_what_cannot_be_read_is_named_and_the_others_are_scored(tmp_path, clip_scorer):
    bad = [tmp_path / name for name in ("forged.flac", "rate.wav", "pipe.wav", "gone.wav")]
    data = odd.written(tmp_path / "x.flac", hum())
    bad[0].write_bytes(odd.claim_flac_samples(data, 2**36 - 1))
    bad[1].write_bytes(odd.wav(hum(), rate=1))
    os.mkfifo(bad[2])
    odd_name = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"Ger\xe4usch.wav"))
    with open(odd_name, "wb") as file:
        file.write(odd.wav(hum()))
    found = list(score_each(clip_scorer, [*map(str, bad), odd_name]))
    assert [one.path for one in found if isinstance(one, Unreadable)] == list(map(str, bad))
    assert [one["path"] for one in found if isinstance(one, dict)] == [odd_name]


def test_unknown_is_written_as_unknown(tmp_path, clip_scorer, capsys):
    (row,) = score_each(clip_scorer, [put(tmp_path, "dead.wav", np.zeros(RATE))])
    Output("json").row(row)
    said = json.loads(capsys.readouterr().out)
    assert said["score"] is None and said["decision"] is None and said["quality"] == "silent"
    Output("table").row(row)
    assert "unknown" in (text := capsys.readouterr().out) and "[silent]" in text


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_is_unknown(score):
    assert decide(score, 1.0) == UNKNOWN and decide(1.0, np.nan) == UNKNOWN
    assert decide(2.0, 1.0) == 1 and decide(1.0, 1.0) == 0
