"""Paired comparisons against SciPy, scikit-learn and the textbook's formula."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from asd_jax.scoring import paired


def clips(number=60, seed=0):
    rng = np.random.default_rng(seed)
    labels = (np.arange(number) % 3 == 0).astype(np.int64)
    common = rng.normal(size=number)
    first = np.round(labels * 1.2 + common + rng.normal(size=number), 1)  # rounded: with ties
    return labels, first, np.round(labels * 0.7 + common + rng.normal(size=number), 1)


def textbook(labels, first, second):
    """Difference and its variance after DeLong et al. (1988), pair by pair."""
    columns = []
    for scores in (first, second):
        normal, anomaly = scores[labels == 0], scores[labels == 1]
        wins = (anomaly[:, None] > normal) + 0.5 * (anomaly[:, None] == normal)
        columns.append((wins.mean(1), wins.mean(0)))
    parts = [np.cov(columns[0][k], columns[1][k]) / len(columns[0][k]) for k in (0, 1)]
    total = parts[0] + parts[1]
    return (
        columns[0][0].mean() - columns[1][0].mean(),
        total[0, 0] + total[1, 1] - 2 * total[0, 1],
    )


def compare(labels, first, second, recordings=None, strata=None):
    recordings = np.arange(len(labels)) if recordings is None else recordings
    strata = np.zeros(len(labels), int) if strata is None else strata
    strata = strata.astype(str)
    names = sorted(set(strata))
    return paired.compare_areas(
        labels, first, second, recordings, strata, {name: 1 / len(names) for name in names}
    )


def deviation(found):
    return (found.interval[1] - found.interval[0]) / (2 * stats.norm.ppf(0.975))


def test_one_stratum_of_single_clips_is_delongs_test():
    labels, first, second = clips()
    found = compare(labels, first, second)
    difference, variance = textbook(labels, first, second)
    assert found.difference == pytest.approx(difference)
    assert found.difference == pytest.approx(
        roc_auc_score(labels, first) - roc_auc_score(labels, second)
    )
    assert deviation(found) ** 2 == pytest.approx(variance)
    expected = 2 * stats.norm.sf(abs(difference) / np.sqrt(variance))
    assert found.p_value == pytest.approx(expected) and 0.01 < expected < 0.99
    swapped = compare(labels, second, first)
    assert swapped.difference == -found.difference and swapped.p_value == found.p_value


def test_versions_of_a_recording_are_no_further_evidence():
    labels, first, second = clips()
    one = compare(labels, first, second)
    thrice = [np.tile(values, 3) for values in (labels, first, second, np.arange(len(labels)))]
    assert deviation(compare(*thrice)) == pytest.approx(deviation(one))
    free = compare(*thrice[:3])
    assert deviation(free) < 0.62 * deviation(one) and free.recordings == 180


def test_seeds_that_score_the_same_clips_are_no_further_evidence():
    labels, first, second = clips()
    other = clips(seed=1)
    strata = np.repeat([0, 1], len(labels))
    same = [np.tile(values, 2) for values in (labels, first, second, np.arange(len(labels)))]
    one = compare(labels, first, second)
    assert deviation(compare(*same, strata)) == pytest.approx(deviation(one))
    both = [np.concatenate(pair) for pair in zip((labels, first, second), other, strict=True)]
    machines = compare(*both, strata=strata)  # other recordings: variances add
    parts = [textbook(labels, first, second), textbook(*other)]
    assert machines.difference == pytest.approx(np.mean([part[0] for part in parts]))
    assert deviation(machines) ** 2 == pytest.approx(sum(part[1] for part in parts) / 4)


def test_where_nothing_varies_nothing_is_claimed():
    labels, first, _ = clips()
    assert compare(labels, first, first)[:3] == (0.0, (0.0, 0.0), 1.0)
    perfect, inverted = labels.astype(float), -labels.astype(float)
    assert np.isnan(compare(labels, perfect, inverted).p_value)
    few = np.array([0, 0, 0, 1])  # a single anomaly has no variance
    found = compare(few, np.array([0.0, 1, 2, 3]), np.array([0.0, 1, 2, 1]))
    assert found.difference > 0 and np.isnan(found.p_value) and np.isnan(found.interval[0])


def test_over_seeds_it_is_the_paired_t_test():
    first, second = [0.90, 0.93, 0.88, 0.95], [0.89, 0.90, 0.88, 0.91]
    found, expected = paired.compare_seeds(first, second), stats.ttest_rel(first, second)
    assert found.p_value == pytest.approx(expected.pvalue) and found.seeds == 4
    assert found.difference == pytest.approx(0.02)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert np.isnan(paired.compare_seeds([0.9], [0.8]).p_value)
    assert paired.compare_seeds([0.9, 0.8], [0.9, 0.8]).p_value == 1.0
    assert np.isnan(paired.compare_seeds([0.9, 0.92], [0.8, 0.82]).p_value)
