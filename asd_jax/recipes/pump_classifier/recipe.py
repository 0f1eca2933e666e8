"""The supervised pump classifier, stage by stage (Sun 2025, EfficientNetV2 with improved CBAM).

wav -> picture -> pretrain (one noise level) -> finetune (best by validation) -> evaluate

Each stage resumes from its own checkpoint, so the same command on the same folder goes on where it
was stopped, and ends at once where it was finished.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

from asd_jax.recipes.pump_classifier import clips as classifier_corpus
from asd_jax.recipes.pump_classifier import evaluate as classifier_evaluate
from asd_jax.recipes.pump_classifier import network as classifier_network
from asd_jax.recipes.pump_classifier import stages as training
from asd_jax.recipes.pump_classifier.settings import PumpClassifier
from asd_jax.runs.settings import from_config
from asd_jax.runs.workdir import Clock, Workdir
from asd_jax.train.processes import first, one_first


def run(values: dict[str, Any], folder: str) -> int:
    """Trains and evaluates the classifier.

    Args:
        values: the resolved config, nested plain values.
        folder: of the run; made if need be. See the README for what a finished one holds.

    Raises:
        UserError: for anything that the user can mend.
        Interrupted: when asked to stop; everything up to the last step is saved.
    """
    config = from_config(PumpClassifier, values)
    workdir = open_workdir(values, folder)
    if workdir.finished():
        workdir.say_result()
        return 0
    clock = Clock()
    with one_first("clips"):
        corpus = classifier_corpus.load(config)
    clock.lap("data")
    run_ = training.Run(config, workdir, corpus, classifier_network.build(config))

    stages = training.sessions(run_)
    training.compile_ahead(run_, stages)
    variables, keys = None, stage_keys(config.seed)
    for stage in stages:
        variables = stage.alone(keys[stage.name], variables)
        clock.lap(stage.name)
    if first():
        conclude(run_, variables, clock)
    return 0


def open_workdir(values: Mapping[str, Any], folder: str) -> Workdir:
    """The folder of a run of this recipe; see `Workdir.open`."""
    return Workdir.open(folder, values, dataclasses.asdict(PumpClassifier()))


def stage_keys(seed: int) -> dict[str, jax.Array]:
    """The keys of pre-training and fine-tuning."""
    return dict(zip(("pretrain", "finetune"), jax.random.split(jax.random.key(seed)), strict=True))


def conclude(run_: training.Run, variables: Any, clock: Clock) -> None:
    """From a trained network to the detector and the report."""
    classifier_evaluate.conclude(run_, variables, clock.seconds)
    run_.workdir.say_result()
