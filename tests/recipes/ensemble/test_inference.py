"""The detector as one pure program: every machine's scores, whatever its scorers are."""

import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.recipes.ensemble import inference
from asd_jax.scoring import ensemble as ensembles
from asd_jax.scoring import scorers

GROUPS = (("pump", "00"), ("pump", "02"), ("fan", "00"))


def fitted(clips=(20, 20, 20)):
    """Two branches' scorers of each machine, and the ensemble of held-out scores."""
    rng = np.random.default_rng(0)
    by_group = {
        name: [
            scorers.fit(kind, rng.normal(loc=g, size=(number, 3))) for g, number in enumerate(clips)
        ]
        for name, kind in (("a", "gaussian"), ("b", "knn"))
    }
    groups = [group for group in GROUPS for _ in range(12)]
    held = {name: rng.normal(size=36) for name in by_group}
    return by_group, ensembles.fit_ensemble(held, None, groups, rule="equal")


# One k-nearest-neighbour bank is larger than the others: those scorers cannot lie in one array.
@pytest.mark.parametrize("clips", [(20, 20, 20), (20, 25, 20)])
def test_each_clip_is_scored_as_each_machine_by_its_own_scorers(clips):
    by_group, ensemble = fitted(clips)
    order = (GROUPS[2], GROUPS[0], GROUPS[1])
    own = {name: [found[2], found[0], found[1]] for name, found in by_group.items()}
    arrays = inference.detector_arrays({}, own, ensemble, order)
    assert isinstance(arrays.scorers["b"], tuple) is (len(set(clips)) > 1) or hasattr(
        arrays.scorers["b"], "_fields"
    )
    x = {name: jnp.asarray(np.random.default_rng(1).normal(size=(5, 3))) for name in own}
    found = inference.make_scorer(ensemble)(arrays, x)
    for column, group in enumerate(order):
        raw = {n: np.asarray(scorers.score(own[n][column], x[n])) for n in own}
        for name, values in raw.items():
            np.testing.assert_allclose(found.branches[name][:, column], values, rtol=1e-5)
        expected = ensembles.combine(ensemble, raw, [group] * 5)
        np.testing.assert_allclose(found.score[:, column], expected, rtol=1e-4, atol=1e-5)


def test_networks_count_as_folded_only_all_together():
    assert inference.is_folded({"normaliser": 0, "encoder": {"folded": 1}})
    assert not inference.is_folded({"encoder": {"folded": 1}, "temporal": {"params": 1}})
    assert inference.is_folded({})
