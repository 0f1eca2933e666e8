import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import cluster, covariance, mixture, neighbors

from asd_jax.errors import UserError
from asd_jax.scoring import scorers

KINDS = tuple(kind for kind in scorers.SCORERS if kind != "arcface")  # it needs class centres


def clips(seed, count, dim, offset=0.0):
    """Correlated features of unequal scale, two clusters, far from zero when asked."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(dim, dim)) * np.geomspace(0.1, 3.0, dim)
    draw = rng.normal(size=(count, dim)) @ mix
    return draw + offset + 4.0 * rng.integers(0, 2, (count, 1))


@pytest.mark.parametrize("count,dim", [(3, 8), (20, 30), (200, 12), (100, 224)])
def test_gaussian_equals_ledoit_wolf(count, dim):
    features, test = clips(0, count, dim, 40.0), clips(1, 50, dim, 40.0)
    reference = covariance.LedoitWolf().fit(features)
    squared = reference.mahalanobis(test)
    log_det = np.linalg.slogdet(reference.covariance_)[1]
    expected = 0.5 * (squared + log_det + dim * np.log(2 * np.pi))
    ours = scorers.score(scorers.fit("gaussian", features), test)
    np.testing.assert_allclose(ours, expected, rtol=2e-4)


def test_gaussian_relative_does_not_depend_on_units():
    features, test = clips(0, 50, 6), clips(1, 20, 6)
    rank = []
    for unit in (1.0, 1e-4, 1e4):
        scorer = scorers.fit("gaussian", features * unit, covariance="relative", reg_covar=1e-3)
        score = np.asarray(scorers.score(scorer, test * unit))
        rank.append(score - score[0])
    np.testing.assert_allclose(rank[1], rank[0], rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(rank[2], rank[0], rtol=1e-3, atol=1e-2)


def test_gaussian_literal_is_sklearns_one_component():
    features, test = clips(0, 60, 6), clips(1, 20, 6)
    reference = mixture.GaussianMixture(1, reg_covar=0.05).fit(features)
    for kind in ("gaussian", "gmm"):
        scorer = scorers.fit(kind, features, covariance="literal", reg_covar=0.05)
        ours = scorers.score(scorer, test)
        np.testing.assert_allclose(ours, -reference.score_samples(test), rtol=1e-4)


def test_one_component_equals_the_gaussian():
    features, test = clips(0, 40, 10), clips(1, 20, 10)
    for method in ("ledoit_wolf", "relative"):
        one = scorers.score(scorers.fit("gmm", features, covariance=method), test)
        gaussian = scorers.score(scorers.fit("gaussian", features, covariance=method), test)
        np.testing.assert_allclose(one, gaussian, rtol=1e-5)


def test_gmm_scores_as_sklearn_does():
    features, test = clips(2, 300, 5, 10.0), clips(3, 40, 5, 10.0)
    reference = mixture.GaussianMixture(2, reg_covar=0.01, random_state=0).fit(features)
    options = {"components": 2, "covariance": "literal", "reg_covar": 0.01}
    ours = scorers.score(scorers.fit("gmm", features, **options), test)
    np.testing.assert_allclose(ours, -reference.score_samples(test), rtol=2e-2)


def test_gmm_finds_two_clusters_and_is_deterministic():
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(-5, 1, (70, 3)), rng.normal(5, 0.5, (30, 3))])
    scorer = scorers.fit("gmm", features, components=2)
    again = scorers.fit("gmm", features, components=2)
    np.testing.assert_array_equal(scorer.means, again.means)
    np.testing.assert_allclose(np.sort(np.exp(scorer.log_weights)), [0.3, 0.7], atol=0.01)
    middle, inside = scorers.score(scorer, np.array([[0.0] * 3, [-5.0] * 3]))
    assert middle > inside + 20  # one Gaussian would like the middle best


def test_mahalanobis_equals_scikit_learns_distance():
    features, test = clips(0, 80, 4), clips(1, 10, 4)
    ours = scorers.score(scorers.fit("mahalanobis", features), test)
    squared = covariance.LedoitWolf().fit(features).mahalanobis(test)
    np.testing.assert_allclose(ours, np.sqrt(squared), rtol=1e-3)


@pytest.mark.parametrize("kind", ["gaussian", "mahalanobis"])
def test_the_covariance_may_come_from_other_residuals(kind):
    features, test = clips(0, 40, 4), clips(1, 10, 4)
    residuals = clips(7, 90, 4)
    scorer = scorers.fit(kind, features, residuals=residuals)
    precision = covariance.LedoitWolf(assume_centered=True).fit(residuals).precision_
    factor = np.asarray(scorer[1]).reshape(4, 4)
    np.testing.assert_allclose(factor @ factor.T, precision, rtol=1e-3, atol=1e-5)
    difference = test - features.mean(0)
    squared = np.einsum("nd,de,ne->n", difference, precision, difference)
    ours = np.asarray(scorers.score(scorer, test))
    np.testing.assert_allclose(
        ours - ours[0] if kind == "gaussian" else ours,
        0.5 * (squared - squared[0]) if kind == "gaussian" else np.sqrt(squared),
        rtol=1e-3,
        atol=1e-3,
    )


def test_arcface_is_the_cosine_to_the_nearest_own_centre():
    features, test = clips(0, 20, 6), clips(1, 9, 6)
    centres = np.random.default_rng(3).normal(size=(2, 6)) * 5.0
    scorer = scorers.fit("arcface", features, prototypes=centres)
    ours = scorers.score(scorer, test)
    near = neighbors.NearestNeighbors(n_neighbors=1, metric="cosine").fit(centres)
    np.testing.assert_allclose(ours, near.kneighbors(test)[0][:, 0], rtol=1e-4, atol=1e-6)
    with pytest.raises(UserError, match=r"'fusion'.*arcface"):
        scorers.fit("arcface", features, prototypes=centres[:, :4], name="fusion")


@pytest.mark.parametrize("kind", KINDS)
def test_the_lowest_of_several_scorers_counts_stored_or_not(kind, tmp_path):
    parts = [clips(0, 30, 5), clips(5, 12, 5, 30.0)]
    test = np.concatenate([clips(1, 6, 5), clips(2, 6, 5, 30.0)])
    each = [scorers.fit(kind, part) for part in parts]
    expected = np.minimum(*(np.asarray(scorers.score(scorer, test)) for scorer in each))
    nearest = scorers.Nearest(tuple(each))
    np.testing.assert_allclose(scorers.score(nearest, test), expected, rtol=1e-5)
    np.savez(tmp_path / "scorer.npz", **scorers.to_arrays(nearest))
    with np.load(tmp_path / "scorer.npz", allow_pickle=False) as stored:
        again = scorers.from_arrays(scorers.kind_of(nearest), stored)
    np.testing.assert_array_equal(scorers.score(again, test), scorers.score(nearest, test))
    jitted = jax.jit(scorers.score)(nearest, test)
    np.testing.assert_allclose(jitted, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_of_scorers_side_by_side_counts_stored_or_not(kind, tmp_path):
    normal, test = clips(0, 30, 10), clips(1, 6, 10)
    each = [scorers.fit(kind, part) for part in np.split(normal, 2, axis=1)]
    own = zip(each, np.split(test, 2, axis=1), strict=True)
    expected = np.mean([np.asarray(scorers.score(scorer, part)) for scorer, part in own], axis=0)
    both = scorers.Mean(tuple(each))
    np.savez(tmp_path / "scorer.npz", **scorers.to_arrays(both))
    with np.load(tmp_path / "scorer.npz", allow_pickle=False) as stored:
        again = scorers.from_arrays(scorers.kind_of(both), stored)
    np.testing.assert_allclose(scorers.score(again, test), expected, rtol=1e-5)
    jitted = jax.jit(scorers.score)(both, test)
    np.testing.assert_allclose(jitted, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [1, 4])
def test_knn_equals_sklearn(metric, k):
    features, test = clips(0, 50, 6, 5.0), clips(1, 20, 6, 5.0)
    reference = neighbors.NearestNeighbors(n_neighbors=k, metric=metric).fit(features)
    expected = reference.kneighbors(test)[0].mean(1)
    ours = scorers.score(scorers.fit("knn", features, neighbours=k, metric=metric), test)
    np.testing.assert_allclose(ours, expected, rtol=2e-3, atol=1e-6)


def test_knn_rescale_divides_by_the_neighbours_own_distance():
    features, test = clips(0, 30, 4), clips(1, 10, 4)
    between = np.linalg.norm(features[:, None] - features[None], axis=2)
    density = np.sort(between, axis=1)[:, 1:4].mean(1)  # without itself
    expected = np.min(np.linalg.norm(test[:, None] - features[None], axis=2) / density, axis=1)
    scorer = scorers.fit("knn", features, metric="euclidean", rescale=3)
    np.testing.assert_allclose(scorers.score(scorer, test), expected, rtol=1e-4)


@pytest.mark.parametrize("k", [5, 20])
def test_lof_equals_sklearn(k):
    features, test = clips(0, 60, 6, 3.0), clips(1, 30, 6, 3.0)
    reference = neighbors.LocalOutlierFactor(n_neighbors=k, novelty=True).fit(features)
    ours = scorers.score(scorers.fit("lof", features, neighbours=k), test)
    np.testing.assert_allclose(ours, -reference.score_samples(test), rtol=1e-3)


def test_kmeans_is_the_distance_to_sklearns_nearest_centre():
    features, test = clips(0, 60, 4), clips(1, 9, 4)
    ours = scorers.score(scorers.fit("kmeans", features, metric="euclidean", centres=3), test)
    reference = cluster.KMeans(3, n_init=1, random_state=0).fit(features)
    np.testing.assert_allclose(ours, reference.transform(test).min(1), rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_stored_scorers_score_the_same(kind, tmp_path):
    features, test = clips(0, 40, 5), clips(1, 9, 5)
    options = {"gmm": {"components": 2, "l2": True}, "views": {}, "embedding": {}}.get(
        kind, {"l2": True}
    )
    scorer = scorers.fit(kind, features, **options)
    np.savez(tmp_path / "scorer.npz", **scorers.to_arrays(scorer))
    with np.load(tmp_path / "scorer.npz", allow_pickle=False) as stored:
        again = scorers.from_arrays(kind, stored)
    np.testing.assert_array_equal(scorers.score(again, test), scorers.score(scorer, test))
    with pytest.raises(UserError, match="lacks"):
        scorers.from_arrays(kind, {})


@pytest.mark.parametrize("kind", KINDS)
def test_scoring_is_a_pure_function_for_jit(kind):
    features, test = clips(0, 40, 5), jnp.asarray(clips(1, 9, 5), jnp.float32)
    scorer = scorers.fit(kind, features)
    closed = jax.jit(lambda x: scorers.score(scorer, x))(test)
    passed = jax.jit(scorers.score)(scorer, test)
    np.testing.assert_allclose(closed, scorers.score(scorer, test), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(passed, closed, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("views", "embedding")])
@pytest.mark.parametrize("l2", [False, True])
def test_l2_is_a_first_step(kind, l2):
    features, test = clips(0, 40, 5), clips(1, 9, 5)
    near = scorers.score(scorers.fit(kind, features, l2=l2), test)
    far = scorers.score(scorers.fit(kind, features, l2=l2), test * 7.0)
    invariant = l2 or kind in ("knn", "kmeans")  # cosine by default
    assert np.allclose(near, far, rtol=1e-3, atol=1e-5) == invariant


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_few_clips_rank_a_far_clip_last(kind, count):
    features = np.random.default_rng(0).normal(size=(count, 12)) + 3.0
    options = {"components": 4} if kind == "gmm" else {}
    scorer = scorers.fit(kind, features, **options)
    near, far = features.mean(0), features.mean(0) * np.where(np.arange(12) < 6, 5.0, -5.0)
    score = np.asarray(scorers.score(scorer, np.stack([near, far])))
    assert np.isfinite(score).all() and score[1] > score[0]


@pytest.mark.parametrize("kind", KINDS)
def test_constant_dimensions_and_equal_clips(kind):
    features = clips(0, 30, 6)
    features[:, 2] = -80.0
    test = features[:4].copy()
    test[0, 2] = -40.0
    score = np.asarray(scorers.score(scorers.fit(kind, features), test))
    assert np.isfinite(score).all() and score[0] == score.max()
    score = scorers.score(scorers.fit(kind, np.ones((5, 6))), test)
    assert np.isfinite(np.asarray(score)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_nan_is_named(kind):
    features = clips(0, 10, 3)
    features[4, 1] = np.nan
    with pytest.raises(UserError, match=r"'fusion'.*clip 4"):
        scorers.fit(kind, features, name="fusion")
    with pytest.raises(UserError, match="at least one normal clip"):
        scorers.fit(kind, np.zeros((0, 3)))


def test_unknown_names_list_the_known():
    with pytest.raises(UserError, match="gaussian, gmm"):
        scorers.fit("svm", np.ones((3, 2)))
