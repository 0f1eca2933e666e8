"""Which clips and options each machine's scorer is fitted with."""

import jax
import numpy as np
import pytest
from sklearn import covariance

from asd_jax.recipes.ensemble import inference
from asd_jax.recipes.ensemble.backends import Backend
from asd_jax.recipes.ensemble.fitting import Branch
from asd_jax.scoring import scorers

GROUP = np.repeat([0, 1], 30)
DOMAIN = np.array((["source"] * 24 + ["target"] * 6) * 2)


def branch(backend, **more):
    rng = np.random.default_rng(0)
    features = (
        rng.normal(size=(60, 3)) + 9.0 * (DOMAIN == "target")[:, None] + 30.0 * GROUP[:, None]
    )
    values = {"group": GROUP, "domain": DOMAIN, "classes": GROUP, **more}
    return Branch("spectral", backend, features, **values)


def score(scorer, x):
    return np.asarray(scorers.score(scorer, x))


def test_a_machine_has_its_own_clips_but_those_that_are_left_out():
    ours = branch(Backend())
    out = np.array([30, 35, 50, 3])
    expected = scorers.fit("gaussian", np.delete(ours.features, out, axis=0)[29:])
    found = ours.fit(1, without=out)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-5)
    np.testing.assert_allclose(found.factor, expected.factor, rtol=1e-4)


@pytest.mark.parametrize("scorer", ["gaussian", "mahalanobis", "gmm", "knn", "kmeans", "lof"])
def test_the_minimum_over_domains_takes_the_nearest(scorer):
    ours = branch(Backend(scorer, domains="minimum"))
    found = ours.fit(0)
    own = ours.features[:30]
    parts = [scorers.fit(scorer, own[DOMAIN[:30] == d]) for d in ("source", "target")]
    test = np.random.default_rng(1).normal(size=(8, 3)) * 6.0
    expected = np.minimum(*(score(part, test) for part in parts))
    np.testing.assert_allclose(score(found, test), expected, rtol=1e-4, atol=1e-6)


def test_one_clip_of_a_domain_makes_no_scorer():
    ours = branch(Backend(domains="minimum"))
    found = ours.fit(0, without=np.arange(24, 29))
    assert scorers.kind_of(found) == "gaussian"
    np.testing.assert_allclose(
        found.mean, np.delete(ours.features[:30], np.arange(24, 29), axis=0).mean(0), rtol=1e-5
    )


def test_smote_brings_target_clips_up_to_their_share():
    def size(smote, without=()):
        ours = branch(Backend("knn", metric="euclidean", smote=smote))
        return ours.fit(0, without=np.array(without, int)).bank

    assert len(size(0.0)) == 30 and len(size(1.0)) == 48 and len(size(0.5)) == 36
    assert len(size(0.1)) == 30  # there are more already
    made = size(1.0)[30:]
    assert made.min() > 9.0 - 4.0  # between target clips, not source ones
    assert len(size(1.0, without=range(24, 30))) == 24  # of none there is nothing to make


@pytest.mark.parametrize("domains", ["pooled", "minimum"])
def test_a_shared_covariance_is_that_of_all_machines_about_their_own_means(domains):
    ours = branch(Backend(shared=True, domains=domains))
    out = np.array([40, 41])
    kept = np.delete(np.arange(60), out)
    names = GROUP.astype(str)
    names = np.char.add(names, DOMAIN) if domains == "minimum" else names
    residuals = ours.features.copy()
    for name in set(names):
        rows = kept[names[kept] == name]
        residuals[rows] -= ours.features[rows].mean(0)
    precision = covariance.LedoitWolf(assume_centered=True).fit(residuals[kept]).precision_
    found = ours.fit(1, without=out)
    parts = found.parts if domains == "minimum" else [found]
    for part in parts:
        factor = np.asarray(part.factor)
        np.testing.assert_allclose(factor @ factor.T, precision, rtol=1e-3, atol=1e-4)


def test_arcface_takes_the_centres_of_the_machines_own_classes():
    prototypes = np.random.default_rng(2).normal(size=(4, 2, 3))
    classes = np.where(GROUP == 0, np.arange(60) % 2, 3)
    ours = branch(Backend("arcface"), classes=classes, prototypes=prototypes)
    unit = prototypes / np.linalg.norm(prototypes, axis=-1, keepdims=True)
    np.testing.assert_allclose(ours.fit(0).centres, unit[:2].reshape(4, 3), rtol=1e-5)
    np.testing.assert_allclose(ours.fit(1).centres, unit[3], rtol=1e-5)


@pytest.mark.parametrize("without", [(), (3, 40)])
def test_scorers_of_domains_of_all_machines_go_into_one_program(without):
    """Stacked where they are alike, a tuple where a bank has a clip less."""
    ours = branch(Backend("knn", metric="euclidean", domains="minimum"))
    found = [ours.fit(0, without=np.array(without[:1], int)), ours.fit(1)]
    stacked = inference._stacked(found)
    assert isinstance(stacked, scorers.Nearest) == (not without)
    test = np.random.default_rng(4).normal(size=(5, 3)).astype(np.float32)
    if without:
        assert stacked == tuple(found)
    else:
        together = jax.vmap(lambda scorer: scorers.score(scorer, test))(stacked)
        expected = np.stack([score(scorer, test) for scorer in found])
        np.testing.assert_allclose(together, expected, rtol=1e-4)
