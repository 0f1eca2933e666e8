"""Trains and evaluates: `python -m asd_jax.main --config=configs/ensemble.py[:ARG]`.

This file is short on purpose: the story of a run is in `asd_jax.recipes` and `asd_jax.runs`.
"""

import importlib
import os
from collections.abc import Sequence
from typing import Any

from absl import flags
from ml_collections import config_flags

from asd_jax import commands, recipes
from asd_jax.errors import UserError
from asd_jax.runs import cells

CONFIG = config_flags.DEFINE_config_file(
    "config", None, "A file of configs/, perhaps with an argument: FILE.py:ARG.", lock_config=True
)
WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "Folder of the run; default runs/<config name>. The same folder resumes.",
    allow_override=True,
)
PROFILE = flags.DEFINE_string(
    "profile", None, "Folder for a trace of a few steps of each stage, to see where the time goes."
)
LOG_TO = flags.DEFINE_list(
    "log_to", [], "Where metrics go besides metrics.jsonl: csv, tensorboard, wandb, mlflow."
)
QUIET = flags.DEFINE_bool(
    "quiet", False, "Show no progress, only warnings and the result; --verbosity=0 shows more."
)
CELLS = flags.DEFINE_string(
    "cells",
    "",
    'Runs to train as one program, JSON by folder: {"a": {"seed": 1}, "b": {"finetune.margin": 1}}',
)
PROCESSES = flags.DEFINE_string(
    "processes", "", "How many processes make the run, or 'auto' on SLURM, GKE and Cloud TPU."
)
PROCESS = flags.DEFINE_integer("process", None, "The number of this process, from 0.")
COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, for all.")


def default_workdir(config_path: str, argument: str) -> str:
    """`runs/ensemble` for configs/ensemble.py, `runs/ensemble-mimii` with :mimii."""
    name = os.path.splitext(os.path.basename(config_path))[0]
    words = [word for word in argument.split(",") if word and word != "quickstart"]
    return os.path.join("runs", "-".join([name, *words]))


def read_config():
    """The config that the flags name; raises UserError where there is none."""
    try:
        config = CONFIG.value
        if config is not None:
            config.get("recipe")  # a file that failed to load fails on first use
    except OSError as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"--config cannot be read: {reason}.") from error
    if config is None:
        raise UserError("give a config, for example --config=configs/ensemble.py.")
    return config


def main(argv: Sequence[str]) -> int:
    """Runs the recipe that the config names."""
    if len(argv) > 1:
        raise UserError(f"{argv[1]!r} is no flag; settings are given as --config.FIELD=VALUE.")
    config = read_config()
    recipes.check(config.get("recipe"))
    flag: Any = flags.FLAGS["config"]  # of ml_collections' own kind
    path, _, argument = flag.config_filename.partition(":")
    workdir = WORKDIR.value or default_workdir(path, argument)
    together = cells.parse(CELLS.value, config, workdir) if CELLS.value else []
    if QUIET.value:
        from asd_jax.train import progress

        progress.be_quiet()
    if LOG_TO.value:
        from asd_jax.train import metrics_log

        metrics_log.enable(LOG_TO.value)
    commands.prepare_jax()
    if PROCESSES.value:
        from asd_jax.train import processes

        processes.start(PROCESSES.value, PROCESS.value, COORDINATOR.value)
    if PROFILE.value:
        from asd_jax.train import profile

        profile.enable(PROFILE.value)
    if together:
        return importlib.import_module("asd_jax.runs.packed").run(together)
    if config.get("pack", 1) > 1:
        return importlib.import_module("asd_jax.runs.seeds").run(config.to_dict(), workdir)
    return importlib.import_module("asd_jax.runs.recipe").run(config.to_dict(), workdir)


if __name__ == "__main__":
    commands.run(main)
