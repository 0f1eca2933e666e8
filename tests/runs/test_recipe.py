"""A recipe's keys; how a recipe runs is tested with whole runs of `tests/recipes`."""

import jax
import pytest

from asd_jax import recipes


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_stage_of_every_seed_has_a_key_of_its_own(name):
    recipe = recipes.find(name)
    keys = [
        tuple(jax.random.key_data(recipe.stage_key(seed, stage)).tolist())
        for seed in range(3)
        for stage in (*recipe.stages, "conclude")
    ]
    assert len(set(keys)) == len(keys)


def test_a_key_does_not_depend_on_which_stages_are_run():
    recipe = recipes.find("ensemble")
    alone = jax.random.fold_in(jax.random.key(5), 1 + recipe.stages.index("temporal"))
    assert jax.random.key_data(recipe.stage_key(5, "temporal")).tolist() == (
        jax.random.key_data(alone).tolist()
    )


def test_an_unknown_stage_has_none():
    with pytest.raises(ValueError):
        recipes.find("ensemble").stage_key(0, "pretrian")
