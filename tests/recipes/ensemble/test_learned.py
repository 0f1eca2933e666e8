"""What a first report says where only healthy recordings are there."""

import base64
import io
import re

import numpy as np
import pytest
import soundfile

from asd_jax.recipes.ensemble import learned
from asd_jax.report.contents import MadeFault, Report
from asd_jax.report.html import render
from asd_jax.report.learned import heard_sentences
from asd_jax.scoring.threshold import false_alarm_range


@pytest.mark.parametrize("held_out", [0, 1, 5, 24, 1000])
def test_chosen_clips_are_spread_and_few(held_out):
    chosen = learned.chosen(held_out)
    assert len(chosen) == min(held_out, learned.MOST) == len(set(chosen.tolist()))
    if held_out:
        assert chosen[0] == 0 and chosen[-1] == held_out - 1


def test_who_carries_the_score_follows_the_weights():
    told = learned.carried({"statistics": 0.25, "spectral": 0.69, "temporal": 0.0})
    assert told.startswith("2 parts make the score, by weight: spectral 0.73 (")
    assert "and statistics 0.27 (" in told and "temporal" not in told
    assert learned.carried({"statistics": 1.0}).startswith("One part makes the score: statistics (")


@pytest.mark.parametrize("clips", [19, 29, 199])
def test_the_range_of_false_alarms_holds_nine_thresholds_in_ten(clips):
    rng = np.random.default_rng(clips)
    rank = 0.1 * (clips + 1)
    low, high = false_alarm_range(clips, 0.1)
    # The share of uniform scores above the k-th largest of n is one minus that score.
    assert round(rank) == rank
    share = 1.0 - np.sort(rng.uniform(size=(4000, clips)))[:, -round(rank)]
    assert np.mean((share > low) & (share < high)) == pytest.approx(0.9, abs=0.03)
    assert 0 <= low < 0.1 < high < 1
    assert high - low > false_alarm_range(4 * clips, 0.1)[1] - false_alarm_range(4 * clips, 0.1)[0]


RESULTS = {
    "learned": {
        "sentences": ["Learned from 8 healthy recordings: normal (8)."],
        "heard": [{"fault": "a hum", "cells": [["-30 dB", 0, 3], ["-20 dB", 1, 3]]}],
        "next": [["Judge recordings", "python -m asd_jax.score --detector=D PATH"]],
    }
}


def test_a_page_without_a_test_clip_says_what_was_learned_and_nothing_else():
    text = render(Report(results=RESULTS, rows=()))
    for told in (
        "The detector is ready",
        "Learned from 8 healthy",
        "1 of 3",
        "it would hear 1 of 3: more healthy recordings",
        "-20 dB",
        "asd_jax.score --detector=D PATH",
    ):
        assert told in text
    for empty in ("There is no scored clip to draw", "No clips were chosen", "No machine was"):
        assert empty not in text
        assert empty in render(Report(results={}, rows=()))


def test_the_terminal_says_what_it_would_hear():
    (told,) = heard_sentences(RESULTS)
    assert "a hum: 0 of 3 at -30 dB, 1 of 3 at -20 dB." in told
    assert heard_sentences({}) == []


def faults(count=3):
    rng = np.random.default_rng(0)
    sound = (1000 * rng.normal(size=3200)).astype(np.int16)
    known = {"spectrogram": rng.normal(size=(16, 7)), "audio": sound, "sample_rate": 1600}
    first = MadeFault(fault="", strength="", heard=None, **known)
    louder = known | {"audio": 4 * sound}
    return first, *(MadeFault("a <hum>", f"-{k} dB", k == 1, **louder) for k in range(1, count))


def test_made_faults_are_there_to_see_and_to_hear_at_one_volume():
    text = render(Report(results=RESULTS, rows=(), made=faults()))
    assert text.count('<figure><img src="data:image/png') == 3
    assert ">heard</span>a &lt;hum&gt;, -1 dB" in text
    assert ">not heard</span>a &lt;hum&gt;, -2 dB" in text and "the clip as it was" in text
    sounds = [
        np.frombuffer(base64.b64decode(uri), np.uint8)
        for uri in re.findall(r'src="data:audio/wav;base64,([^"]*)"', text)
    ]
    peaks = [float(np.abs(soundfile.read(io.BytesIO(s.tobytes()))[0]).max()) for s in sounds]
    assert peaks[1] == pytest.approx(0.9, abs=0.05) and peaks[1] > 3 * peaks[0]
    assert "look and sound like" not in render(Report(results=RESULTS, rows=()))
