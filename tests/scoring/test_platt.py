"""Probabilities from logits: right ones, by recording, and never in another order."""

import numpy as np
import pytest

from asd_jax.errors import UserError
from asd_jax.scoring.platt import AS_IT_IS, LEAST_SLOPE, fit_platt


def drawn(clips=4000, slope=0.5, offset=-1.0, seed=0):
    """Logits whose true probability is sigmoid(slope * logit + offset)."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(0, 4, clips)
    label = (rng.random(clips) < 1 / (1 + np.exp(-slope * logit - offset))).astype(int)
    return logit, label, np.arange(clips)


def test_the_slope_and_offset_that_made_the_labels_are_found():
    found = fit_platt(*drawn())
    assert found.slope == pytest.approx(0.5, abs=0.05)
    assert found.offset == pytest.approx(-1.0, abs=0.15)


def test_it_is_scikit_learns_logistic_regression_where_there_are_many():
    from sklearn.linear_model import LogisticRegression

    logit, label, recording = drawn()
    want = LogisticRegression(C=1e6).fit(logit[:, None], label)
    found = fit_platt(logit, label, recording)
    np.testing.assert_allclose(found, (want.coef_[0, 0], want.intercept_[0]), atol=5e-3)


def test_versions_of_a_recording_count_once():
    logit, label, recording = drawn(200)
    often = np.repeat(np.arange(200), np.where(label == 1, 5, 1))
    again = fit_platt(logit[often], label[often], recording[often])
    np.testing.assert_allclose(again, fit_platt(logit, label, recording), atol=1e-6)


def test_classes_that_lie_apart_stay_finite():
    found = fit_platt(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0, 0, 1, 1]), np.arange(4))
    said = found(np.array([-1.0, 1.0]))
    assert np.isfinite(found).all() and 0.05 < said[0] < 0.5 < said[1] < 0.95


def test_a_network_that_has_learned_nothing_says_the_share_of_faults():
    logit, label, recording = drawn(2000, slope=-0.3, offset=0.0)
    found = fit_platt(logit, label, recording)
    said = found(logit)
    assert found.slope == LEAST_SLOPE  # above 0: the order of clips is never turned round
    assert np.ptp(said) < 0.1 and said.mean() == pytest.approx(label.mean(), abs=0.01)


def test_one_class_is_refused():
    with pytest.raises(UserError, match=r"decision\.calibrate"):
        fit_platt(np.zeros(3), np.zeros(3, int), np.arange(3))


def test_probabilities_of_sure_clips_still_differ():
    values = AS_IT_IS(np.array([-800.0, 0.0, 20.0, 30.0]))
    assert values[0] >= 0 and values[1] == 0.5 and values[2] < values[3] < 1
