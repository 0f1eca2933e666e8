"""The ensemble's detector: which machine a clip of several is taken for."""

import dataclasses

import numpy as np
import pytest

from tests.live import machine


@pytest.mark.parametrize(
    ("candidates", "name", "decision"),
    [([0], "a", 1), ([1], "b", 0), ([0, 1], "b", 0), ([0, 2], "c", -1)],
)
def test_a_clip_is_of_the_machine_that_explains_it_best(candidates, name, decision):
    """By the distance from each machine's own threshold; c has none, and counts as it is."""
    several = dataclasses.replace(
        machine.detector(),
        groups=(("hum", "a"), ("hum", "b"), ("hum", "c")),
        thresholds=np.array([1.0, 5.0, np.nan]),
        normal_scores=(np.linspace(-1.0, 1.0, 9),) * 3,
    )
    score = np.array([2.0, 4.0, 0.5], np.float32)
    row = several._best("x.wav", score, {"statistics": 10 * score}, candidates)
    assert (row["machine_id"], row["decision"]) == (name, decision)
    assert row["score_statistics"] == pytest.approx(10 * row["score"])
