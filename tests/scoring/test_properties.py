"""What figures and scorers promise for any scores and features, not for chosen ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_jax.scoring import scorers
from asd_jax.scoring.metrics import auc
from asd_jax.scoring.threshold import percentile

SCORES = st.lists(st.integers(-20, 20), min_size=2, max_size=40)
SEEDS = st.integers(0, 10**6)


def labelled(scores, seed):
    """Scores with labels, some of both."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, len(scores))
    labels[:2] = 0, 1
    return labels, np.array(scores, float), rng


def pairs_won(labels, scores):
    """The share of (normal, anomalous) pairs in the right order, ties a half: the definition."""
    normal, anomalous = scores[labels == 0], scores[labels == 1]
    return np.mean(np.sign(anomalous[:, None] - normal) / 2 + 0.5)


@given(SCORES, SEEDS)
def test_the_area_is_the_share_of_pairs_in_order(scores, seed):
    labels, scores, _ = labelled(scores, seed)
    assert auc(labels, scores) == pytest.approx(pairs_won(labels, scores))


@given(SCORES, SEEDS)
def test_the_area_knows_only_the_order(scores, seed):
    labels, scores, rng = labelled(scores, seed)
    found, order = auc(labels, scores), rng.permutation(len(scores))
    assert auc(labels[order], scores[order]) == pytest.approx(found)
    for changed in (3 * scores - 7, np.exp(scores / 10), scores**3):  # all rise
        assert auc(labels, changed) == pytest.approx(found)
    assert auc(labels, -scores) == pytest.approx(1 - found)
    unknown = np.append(labels, -1), np.append(scores, 1e9)
    assert auc(*unknown) == pytest.approx(found)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(-1e6, 1e6), SEEDS)
def test_a_percentile_rises_with_the_score(normal, score, seed):
    normal = np.sort(normal)
    low, high = percentile(score, normal), percentile(score + 1, normal)
    assert 0 <= low <= high <= 100


FEW = settings(max_examples=4)  # a fit takes its time
KINDS = ("gaussian", "gmm", "mahalanobis", "knn", "kmeans", "lof", "embedding")


def features(seed, clips=24, dim=4):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(clips, dim)) * rng.uniform(0.5, 2, dim) + 3, rng


@pytest.mark.parametrize("kind", KINDS)
@FEW
@given(seed=SEEDS)
def test_scores_do_not_depend_on_the_order_of_clips(kind, seed):
    train, rng = features(seed)
    test, _ = features(seed + 1)
    fitted = scorers.fit(kind, train)
    order = rng.permutation(len(test))
    found = np.asarray(scorers.score(fitted, test))
    again = np.asarray(scorers.score(fitted, test[order]))
    np.testing.assert_allclose(again, found[order], rtol=1e-4, atol=1e-4)
    if kind in ("gaussian", "mahalanobis", "knn", "lof"):  # others draw a start, or folds in order
        shuffled = scorers.fit(kind, train[rng.permutation(len(train))])
        np.testing.assert_allclose(scorers.score(shuffled, test), found, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("kind", KINDS)
@FEW
@given(seed=SEEDS, constant=st.sampled_from([0.0, 1.0, -1e3]))
def test_a_feature_that_never_changes_gives_numbers(kind, seed, constant):
    train, _ = features(seed)
    train[:, 0] = constant
    fitted = scorers.fit(kind, train)
    test, _ = features(seed + 1)
    test[:, 0] = constant
    assert np.isfinite(np.asarray(scorers.score(fitted, test))).all()
    arrays = scorers.to_arrays(fitted)
    scorers.check("a", [scorers.from_arrays(scorers.kind_of(fitted), arrays)], 1)


@pytest.mark.parametrize("kind", ["gaussian", "mahalanobis", "knn"])
@FEW
@given(seed=SEEDS)
def test_what_lies_further_out_scores_higher(kind, seed):
    train, rng = features(seed)
    fitted = scorers.fit(kind, train)
    way = rng.normal(size=train.shape[1])
    way /= np.linalg.norm(way)
    far = train.mean(0) + np.array([[20.0], [40.0], [80.0]]) * way
    assert np.all(np.diff(np.asarray(scorers.score(fitted, far))) > 0)
