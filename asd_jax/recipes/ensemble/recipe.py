"""The contrastive ensemble, stage by stage (Liao, Yang, Lu 2025, Appl. Sci. 15, 1624).

wav -> log-mel -> pretrain -> finetune -> temporal -> fusion -> branches -> scorers -> evaluate

Each stage resumes from its own checkpoint, so the same command on the same folder goes on where it
was stopped, and ends at once where it was finished.
"""

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

import jax

from asd_jax.recipes.ensemble import calibrate, evaluate, networks, stages
from asd_jax.recipes.ensemble import clips as corpus
from asd_jax.recipes.ensemble.guard import kept, trained_again, without_constant
from asd_jax.recipes.ensemble.material import FILE, Material, fingerprint
from asd_jax.recipes.ensemble.pretext import networks_wanted
from asd_jax.recipes.ensemble.settings import Ensemble
from asd_jax.runs import trainer as ensemble_training
from asd_jax.runs.settings import from_config
from asd_jax.runs.workdir import Clock, Workdir
from asd_jax.train.processes import first, one_first

Variables = dict[str, Any]


def run(values: dict[str, Any], folder: str) -> int:
    """Trains, calibrates and evaluates the ensemble.

    Args:
        values: the resolved config, nested plain values.
        folder: of the run; made if need be. See the README for what a finished one holds.

    Raises:
        UserError: for anything that the user can mend.
        Interrupted: when asked to stop; everything up to the last step is saved.
    """
    config = from_config(Ensemble, values)
    workdir = open_workdir(values, folder)
    if workdir.finished():
        workdir.say_result()
        return 0
    clock = Clock()
    with one_first("clips"):
        clips = corpus.load(config, progress=sys.stderr.isatty())
    config, clips = networks_wanted(config, clips)
    clock.lap("data")
    run_ = stages.Run(config, workdir, clips, networks.build(config, len(clips.classes.names)))

    trainings = [ensemble_training.Training(run_, plan(run_)) for plan in stages.stages_of(config)]
    stages.compile_ahead(run_, trainings)
    variables = stages.initial_variables(run_)
    for training in trainings:
        training.run, key = run_, stage_key(config.seed, training.plan.name)
        trained = training.train(key, variables)
        run_, trained = trained_again(run_, training, key, variables, trained)
        variables |= kept(run_, training.plan, variables, trained)
        clock.lap(training.plan.name)
    if first():
        conclude(run_, variables, clock)
    return 0


def open_workdir(values: Mapping[str, Any], folder: str) -> Workdir:
    """The folder of a run of this recipe; see `Workdir.open`."""
    return Workdir.open(folder, values, dataclasses.asdict(Ensemble()))


def stage_key(seed: int, stage: str) -> jax.Array:
    """The root key of a stage, or of the calibration that comes after the last."""
    names = [plan.__name__ for plan in stages.STAGES] + ["calibrate"]
    return jax.random.fold_in(jax.random.key(seed), 1 + names.index(stage))


def conclude(run_: stages.Run, variables: Variables, clock: Clock) -> None:
    """From trained networks to the detector and the report."""
    workdir = run_.workdir
    trained = run_.extract(variables, run_.corpus.waves, run_.corpus.training)
    run_ = without_constant(run_, trained)
    key = stage_key(run_.config.seed, "calibrate")
    material = Material(
        trained=trained,
        weak=calibrate.weak_features(run_, key, variables),
        tested=evaluate.test_features(run_, variables, trained),
        prototypes=calibrate.prototypes(run_, variables),
        clips=fingerprint(run_.corpus.names),
    )
    material.save(workdir.path(FILE))
    clock.lap("features")
    detector = calibrate.fit_detector(run_, variables, material)
    detector.save(workdir.path("detector"))
    clock.lap("calibrate")
    evaluate.evaluate(run_, detector, material, clock.seconds)
    workdir.say_result()
