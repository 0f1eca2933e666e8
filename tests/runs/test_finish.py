"""What a finished run of any recipe leaves."""

import dataclasses

import numpy as np
import pytest

from asd_jax.data.clips import ANOMALY, NORMAL, UNKNOWN, Clip
from asd_jax.runs import finish

ALIKE = np.zeros(2)  # dB from the training's level
CLIPS = (
    Clip("a.wav", "fan", "00", "test", NORMAL, snr="0"),
    Clip("b.wav", "fan", "02", "test", ANOMALY, snr="6"),
)


def test_a_row_decides_by_its_threshold():
    rows = finish.score_rows(CLIPS, np.array([1.0, 3.0]), np.array([2.0, 2.0]), away=ALIKE)
    assert [row["decision"] for row in rows] == [NORMAL, ANOMALY]
    assert [row["machine_id"] for row in rows] == ["00", "02"] and "snr" not in rows[0]


def test_without_a_threshold_nothing_is_decided():
    (row, _) = finish.score_rows(CLIPS, np.array([1.0, 3.0]), np.array([np.nan, 2.0]), away=ALIKE)
    assert row["decision"] == UNKNOWN


def test_branches_and_noise_levels_have_columns_of_their_own():
    scores = np.array([1.0, 3.0])
    branches = {"early_layers": 2 * scores}
    rows = finish.score_rows(CLIPS, scores, scores, branches, away=ALIKE, snr=True)
    assert [row["score_early_layers"] for row in rows] == [2.0, 6.0]
    assert [row["snr"] for row in rows] == ["0", "6"]


def test_sound_at_another_level_than_the_training_s_is_flagged_beside_its_own_flags():
    clips = (CLIPS[0], dataclasses.replace(CLIPS[1], quality="clipped"))
    scores = np.array([1.0, 3.0])
    rows = finish.score_rows(clips, scores, scores, away=np.array([-19.0, 21.0]))
    assert [row["quality"] for row in rows] == ["", "clipped level"]


def test_moments_of_frames_are_those_of_all_frames_of_a_group():
    rng = np.random.default_rng(0)
    level = rng.normal(-40.0, 5.0, (6, 8, 50))  # clips, mels, frames
    members = [np.arange(6) < 2, np.arange(6) >= 2]
    mean, std = finish.normal_frames(level.mean(-1), (level**2).mean(-1), members)
    for g, own in enumerate(members):
        frames = np.moveaxis(level[own], 1, 0).reshape(8, -1)
        np.testing.assert_allclose(mean[g], frames.mean(1), rtol=1e-6)
        np.testing.assert_allclose(std[g], frames.std(1), rtol=1e-6)


def test_a_band_that_stands_still_deviates_by_half_a_decibel():
    level = np.full((1, 4), -40.0)
    _, std = finish.normal_frames(level, level**2, [np.ones(1, bool)])
    assert std == pytest.approx(np.full((1, 4), 0.5))
