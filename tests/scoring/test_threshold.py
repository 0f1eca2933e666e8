import numpy as np
import pytest
from scipy import stats

from asd_jax.errors import UserError
from asd_jax.scoring.metrics import eer
from asd_jax.scoring.threshold import caution, fit_threshold, percentile

SHAPES = {
    "normal": stats.norm(-40.0, 3.0),
    "gamma": stats.gamma(4.0, loc=7.0, scale=10.0),
    "lognormal": stats.lognorm(0.4, loc=-2.0),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rate", [0.1, 0.02])
@pytest.mark.parametrize("method", ["gamma", "quantile"])
def test_many_clips_give_the_wished_rate(shape, rate, method):
    scores = SHAPES[shape].rvs(4000, random_state=1)
    threshold = fit_threshold(scores, method=method, false_alarm_rate=rate)
    assert SHAPES[shape].sf(threshold) == pytest.approx(rate, abs=0.2 * rate)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("clips", [8, 20])
def test_few_clips_give_it_on_average(shape, clips):
    draws = SHAPES[shape].rvs((400, clips), random_state=2)
    rates = [SHAPES[shape].sf(fit_threshold(scores)) for scores in draws]
    assert np.mean(rates) == pytest.approx(0.1, abs=0.03)


def test_gamma_is_that_of_the_moments():
    scores = stats.gamma(3.0, loc=5.0).rvs(5000, random_state=0)
    shape = 4.0 / stats.skew(scores) ** 2
    scale = scores.std(ddof=1) / np.sqrt(shape)
    expected = stats.gamma.ppf(0.9, shape, loc=scores.mean() - shape * scale, scale=scale)
    assert fit_threshold(scores) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("rate", [0.3, 0.02])
def test_gamma_of_few_clips_is_wider_by_student_t(rate):
    scores = stats.gamma(3.0, loc=5.0).rvs(9, random_state=0)
    shape = 4.0 / stats.skew(scores) ** 2
    unit = stats.gamma(shape, loc=-np.sqrt(shape), scale=1.0 / np.sqrt(shape)).ppf(1.0 - rate)
    wider = stats.t.ppf(1.0 - rate, 8) * np.sqrt(1.0 + 1.0 / 9) / stats.norm.ppf(1.0 - rate)
    expected = scores.mean() + wider * unit * scores.std(ddof=1)
    assert fit_threshold(scores, false_alarm_rate=rate) == pytest.approx(expected)


def test_gamma_follows_shift_and_scale():
    scores = stats.gamma(3.0).rvs(30, random_state=0)
    assert fit_threshold(5.0 * scores - 90.0) == pytest.approx(5.0 * fit_threshold(scores) - 90.0)


def test_other_methods_equal_their_formula():
    scores = np.random.default_rng(0).gamma(3.0, size=99)
    order = np.sort(scores)
    assert fit_threshold(scores, method="quantile", false_alarm_rate=0.1) == order[89]
    mean, std = scores.mean(), scores.std(ddof=1)
    ninety = fit_threshold(scores, method="mean_std", false_alarm_rate=0.1)
    assert ninety == pytest.approx(mean + 1.2816 * std, rel=1e-4)
    expected = stats.gamma.ppf(0.95, *stats.gamma.fit(scores))
    ours = fit_threshold(scores, method="gamma_ml", false_alarm_rate=0.05)
    assert ours == pytest.approx(expected)


def test_small_quantile_is_the_largest_score_and_says_so():
    scores = np.arange(5.0)
    assert fit_threshold(scores, method="quantile", false_alarm_rate=0.01) == 4.0
    assert "can't show" in caution(5, method="quantile", false_alarm_rate=0.01)
    assert caution(200, method="quantile", false_alarm_rate=0.01) == ""
    assert "rough guess" in caution(5) and caution(50) == ""
    assert "oracle" in caution(500, method="eer")


def test_eer_is_an_oracle():
    labels, scores = np.array([0, 0, 0, 1, 1]), np.array([0.0, 1.0, 2.5, 2.0, 4.0])
    threshold = fit_threshold(scores, method="eer", labels=labels)
    assert threshold == eer(labels, scores)[1]
    with pytest.raises(UserError, match="oracle"):
        fit_threshold(scores, method="eer")


def test_degenerate_scores():
    assert fit_threshold(np.array([3.0])) == 3.0
    assert fit_threshold(np.full(6, 3.0)) == 3.0
    for wrong in ({"false_alarm_rate": 0.0}, {"method": "sigma"}):
        with pytest.raises(UserError):
            fit_threshold(np.arange(5.0), **wrong)
    with pytest.raises(UserError, match="hold out"):
        fit_threshold(np.zeros(0))
    with pytest.raises(UserError, match="not finite"):
        fit_threshold(np.array([1.0, np.nan]))


def test_percentile_equals_scipy():
    normal = np.array([1.0, 2.0, 2.0, 3.0, 5.0])
    for score in (0.0, 2.0, 2.5, 9.0):
        expected = stats.percentileofscore(normal, score, kind="mean")
        assert percentile(score, normal) == pytest.approx(expected)
    assert np.isnan(percentile(1.0, np.zeros(0)))
