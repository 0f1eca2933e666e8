"""The training steps of a recipe from its settings alone: no recordings, no folder, no weights.

For whoever asks what a run would need before there is one; see `launch.plan`.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from asd_jax.data.cache import WaveCache
from asd_jax.recipes.ensemble import networks, stages
from asd_jax.recipes.ensemble.clips import Corpus
from asd_jax.recipes.ensemble.pretext_labels import by_machine
from asd_jax.recipes.ensemble.settings import Ensemble
from asd_jax.recipes.pump_classifier import network as classifier_network
from asd_jax.recipes.pump_classifier import stages as classifier_training
from asd_jax.recipes.pump_classifier.settings import PumpClassifier
from asd_jax.runs import trainer as ensemble_training
from asd_jax.runs.settings import from_config
from asd_jax.runs.workdir import Workdir
from asd_jax.train.ahead import Program, batch_shapes


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
    if values["recipe"] == "ensemble":
        config = from_config(Ensemble, values)
        made = _ensemble(config, clips, classes)
    else:
        made = _classifier(from_config(PumpClassifier, values), clips)
    return {program.name: program for program in made}


def _ensemble(config: Ensemble, clips: Mapping[str, int], classes: int) -> list[Program]:
    nets = networks.build(config, classes)
    shapes = stages.variable_shapes(config, nets)
    made = []
    for stage in stages.stages_of(config):
        if number := clips.get(stage.__name__):
            run = stages.Run(config, Workdir(""), _unheard(config, number, classes), nets)
            made.append(ensemble_training.Training(run, stage(run)).program(shapes))
    return made


def _unheard(config: Ensemble, clips: int, classes: int) -> Corpus:
    """A corpus of so many clips that train, of so many machines; none can be read."""
    groups = tuple(("", str(number)) for number in range(classes))
    nothing = np.zeros(0, int)
    waves = WaveCache("", nothing, networks.clip_samples(config))
    machines = by_machine(groups, nothing)
    return Corpus((), waves, groups, nothing, machines, np.arange(clips), nothing, nothing, ())


def _classifier(config: PumpClassifier, clips: Mapping[str, int]) -> list[Program]:
    net, key = classifier_network.build(config), jax.random.key(0)
    variables = jax.eval_shape(net.init, key)
    tunables = classifier_training.loss_tunables(np.array([0, 1]), config)
    clip = classifier_network.clip_shape(config)
    made = []
    for name in ("pretrain", "finetune"):
        if number := clips.get(name):
            training = classifier_training.Training(config, net, name, number, tunables)
            state = jax.eval_shape(training.state, key, variables)
            batch = batch_shapes(training.size, clip)
            made.append(Program(name, training.step, state, batch, training.total))
    return made
