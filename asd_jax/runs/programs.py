"""The training steps of a recipe from its settings alone: no recordings, no folder, no weights.

For whoever asks what a run would need before there is one; see `launch.plan`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from asd_jax import recipes
from asd_jax.runs.settings import from_config
from asd_jax.runs.trainer import Trainer
from asd_jax.runs.workdir import Workdir
from asd_jax.train.ahead import Program


def programs(
    values: Mapping[str, Any], clips: Mapping[str, int], classes: int
) -> dict[str, Program]:
    """The programs of the stages of the recipe that the config names, in their order.

    Args:
        values: the resolved config, nested plain values.
        clips: that each stage trains on in an epoch, by the stage's name; a stage that is not named
            is left out.
        classes: machines to tell apart.
    """
    recipe = recipes.find(values["recipe"])
    config = from_config(recipe.settings, values)
    corpus = recipe.imagined(config, classes)
    run = recipe.run(config, Workdir(""), corpus, recipe.build(config, corpus))
    shapes = recipe.shapes(run)
    return {
        plan.name: Trainer(run, dataclasses.replace(plan, count=clips[plan.name])).program(shapes)
        for plan in recipe.plans(run)
        if clips.get(plan.name)
    }
