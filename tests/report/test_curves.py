"""The numbers behind the figures against scikit-learn and plain counting."""

import numpy as np
import pytest
import sklearn.metrics

from asd_jax.report import curves


def _clips(seed=0):
    rng = np.random.default_rng(seed)
    labels = np.array([0] * 40 + [1] * 25)
    scores = rng.normal(size=65) + labels
    return scores, labels


@pytest.mark.parametrize("tail", [False, True])
def test_error_rates_are_counts_at_each_threshold(tail):
    scores, labels = _clips()
    scores = np.where(labels == 1, np.exp(4 * np.abs(scores)), scores) if tail else scores
    axis = curves.ScoreAxis.fit(scores, labels)
    assert axis.compressed == tail
    rates = curves.error_rates(scores, labels, axis)
    where = axis.place(scores)
    for k in (0, 13, 60, 120):
        alarm = where > rates.position[k]
        assert rates.far[k] == pytest.approx(1 - alarm[labels == 1].mean())
        assert rates.frr[k] == pytest.approx(alarm[labels == 0].mean())
    assert rates.far[-1] == pytest.approx(1.0) and rates.frr[-1] == pytest.approx(0.0)


def test_the_crossing_is_the_equal_error_rate():
    scores, labels = _clips(3)
    rates = curves.error_rates(scores, labels, curves.ScoreAxis.fit(scores, labels))
    fpr, tpr, _ = sklearn.metrics.roc_curve(labels, scores)
    nearest = np.argmin(np.abs(fpr - (1 - tpr)))
    assert rates.crossing[1] == pytest.approx((fpr + 1 - tpr)[nearest] / 2, abs=0.03)
    far, frr = (np.interp(rates.crossing[0], rates.position, y) for y in (rates.far, rates.frr))
    assert abs(far - frr) < 0.05


def test_perfectly_apart_scores_cross_at_zero():
    scores, labels = np.array([0.0, 1.0, 5.0, 6.0]), np.array([0, 0, 1, 1])
    rates = curves.error_rates(scores, labels, curves.ScoreAxis.fit(scores, labels))
    assert rates.crossing[1] == 0.0 and 1 / 6 <= rates.crossing[0] <= 5 / 6


def test_an_axis_keeps_the_order_and_shows_everything():
    scores, labels = _clips()
    for values in (scores, np.exp(3 * scores), np.zeros(65)):
        axis = curves.ScoreAxis.fit(values, labels, threshold=1000.0)
        place = axis.place(np.sort(np.append(values, 1000.0)))
        assert (np.diff(place) >= 0).all() and place[0] >= 0 and place[-1] <= 1 + 1e-12
        assert all(axis.low <= tick <= axis.high for tick in axis.ticks())
    flat = curves.ScoreAxis.fit(np.zeros(65), labels)
    np.testing.assert_allclose(flat.place(np.zeros(2)), 0.5)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.5, 1]),
        (0.3, 9.9, [5]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
        (0, 40, [0, 10, 20, 30, 40]),
        (2, 2, [2]),
    ],
)
def test_ticks_are_round(low, high, ticks):
    assert curves.nice_ticks(low, high) == ticks


@pytest.mark.parametrize("shape", [(30, 6), (6, 30), (5, 1)])
def test_the_plane_holds_what_varies_most(shape):
    points = np.random.default_rng(0).normal(size=shape) * np.linspace(3, 1, shape[1])
    flat, held = curves.principal_plane(points)
    sizes = np.linalg.svd(points - points.mean(axis=0), compute_uv=False) ** 2
    assert flat.shape == (shape[0], 2)
    np.testing.assert_allclose((flat**2).sum(), sizes[:2].sum())
    assert held == pytest.approx(sizes[:2].sum() / sizes.sum())
    again, _ = curves.principal_plane(points[:, ::-1])
    np.testing.assert_allclose(again, flat, atol=1e-9)


def test_equal_points_fall_on_one_spot():
    flat, held = curves.principal_plane(np.ones((4, 3)))
    np.testing.assert_array_equal(flat, np.zeros((4, 2)))
    assert held == 1.0
