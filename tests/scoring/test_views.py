"""The scorer over several views against scikit-learn, and what it is made for."""

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.covariance import LedoitWolf

from asd_jax.errors import UserError
from asd_jax.scoring import scorers
from asd_jax.scoring.metrics import auc
from asd_jax.scoring.scorers import views


def clips(seed, number=40, dim=6):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(number, dim)) @ np.diag(np.linspace(0.5, 2.0, dim)) - 40.0


def scored(scorer, features):
    return np.asarray(scorers.score(scorer, features))


def log_distances(normal, tested):
    return np.log(LedoitWolf().fit(normal).mahalanobis(tested))


def alone(normal, tested):
    """Standardised log distances of one view."""
    fold, held = np.arange(len(normal)) % 5, np.empty(len(normal))
    for k in range(5):
        held[fold == k] = log_distances(normal[fold != k], normal[fold == k])
    return (log_distances(normal, tested) - held.mean()) / held.std()


def test_it_equals_its_definition_by_scikit_learn():
    normal, tested = clips(0), clips(1, 9) + 1.0
    parts = (slice(0, 3), slice(3, 6))
    z = np.stack([alone(normal[:, part], tested[:, part]) for part in parts], axis=1)
    scorer = scorers.fit("views", normal, sizes=(3, 3), weights=(1.0, 0.25))
    np.testing.assert_allclose(views.standardised(scorer, tested), z, rtol=1e-3, atol=1e-3)
    soft = logsumexp(views.SHARPNESS * z, axis=1, b=[0.8, 0.2]) / views.SHARPNESS
    np.testing.assert_allclose(scorers.score(scorer, tested), soft, rtol=1e-3, atol=1e-3)


def test_views_of_other_sizes_stand_side_by_side():
    normal, tested = clips(0), clips(1, 9) + 1.0
    scorer = scorers.fit("views", normal, sizes=(2, 4))
    parts = (slice(0, 2), slice(2, 6))
    z = np.stack([alone(normal[:, part], tested[:, part]) for part in parts], axis=1)
    np.testing.assert_allclose(views.standardised(scorer, tested), z, rtol=1e-3, atol=1e-3)


def test_features_of_other_views_are_refused():
    with pytest.raises(UserError, match="has 6 numbers a clip, where its views have 5"):
        scorers.fit("views", clips(0), sizes=(2, 3))


def of_others(seed, covariance_like):
    """Clips of other machines about their mean."""
    other = covariance_like(seed, 400)
    return other - other.mean(0)


def narrow(seed, number):
    """Eight bands that move together, but for a little."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(number, 1)) + 0.05 * rng.normal(size=(number, 8))


def wide(seed, number):
    return np.random.default_rng(seed).normal(size=(number, 8))


def test_others_are_listened_to_where_they_are_alike_and_not_where_they_differ():
    few = narrow(0, 12)
    tested = np.concatenate([narrow(1, 200), narrow(2, 200) + 0.15 * np.eye(8)[0]])
    labels = np.repeat([0, 1], 200)

    def heard(others):
        return auc(labels, scored(scorers.fit("views", few, others=others), tested))

    alone, alike, different = heard(None), heard(of_others(3, narrow)), heard(of_others(4, wide))
    assert alike > alone + 0.05
    assert different > alone - 0.02


@pytest.mark.parametrize("hearing", range(5))
def test_one_view_that_hears_a_fault_is_heard(hearing):
    rng = np.random.default_rng(hearing)
    normal, healthy = rng.normal(size=(80, 30)), rng.normal(size=(300, 30))
    faulty = rng.normal(size=(300, 30))
    faulty[:, 6 * hearing] += 4.0
    tested, labels = np.concatenate([healthy, faulty]), np.repeat([0, 1], 300)
    scorer = scorers.fit("views", normal, sizes=(6,) * 5)
    z = np.asarray(views.standardised(scorer, tested))
    alone, total = auc(labels, z[:, hearing]), auc(labels, scored(scorer, tested))
    assert total > alone - 0.15
    assert total > auc(labels, z.mean(axis=1)) + 0.01  # what a plain sum would hear


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_clips_and_equal_clips_give_finite_scores(count):
    scorer = scorers.fit("views", clips(0)[:count], sizes=(2, 4))
    assert np.isfinite(scorers.score(scorer, clips(1))).all()
    same = scorers.fit("views", np.ones((count, 6)), sizes=(4, 2), others=np.zeros((4, 6)))
    assert np.isfinite(scorers.score(same, clips(1))).all()
