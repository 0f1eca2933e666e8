"""A recipe's keys; how a recipe runs is tested with whole runs of `tests/recipes`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax import recipes, target
from asd_jax.features.logmel import LogMel, log_mel
from asd_jax.models import ops
from asd_jax.recipes.ensemble import objectives, settings
from asd_jax.runs.recipe import programs
from asd_jax.runs.settings import Data
from asd_jax.train.sharding import data_mesh, replicated, sharded, traced_for
from tests.runs.test_settings import get_config


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


ENSEMBLE = ("ensemble", ["pretrain", "finetune", "temporal", "fusion"])
CLASSIFIER = ("pump_classifier", ["pretrain", "finetune"])
OTHERWISE = {"precision": "bfloat16", "rematerialise": True, "accumulate": 2}


@pytest.mark.parametrize(
    ("name", "stages", "compute"),
    [
        (*ENSEMBLE, {}),
        pytest.param(*ENSEMBLE, OTHERWISE, marks=pytest.mark.slow),
        (*CLASSIFIER, {}),
        ("pump_classifier", ["finetune"], OTHERWISE),  # both stages have one loss and one network
    ],
)
def test_a_step_takes_its_own_shapes_and_gives_them_back(name, stages, compute):
    config = get_config(name, "smoke")
    config.compute.update(compute)
    values = config.to_dict()
    made = programs(values, dict.fromkeys(stages, 40), 3)
    assert list(made) == stages
    for program in made.values():
        assert program.batch["wave"].shape[0] == 8 and program.total_steps == 2
        state, metrics = jax.eval_shape(program.step, program.state, dict(program.batch))
        assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, program.state)
        assert metrics["loss"].shape == ()


def test_a_stage_without_clips_is_left_out():
    values = get_config("pump_classifier", "smoke").to_dict()
    assert list(programs(values, {"finetune": 20}, 0)) == ["finetune"]


def test_each_device_augments_its_own_clips():
    config, mesh = settings.Ensemble(data=Data(clip_seconds=0.5)), data_mesh(16)
    waves = jnp.asarray(np.random.default_rng(0).normal(size=(16, 8000)), jnp.float32)
    key = jax.random.key(1)

    def features(key, waves):
        return objectives._log_mel(objectives._augmented(key, waves, config), LogMel())

    def spread(key, waves):
        with traced_for(mesh):
            return features(key, waves)

    same, split = replicated(mesh), sharded(mesh)
    jitted = jax.jit(spread, in_shardings=(same, split), out_shardings=split)
    text = jitted.lower(key, waves).compile().as_text()
    assert "fft(" in text and "all-gather" not in text and "all-to-all" not in text
    np.testing.assert_allclose(jitted(key, waves), jax.jit(features)(key, waves), atol=2e-4)


def test_operations_take_the_form_of_the_platform_that_is_traced_for():
    def traced(platform):
        x, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 1, 2))
        with target.compiling_for(platform):
            depthwise = jax.make_jaxpr(lambda x: ops.depthwise(x, kernel))(x)
            level = jax.make_jaxpr(lambda x: log_mel(x, spec=LogMel()))(jnp.ones((1, 8000)))
        return "conv_general_dilated" in str(depthwise), "fft" in str(level)

    assert [traced(name) for name in ("cpu", "gpu", "tpu")] == [
        (False, True),
        (True, True),
        (True, False),
    ]
