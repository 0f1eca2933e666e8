"""A finished run with other scorers, another ensemble or threshold: no training, no network."""

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from typing import Any

from asd_jax.detector import load_detector
from asd_jax.errors import UserError
from asd_jax.files import plain
from asd_jax.recipes.ensemble import (
    branches,
    calibrate,
    guard,
    learned,
    networks,
    stages,
)
from asd_jax.recipes.ensemble import clips as corpus
from asd_jax.recipes.ensemble.detector import EnsembleDetector
from asd_jax.recipes.ensemble.material import FILE, Material, fingerprint
from asd_jax.recipes.ensemble.pretext import networks_wanted
from asd_jax.recipes.ensemble.recipe import RECIPE, report
from asd_jax.recipes.ensemble.settings import Ensemble
from asd_jax.report.files import read_results
from asd_jax.runs.settings import from_config
from asd_jax.runs.workdir import Stopwatch, Workdir


def rescore(folder: str, changes: Mapping[str, Any], output: str = "") -> None:
    """Writes a new folder as a run leaves it, but for checkpoints; the run stays as it is.

    Args:
        folder: of a finished run of the ensemble.
        changes: values by field, such as `scoring.scorer`.
        output: the new folder; '' is `rescored-<digest of the scoring settings>` in the run's.

    Raises:
        UserError: no such run, a field that needs training, or recordings that have changed.
    """
    before = Workdir(folder)
    values = changed_config(before, changes)
    config = from_config(Ensemble, values)
    workdir = Workdir(output or before.path(f"rescored-{_digest(values['scoring'])}"))
    if os.path.realpath(workdir.folder) == os.path.realpath(folder):
        raise UserError(f"--output={workdir.folder} is the run itself; give another folder.")
    stopwatch = Stopwatch()
    run, material = _opened(before, workdir, config, chosen="scoring.branches" in changes)
    variables = _variables(before, run.config)
    run = guard.without_constant(run, material.trained)
    results = read_results(before.path("results.json"))
    workdir = RECIPE.open_workdir(values, workdir.folder)  # and its lock
    if workdir.finished():
        workdir.say_result()
        return
    if os.path.exists(before.path("metrics.jsonl")):  # of a run that has trained a network
        shutil.copyfile(before.path("metrics.jsonl"), workdir.path("metrics.jsonl"))
    stopwatch.lap("data")
    detector, heard = calibrate.fit_detector(run, variables, material)
    detector.save(workdir.path("detector"))
    stopwatch.lap("calibrate")
    identification, rescored = results["identification"], {"run": folder, "changes": dict(changes)}
    more = {"identification": identification, "rescored": rescored}
    report(run, detector, heard, material, stopwatch, **more)
    workdir.say_result()


def changed_config(before: Workdir, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a finished run with these changes; see `rescore`.

    Raises:
        UserError: it is not a finished run of the ensemble, or a change needs training.
    """
    if not before.finished():
        raise UserError(f"{before.folder} holds no finished run; give the folder of one.")
    values = before.config()
    if values.get("recipe") != "ensemble":
        raise UserError(
            f"{before.folder} is a run of {values.get('recipe')!r}; only the ensemble's can be "
            "scored anew."
        )
    for field in changes:
        if not field.startswith("scoring."):
            raise UserError(
                f"config.{field} needs training; asd_jax.rescore changes config.scoring alone: "
                "give asd_jax.main another --workdir."
            )
    own = {name.removeprefix("scoring."): value for name, value in changes.items()}
    return {**values, "scoring": {**values["scoring"], **plain(own)}}


def _opened(
    before: Workdir, workdir: Workdir, config: Ensemble, *, chosen: bool
) -> tuple[stages.EnsembleRun, Material]:
    """The run's clips, and the features that it has computed from them.

    Where it has trained no network, its branches are those that need none, unless they are `chosen`
    anew.
    """
    material = Material.load(before.path(FILE))
    was = from_config(Ensemble, before.config())
    was, clips = networks_wanted(was, corpus.load(was, progress=False))
    if not chosen:
        scoring = dataclasses.replace(config.scoring, branches=was.scoring.branches)
        config = dataclasses.replace(config, scoring=scoring)
    if fingerprint(clips.names) != material.clips:
        raise UserError(
            f"The recordings are no longer those that {before.folder} was made of; train anew."
        )
    few = len(learned.chosen(len(clips.held_out)))
    if any(len(rows) != few for of in material.heard.values() for rows in of.values()):
        raise UserError(f"{before.folder} was made by an earlier version of asd_jax; train anew.")
    note = f"Scored anew from the run {before.folder}, whose networks these are."
    clips = dataclasses.replace(clips, notes=(*clips.notes, note))
    nets = networks.build(config, len(clips.pretext_labels.names))
    return stages.EnsembleRun(config, workdir, clips, nets), material


def _variables(before: Workdir, config: Ensemble) -> Mapping[str, Any]:
    """Those of the run's detector; raises UserError where a branch wants others."""
    found = load_detector(before.path("detector"))
    if not isinstance(found, EnsembleDetector):
        raise UserError(f"{before.folder} is not a run of the ensemble.")
    missing = branches.needed(config.scoring.branches) - found.variables.keys()
    if missing:
        raise UserError(
            f"config.scoring.branches needs the network {', '.join(sorted(missing))}, which the "
            f"detector of {before.folder} lacks; its branches are "
            f"{', '.join(found.config.scoring.branches)}."
        )
    return found.variables


def _digest(scoring: Mapping[str, Any]) -> str:
    text = json.dumps(plain(scoring), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
