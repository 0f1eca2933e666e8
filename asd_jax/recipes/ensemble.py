"""The contrastive ensemble, stage by stage (Liao, Yang, Lu 2025, Appl. Sci. 15, 1624).

wav -> log-mel -> pretrain -> finetune -> temporal -> fusion -> branches -> scorers -> evaluate

Each stage resumes from its own checkpoint, so the same command on the same folder goes on where it
was stopped, and ends at once where it was finished.
"""

import os
import time
from typing import Any

import jax

from asd_jax.recipes import calibrate, corpus, evaluate, networks, stages
from asd_jax.recipes.settings import Ensemble, from_config
from asd_jax.recipes.workdir import Workdir

Tree = Any


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
    workdir = Workdir.open(folder, values)
    if workdir.finished():
        workdir.say_result()
        return 0
    began = time.monotonic()
    clips = corpus.load(config)
    run_ = stages.Run(config, workdir, clips, networks.build(config, len(clips.groups)))

    variables: dict[str, Tree] = {"normaliser": stages.fit_normaliser(run_)}
    key = jax.random.key(config.seed)
    variables |= stages.pretrain(run_, jax.random.fold_in(key, 1), variables)
    variables |= stages.finetune(run_, jax.random.fold_in(key, 2), variables)
    variables |= stages.temporal(run_, jax.random.fold_in(key, 3), variables)
    variables |= stages.fusion(run_, jax.random.fold_in(key, 4), variables)

    detector = calibrate.fit_detector(run_, jax.random.fold_in(key, 5), variables)
    detector.save(os.path.join(folder, "detector"))
    evaluate.evaluate(run_, detector, seconds=time.monotonic() - began)
    workdir.say_result()
    return 0
