"""The contrastive ensemble, stage by stage (Liao, Yang, Lu 2025, Appl. Sci. 15, 1624).

wav -> log-mel -> pretrain -> finetune -> temporal -> fusion -> branches -> scorers -> evaluate
"""

import sys
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool

from asd_jax.recipes.ensemble import (
    calibrate,
    clips,
    evaluate,
    guard,
    learned,
    made,
    networks,
    stages,
)
from asd_jax.recipes.ensemble.detector import EnsembleDetector
from asd_jax.recipes.ensemble.material import FILE, Material, fingerprint
from asd_jax.recipes.ensemble.pretext import networks_wanted
from asd_jax.recipes.ensemble.settings import Ensemble
from asd_jax.runs.recipe import Recipe
from asd_jax.runs.trainer import Trainer
from asd_jax.runs.workdir import Stopwatch
from asd_jax.train.progress import say
from asd_jax.types import Variables


def build(config: Ensemble, corpus: clips.Corpus) -> networks.Networks:
    """The networks, for as many classes as the clips have."""
    return networks.build(config, len(corpus.pretext_labels.names))


def after_stage(
    run: stages.EnsembleRun, trainer: Trainer, key: jax.Array, before: Variables, after: Variables
) -> tuple[Any, Variables]:
    """Repeats a stage that learned nothing, and undoes one that unlearns; see `guard`."""
    run, after = guard.trained_again(run, trainer, key, before, after)
    return run, guard.undo_if_worse(run, trainer.plan, before, after)


def conclude(run: stages.EnsembleRun, variables: Variables, stopwatch: Stopwatch) -> None:
    """Makes the detector and the report from trained networks."""
    say("calibrate", f"features of {len(run.corpus.training)} healthy clips")
    trained = run.extract(variables, run.corpus.waves, run.corpus.training)
    run = guard.without_constant(run, trained)
    key = RECIPE.stage_key(run.config.seed, "conclude")
    material = Material(
        trained=trained,
        weak=calibrate.weak_features(run, key, variables),
        tested=evaluate.test_features(run, variables, trained),
        prototypes=calibrate.prototypes(run, variables),
        clips=fingerprint(run.corpus.names),
        heard=learned.heard_features(run, learned.key_of(key), variables),
    )
    material.save(run.workdir.path(FILE))
    stopwatch.lap("features")
    machines = len(run.corpus.groups)
    say("calibrate", f"scorers of {'one machine' if machines == 1 else f'{machines} machines'}")
    detector, heard = calibrate.fit_detector(run, variables, material)
    detector.save(run.workdir.path("detector"))
    stopwatch.lap("calibrate")
    say("calibrate", f"scores of {len(run.corpus.test)} test clips, and the report")
    report(run, detector, heard, material, stopwatch)


def report(
    run: stages.EnsembleRun,
    detector: EnsembleDetector,
    heard: Mapping[str, Bool[np.ndarray, "clips"]],
    material: Material,
    stopwatch: Stopwatch,
    **more: Any,
) -> None:
    """Judges the test clips and writes the results; `more` goes into results.json.

    Args:
        run: that has made the detector.
        detector: of `calibrate.fit_detector`.
        heard: of the same, by made fault.
        material: the branches' features.
        stopwatch: of the run.
        more: entries of results.json beside what every run has.
    """
    key = learned.key_of(RECIPE.stage_key(run.config.seed, "conclude"))
    told = learned.about(run, detector, heard)
    if "rescored" in more:  # it keeps no features to score once more
        told["next"] = [(what, how) for what, how in told["next"] if "asd_jax.rescore" not in how]
    about = {"learned": told, **more}
    shown = made.made_faults(run, key, detector, heard)
    evaluate.evaluate(run, detector, material, stopwatch.seconds, about, shown)


RECIPE = Recipe(
    settings=Ensemble,
    stages=tuple(stage.__name__ for stage in stages.STAGES),
    load=lambda config: clips.load(config, progress=sys.stderr.isatty()),
    build=build,
    run=stages.EnsembleRun,
    plans=stages.plans,
    initial=stages.initial_variables,
    shapes=stages.variable_shapes,
    conclude=conclude,
    imagined=clips.imagined,
    counts=lambda config, machines: dict.fromkeys(
        RECIPE.stages, clips.number_fitted(config, machines)
    ),
    identifies=True,
    adjust=networks_wanted,
    after_stage=after_stage,
)
