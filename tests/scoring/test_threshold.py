import numpy as np
import pytest
from scipy import stats

from asd_jax.errors import UserError
from asd_jax.scoring.metrics import eer
from asd_jax.scoring.threshold import (
    caution,
    fit_threshold,
    percentile,
    pooled,
    tail,
    tail_words,
)

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


def test_a_tail_is_the_rank_among_healthy_clips_up_to_the_largest():
    healthy = np.arange(16.0)
    assert tail(12.5, healthy) == pytest.approx(4 / 17)  # 13, 14, 15 and the clip itself
    assert tail(-1.0, healthy) == 1.0
    assert tail(15.0, healthy) == pytest.approx(2 / 17)
    assert np.isnan(tail(1.0, np.zeros(0))) and np.isnan(tail(np.nan, healthy))


def test_a_tail_falls_on_from_there_and_no_further_than_the_clips_can_tell():
    healthy = np.random.default_rng(0).normal(size=100)
    scores = np.linspace(healthy.max(), 30.0, 400)
    tails = np.array([tail(score, healthy) for score in scores])
    assert np.all(np.diff(tails) <= 0) and tails[1] < 1 / 100 < tails[0]
    assert tails[1] == pytest.approx(1 / 101, rel=0.2)
    assert tails[-1] == 1 / 1000
    assert tail(30.0, healthy, beyond=False) == pytest.approx(1 / 101)


@pytest.mark.parametrize("clips", [8, 30, 200])
def test_a_tail_is_about_the_share_of_healthy_clips_that_score_as_high(clips):
    rng = np.random.default_rng(clips)
    score, found = 2.5, []  # of a standard normal, which exceeds it in 6 of 1000
    for _ in range(300):
        found.append(tail(score, rng.normal(size=clips)))
    assert 0.3 < np.exp(np.mean(np.log(found))) / stats.norm.sf(score) < 8.0


def test_the_words_say_how_sure_a_tail_is():
    healthy = np.linspace(0.0, 1.0, 16)
    words = [tail_words(tail(score, healthy), 16) for score in (0.85, 1.3, 50.0)]
    assert words[0] == "3 of 16 held-out healthy clips score as high"
    assert words[1].startswith("about 1 in ") and "extrapolated" in words[1]
    assert words[2].startswith("fewer than 1 in 100 healthy clips, roughly")
    short = [tail_words(tail(score, healthy), 16, short=True) for score in (0.85, 1.3, 50.0)]
    assert short[0] == "3 of 16" and short[1].startswith("~1 in ") and short[2] == "<1 in 100"
    assert tail_words(None, None) == tail_words(float("nan"), 16) == ""


def test_a_machine_with_few_clips_borrows_those_of_its_type_or_of_all():
    groups = [("fan", "00"), ("fan", "02"), ("pump", "00")]
    by_group = [np.zeros(20), np.ones(20), np.full(5, 2.0)]
    assert len(pooled(by_group, groups, 0)) == 40
    assert len(pooled(by_group, groups, 2)) == 45
    by_group[2] = np.full(40, 2.0)
    assert len(pooled(by_group, groups, 2)) == 40
