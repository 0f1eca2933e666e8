"""From validation recordings to decisions, and what is said beside the references."""

import dataclasses

import numpy as np
import pytest

from asd_jax.data.supervised import Parts
from asd_jax.recipes.pump_classifier import decision as classifier_judge
from asd_jax.recipes.pump_classifier.clips import LabelledCorpus
from asd_jax.recipes.pump_classifier.decision import Learned, has_learned, reference_scores
from asd_jax.recipes.pump_classifier.settings import Decision
from asd_jax.scoring.metrics import auc
from tests.recipes import tiny


def corpus(train=80, validation=400, test=200, versions=1):
    """Every second recording is faulty; a recording has so many clips."""
    number = train + validation + test
    recording = np.repeat(np.arange(number), versions)
    ends = np.cumsum([train, validation]) * versions
    train, validation, test = np.split(np.arange(number * versions), ends)
    return tiny.bare(
        LabelledCorpus,
        label=recording % 2,
        recording=recording.astype(str),
        parts=Parts(train, validation, test),
    )


def logits(clips, apart, seed=0):
    """Normal and faulty recordings `apart` deviations from one another, far off zero."""
    rng = np.random.default_rng(seed)
    return 5.0 + rng.normal(size=len(clips.label)) + apart * clips.label


WISHED = Decision(false_alarm_rate=0.1, calibrate="platt")


def test_the_threshold_gives_the_wished_false_alarms_on_other_recordings():
    clips = corpus()
    logit = logits(clips, apart=2.0)
    part, test = clips.parts.validation, clips.parts.test
    judged = classifier_judge.calibrate(clips, logit[part], WISHED)
    alarm = judged.calibration(logit[test]) > judged.threshold
    false = alarm[clips.label[test] == 0].mean()
    assert 0.04 < false < 0.18
    assert alarm[clips.label[test] == 1].mean() > 0.6
    # All logits lie above 0: at 0.5 every clip would be an alarm.
    printed = classifier_judge.calibrate(clips, logit[part], Decision())
    assert printed.threshold == 0.5 and (printed.calibration(logit[test]) > 0.5).mean() > 0.95


def test_probabilities_are_those_of_the_validation_recordings():
    clips = corpus()
    logit = logits(clips, apart=2.0)
    part, test = clips.parts.validation, clips.parts.test
    said = classifier_judge.calibrate(clips, logit[part], WISHED).calibration(logit[test])
    assert said.mean() == pytest.approx(0.5, abs=0.06)
    sure = said > 0.7
    assert clips.label[test][sure].mean() == pytest.approx(said[sure].mean(), abs=0.08)


def test_few_validation_recordings_are_said_to_be_few():
    clips = corpus(validation=8)
    judged = classifier_judge.calibrate(clips, logits(clips, 2.0)[clips.parts.validation], WISHED)
    assert "Only 4 held-out normal clips" in judged.notes[0]


def beside(clips, logit, spectrum, alone=None):
    rows = np.concatenate([clips.parts.train, clips.parts.test])
    features = {"mean": spectrum, "deviation": np.zeros_like(spectrum), "level": spectrum[:, :1]}
    features = {name: values[rows] for name, values in features.items()}
    test = clips.parts.test
    alone = logit if alone is None else alone
    return classifier_judge.references(clips, features, logit[test], alone[test], draws=200, seed=0)


def spectra(clips, apart, seed=1):
    found = np.random.default_rng(seed).normal(size=(len(clips.label), 6))
    found[:, 3] += apart * clips.label
    return found


def test_a_network_below_its_reference_is_told_so():
    clips = corpus()
    logit = logits(clips, apart=0.5)
    found = beside(clips, logit, spectra(clips, apart=3.0))
    assert found["logistic_regression"]["auc"] > 0.95 and found["level"]["auc"] < 0.65
    assert found["logistic_regression"]["above_interval"][1] < 0
    said = classifier_judge.sentences(Learned(0.6, 1e-4, 400), 0.63, found)
    assert len(said) == 2 and said[0].startswith("AUC 0.630; a logistic regression")
    assert "below a logistic regression" in said[1] and "by chance" not in said[1]


def test_a_network_above_its_references_is_not():
    clips = corpus()
    found = beside(clips, logits(clips, apart=3.0), spectra(clips, apart=0.5))
    said = classifier_judge.sentences(Learned(0.98, 1e-9, 400), 0.98, found)
    assert len(said) == 1 and "below" not in said[0]


def test_a_network_that_the_regression_holds_up_is_told_so():
    clips = corpus()
    spectrum = spectra(clips, apart=2.0)
    alone = logits(clips, apart=0.5)
    found = beside(clips, spectrum[:, 3] + 0.2 * alone, spectrum, alone)
    assert found["network_alone"]["auc"] < found["logistic_regression"]["auc"]
    said = classifier_judge.sentences(Learned(0.9, 1e-9, 400), 0.99, found)
    assert "the network alone 0." in said[0] and said[1].startswith("The network alone is below")


def test_it_is_the_network_that_must_have_learned():
    clips = corpus()
    part = clips.parts.validation
    guess = np.random.default_rng(5).normal(size=len(part))
    judged = classifier_judge.calibrate(clips, logits(clips, 3.0)[part], WISHED, network=guess)
    assert judged.learned.certain is False


def test_guessing_is_called_not_learned_before_anything_else():
    said = classifier_judge.sentences(Learned(0.52, 0.3, 40), 0.55, {})
    assert said[0].startswith("The network has not learned: on 40 validation recordings")


def test_intervals_of_references_draw_recordings():
    narrow = corpus(test=60)
    wide = corpus(test=60, versions=8)
    spectrum = spectra(narrow, apart=1.0)
    each = beside(narrow, logits(narrow, 1.0), spectrum)["logistic_regression"]
    logit = np.repeat(logits(narrow, 1.0), 8)
    many = beside(wide, logit, np.repeat(spectrum, 8, axis=0))["logistic_regression"]
    width = {name: np.ptp(found["auc_interval"]) for name, found in (("1", each), ("8", many))}
    assert width["8"] == pytest.approx(width["1"], rel=0.25)


def test_how_the_threshold_was_set_is_said():
    assert "at the probability 0.5" in classifier_judge.how_set(Decision())
    wished = dataclasses.replace(WISHED, false_alarm_rate=0.05)
    assert "about 5\N{NO-BREAK SPACE}% of healthy clips" in classifier_judge.how_set(wished)


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
