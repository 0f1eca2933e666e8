import numpy as np
import pytest
from sklearn import metrics as sk

from asd_jax.errors import UserError
from asd_jax.scoring import metrics


def draw(seed, clips=60, levels=None):
    """Labels and scores; `levels` makes ties."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, clips)
    labels[:2] = 0, 1
    scores = rng.normal(size=clips) + 0.8 * labels
    return labels, np.round(scores * levels) / levels if levels else scores


CASES = [(seed, levels) for seed in range(4) for levels in (None, 1, 4)]


@pytest.mark.parametrize("seed,levels", CASES)
def test_areas_equal_sklearn(seed, levels):
    labels, scores = draw(seed, levels=levels)
    assert metrics.auc(labels, scores) == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-12)
    for p in (0.02, 0.1, 0.5):
        reference = sk.roc_auc_score(labels, scores, max_fpr=p)
        assert metrics.pauc(labels, scores, max_fpr=p) == pytest.approx(reference, abs=1e-12)


def test_auc_counts_pairs_with_ties_at_half():
    labels, scores = draw(3, levels=1)
    normal, anomaly = scores[labels == 0], scores[labels == 1]
    pairs = (anomaly[:, None] > normal) + 0.5 * (anomaly[:, None] == normal)
    assert metrics.auc(labels, scores) == pytest.approx(pairs.mean(), abs=1e-12)


def test_raw_pauc_is_the_area_over_p():
    labels, scores = draw(5)
    raw, rescaled = (metrics.pauc(labels, scores, raw=raw) for raw in (True, False))
    assert raw == pytest.approx(0.95 * (2 * rescaled - 1) + 0.05, abs=1e-12)


@pytest.mark.parametrize("seed,levels", CASES)
def test_eer_lies_where_the_interpolated_rates_cross(seed, levels):
    labels, scores = draw(seed, levels=levels)
    rate, threshold = metrics.eer(labels, scores)
    fpr, tpr, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    fine = np.linspace(0, 1, 200001)
    along = np.interp(fine, np.linspace(0, 1, len(fpr)), fpr)
    far = 1 - np.interp(fine, np.linspace(0, 1, len(tpr)), tpr)
    assert rate == pytest.approx(along[np.argmin(np.abs(along - far))], abs=1e-3)
    assert scores.min() <= threshold <= scores.max()
    if levels is None:
        assert np.mean(scores[labels == 0] > threshold) == pytest.approx(rate, abs=0.04)
        assert np.mean(scores[labels == 1] <= threshold) == pytest.approx(rate, abs=0.04)


def test_perfect_scores():
    labels, scores = np.array([0, 0, 1, 1]), np.array([0.0, 1.0, 2.0, 3.0])
    assert metrics.auc(labels, scores) == metrics.pauc(labels, scores) == 1.0
    rate, threshold = metrics.eer(labels, scores)
    assert rate == 0.0 and 1.0 <= threshold <= 2.0
    assert metrics.auc(labels, -scores) == 0.0


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_gives_nan_and_no_crash(label):
    labels, scores = np.full(5, label), np.arange(5.0)
    assert np.isnan(metrics.auc(labels, scores)) and np.isnan(metrics.pauc(labels, scores))
    assert np.isnan(metrics.eer(labels, scores)).all()
    assert np.isnan(metrics.bootstrap(labels, scores)).all()


def test_no_clips_at_all():
    labels, scores = np.zeros(0, int), np.zeros(0)
    assert np.isnan(metrics.auc(labels, scores))


def test_unknown_clips_are_left_out():
    labels, scores = draw(4)
    more = np.concatenate([labels, [-1, -1]]), np.concatenate([scores, [99.0, np.nan]])
    assert metrics.auc(*more) == metrics.auc(labels, scores)
    assert metrics.eer(*more) == metrics.eer(labels, scores)


def test_a_score_that_is_nan_is_named():
    with pytest.raises(UserError, match="clip 1 is not a number"):
        metrics.auc(np.array([0, 1]), np.array([0.0, np.nan]))


@pytest.mark.parametrize("max_fpr", [1.0, 0.1])
def test_bootstrap_equals_a_plain_loop(max_fpr):
    labels, scores = draw(0, clips=80, levels=8)
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(1500):
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(labels == k), sum(labels == k)) for k in (0, 1)]
        )
        drawn.append(
            sk.roc_auc_score(labels[rows], scores[rows], max_fpr=None if max_fpr == 1 else max_fpr)
        )
    expected = np.percentile(drawn, [2.5, 97.5])
    ours = metrics.bootstrap(labels, scores, max_fpr=max_fpr, draws=1500)
    np.testing.assert_allclose(ours, expected, atol=0.02)
    assert ours == metrics.bootstrap(labels, scores, max_fpr=max_fpr, draws=1500)
    assert ours != metrics.bootstrap(labels, scores, max_fpr=max_fpr, draws=1500, seed=1)


def test_bootstrap_in_chunks_is_the_same_kind_of_answer(monkeypatch):
    labels, scores = draw(0)
    whole = metrics.bootstrap(labels, scores, draws=400)
    monkeypatch.setattr(metrics, "CHUNK", 600)
    np.testing.assert_allclose(metrics.bootstrap(labels, scores, draws=400), whole, atol=0.03)
