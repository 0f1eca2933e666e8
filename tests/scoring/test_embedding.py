"""The scorer of embeddings against scikit-learn."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors

from asd_jax.scoring import scorers


def clips(seed, number=40, dim=6):
    return np.random.default_rng(seed).normal(size=(number, dim)) + 1.0


def cosine_neighbours(bank, tested, skip):
    found = NearestNeighbors(n_neighbors=3 + skip, metric="cosine").fit(bank).kneighbors(tested)[0]
    return np.log(found[:, skip:].mean(1))


@pytest.mark.parametrize("some", [False, True])
def test_it_equals_its_definition_by_scikit_learn(some):
    normal, tested = clips(0), clips(1, 9) + 0.5
    unseen = np.arange(40) % 4 == 1 if some else np.ones(40, bool)
    parts = [(cosine_neighbours(normal, tested, 0), cosine_neighbours(normal, normal, 1))]
    fold, held = np.arange(40) % 5, np.empty((2, 40))
    lengths = [np.linalg.norm(x, axis=1, keepdims=True) for x in (normal, tested)]
    for row, (x, y) in enumerate(((normal, tested), (normal / lengths[0], tested / lengths[1]))):
        for k in range(5):
            model = LedoitWolf().fit(x[fold != k])
            held[row, fold == k] = np.log(model.mahalanobis(x[fold == k]))
        parts.append((np.log(LedoitWolf().fit(x).mahalanobis(y)), held[row]))
    z = [(far - own[unseen].mean()) / own[unseen].std() for far, own in parts]
    scorer = scorers.fit("embedding", normal, unseen=unseen if some else None)
    np.testing.assert_allclose(scorers.score(scorer, tested), np.mean(z, 0), rtol=1e-3, atol=1e-3)


def test_an_embedding_that_is_constant_but_for_rounding_alarms_nobody():
    rng = np.random.default_rng(0)
    constant = rng.normal(size=16) + 1e-8 * rng.normal(size=(60, 16))
    for kind in ("embedding", "gaussian"):
        scorer = scorers.fit(kind, constant[:40])
        seen, new = (np.asarray(scorers.score(scorer, x)) for x in (constant[:40], constant[40:]))
        assert np.abs(new - seen.mean()).max() < 5.0
