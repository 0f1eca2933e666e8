"""Measures of a classifier against scikit-learn, SciPy and brute force."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from asd_jax.scoring import classification


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(3)
    labels = (rng.random(300) < 0.2).astype(np.int64)
    probability = np.clip(0.5 * labels + 0.6 * rng.random(300) - 0.05, 0.0, 1.0)
    return labels, probability, np.arange(300)


def test_measures_equal_sklearn(clips):
    labels, probability, _ = clips
    decision = probability > 0.5
    table = classification.confusion(labels, decision)
    assert list(table) == reference.confusion_matrix(labels, decision).ravel().tolist()
    ours = classification.measures(np.array(table))
    for name, expected in {
        "accuracy": reference.accuracy_score(labels, decision),
        "balanced_accuracy": reference.balanced_accuracy_score(labels, decision),
        "f1": reference.f1_score(labels, decision),
        "recall": reference.recall_score(labels, decision),
        "precision": reference.precision_score(labels, decision),
    }.items():
        assert ours[name] == pytest.approx(expected), name
    assert classification.brier(labels, probability) == pytest.approx(
        reference.brier_score_loss(labels, probability)
    )


def test_trivial_level_is_that_of_the_larger_class():
    assert classification.trivial_level(np.array([0] * 89 + [1] * 11)) == pytest.approx(0.89)
    assert classification.trivial_level(np.array([1] * 3 + [0])) == pytest.approx(0.75)


@pytest.mark.parametrize(("right", "clips"), [(259, 270), (0, 10), (10, 10), (7, 20)])
def test_wilson_equals_scipy(right, clips):
    expected = stats.binomtest(right, clips).proportion_ci(method="wilson")
    assert classification.wilson(right, clips) == pytest.approx(tuple(expected), abs=1e-12)


def test_mcnemar_of_two_clips_and_of_none():
    assert classification.mcnemar(2, 0) == pytest.approx(0.5)
    assert classification.mcnemar(0, 0) == 1.0


def test_bootstrap_by_clip_agrees_with_wilson_and_contains_the_value(clips):
    labels, probability, recordings = clips
    decision = probability > 0.5
    intervals = classification.bootstrap(labels, decision, probability, recordings)
    right = int(np.sum(decision == labels))
    assert intervals["accuracy"] == pytest.approx(classification.wilson(right, 300), abs=0.01)
    values = classification.measures(np.array(classification.confusion(labels, decision)))
    values["auc"] = reference.roc_auc_score(labels, probability)
    for name, (low, high) in intervals.items():
        assert low < values[name] < high, name


def test_three_versions_of_each_recording_add_no_certainty(clips):
    labels, probability, recordings = clips
    decision = probability > 0.5
    once = classification.bootstrap(labels, decision, probability, recordings)
    arrays = [np.tile(a, 3) for a in (labels, decision, probability, recordings)]
    thrice = classification.bootstrap(*arrays)
    naive = classification.bootstrap(*arrays[:3], np.arange(900))
    for name in once:
        assert thrice[name] == pytest.approx(once[name], abs=1e-9)
        assert np.diff(naive[name]) < 0.8 * np.diff(thrice[name])


def test_reliability_equals_sklearn(clips):
    labels, probability, _ = clips
    table = classification.reliability(labels, probability)
    observed, predicted = calibration_curve(labels, probability, n_bins=10)
    filled = table.clips > 0
    np.testing.assert_allclose(table.observed[filled], observed)
    np.testing.assert_allclose(table.predicted[filled], predicted)
    assert table.clips.sum() == 300


def test_calibration_error_of_a_known_case():
    labels = np.array([0, 0, 1, 1])
    assert classification.calibration_error(labels, labels.astype(float)) == 0.0
    # Two clips at 0.25 of which none is anomalous, two at 0.75 of which both are.
    probability = np.array([0.25, 0.25, 0.75, 0.75])
    assert classification.calibration_error(labels, probability) == pytest.approx(0.25)


def test_compare_counts_the_disagreements_and_its_interval_holds_zero(clips):
    labels, probability, recordings = clips
    first = probability > 0.5
    second = first.copy()
    wrong = np.flatnonzero(first != labels)[:1]
    right = np.flatnonzero(first == labels)[:3]
    second[wrong], second[right] = ~first[wrong], ~first[right]
    result = classification.compare(labels, first, second, recordings)
    assert (result.only_first, result.only_second, result.clips) == (3, 1, 300)
    assert result.difference == pytest.approx(2 / 300)
    assert result.p_value == pytest.approx(stats.binomtest(3, 4).pvalue)
    assert result.interval[0] < 0 < result.interval[1]


def test_the_published_difference_of_two_images_is_no_evidence():
    """0.9603 - 0.9527 on 270 images: even if nothing but these two differed."""
    labels = np.zeros(270, np.int64)
    first, second = np.zeros(270, bool), np.zeros(270, bool)
    first[:11], second[:13] = True, True
    result = classification.compare(labels, first, second, np.arange(270))
    assert result.p_value == 0.5
    assert result.interval[0] <= 0


def test_one_class_only_gives_nan_not_an_exception():
    labels = np.zeros(5, np.int64)
    intervals = classification.bootstrap(labels, labels > 0, np.arange(5.0), np.arange(5))
    assert np.isnan(intervals["auc"]).all() and np.isnan(intervals["recall"]).all()


def test_all_right_is_not_certainty():
    labels = np.repeat([0, 1], [20, 10])
    intervals = classification.bootstrap(labels, labels > 0, labels.astype(float), np.arange(30))
    assert intervals["accuracy"] == pytest.approx(classification.wilson(30, 30))
    assert intervals["recall"] == pytest.approx(classification.wilson(10, 10))
    assert intervals["balanced_accuracy"][0] < 0.85 and intervals["balanced_accuracy"][1] == 1.0
