"""Chance and references of a supervised classifier."""

import numpy as np

from asd_jax.scoring.metrics import auc
from asd_jax.scoring.supervised import has_learned, reference_scores


def test_guessing_has_not_learned_and_hearing_has():
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1], 60)
    noise = rng.normal(size=120)
    assert has_learned(noise, label, np.arange(120)).certain is False
    found = has_learned(noise + label, label, np.arange(120))
    assert found.certain is True and found.auc > 0.6 and found.recordings == 120


def test_versions_of_a_recording_are_no_further_evidence():
    rng = np.random.default_rng(3)
    label = np.repeat([0, 1], 12)
    score = rng.normal(size=24) + 0.6 * label
    alone = has_learned(score, label, np.arange(24))
    versions = np.repeat(np.arange(24), 20)
    many = has_learned(score[versions], label[versions], versions)
    assert many == alone
    assert has_learned(score[versions], label[versions], np.arange(480)).p_value < alone.p_value


def test_one_class_says_nothing():
    assert has_learned(np.zeros(3), np.zeros(3, int), np.arange(3)).certain is None


def test_references_learn_from_the_training_clips_alone():
    rng = np.random.default_rng(0)
    label = np.tile([0, 1], 100)
    heard = rng.normal(size=(200, 5)) * 10.0 ** np.arange(5) + 100
    heard[:, 2] += 150 * label  # one feature of five, whatever its unit
    deaf = rng.normal(size=(200, 1))
    train, test = np.arange(100), np.arange(100, 200)
    found = reference_scores({"heard": heard, "deaf": deaf}, label, train, test)
    assert auc(label[test], found["heard"]) > 0.8
    assert 0.35 < auc(label[test], found["deaf"]) < 0.65
    other = label.copy()
    other[test] = 1 - other[test]
    again = reference_scores({"heard": heard}, other, train, test)
    np.testing.assert_array_equal(again["heard"], found["heard"])
