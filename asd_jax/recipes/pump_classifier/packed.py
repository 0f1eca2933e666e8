"""The pump classifier of several runs side by side: each stage is one program for all of them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from asd_jax.errors import UserError
from asd_jax.recipes.pump_classifier import clips as classifier_corpus
from asd_jax.recipes.pump_classifier import network as classifier_network
from asd_jax.recipes.pump_classifier import recipe as pump_classifier
from asd_jax.recipes.pump_classifier import stages as training
from asd_jax.recipes.pump_classifier.settings import PumpClassifier
from asd_jax.runs.cells import Cell
from asd_jax.runs.settings import from_config
from asd_jax.runs.side_by_side import Part, note_of, say_diverged, train_parts
from asd_jax.runs.workdir import Clock, Workdir
from asd_jax.train.loop import Diverged, is_finished

Tree = Any


def together(cells: Sequence[Cell]) -> None:
    """Makes these runs, none of which is finished; see `recipes.packed`."""
    clock = Clock()
    runs = _open(cells)
    clock.lap("data")
    keys = [pump_classifier.stage_keys(run.config.seed) for run in runs]
    variables: dict[int, Tree] = dict.fromkeys(range(len(runs)))
    diverged: dict[int, Diverged] = {}
    for name in ("pretrain", "finetune"):
        sessions = _sessions(runs, name)
        if sessions:
            found, lost = _train(sessions, [own[name] for own in keys], variables, diverged)
            variables |= found
            diverged |= lost
        clock.lap(name)
    for place, run in enumerate(runs):
        if place not in diverged:
            pump_classifier.conclude(run, variables[place], Clock(clock.seconds))
    say_diverged({runs[place].workdir.folder: end for place, end in diverged.items()})


def _open(cells: Sequence[Cell]) -> list[training.Run]:
    """The runs with their clips; all share the network and compiled programs of the first."""
    runs: list[training.Run] = []
    for cell in cells:
        config: PumpClassifier = from_config(PumpClassifier, cell.values)
        corpus = classifier_corpus.load(config)
        corpus = dataclasses.replace(corpus, notes=(*corpus.notes, note_of(len(cells))))
        first = runs[0] if runs else None
        net = first.net if first else classifier_network.build(config)
        runs.append(training.Run(config, Workdir(cell.folder), corpus, net, beside=first))
    return runs


def _sessions(runs: Sequence[training.Run], name: str) -> list[training.Session]:
    """The stage of each run; none where the runs have no such stage."""
    sessions = []
    for run in runs:
        clips = run.corpus.parts.train
        if name == "pretrain":
            clips = training.pretraining_clips(run)
        if clips is not None:
            sessions.append(training.Session(run, name, clips))
    if len(sessions) not in (0, len(runs)) or len({own.training.size for own in sessions}) > 1:
        raise UserError("The runs have different clips, and cannot train as one program.")
    return sessions


def _train(
    sessions: Sequence[training.Session],
    keys: Sequence[jax.Array],
    starts: Mapping[int, Tree | None],
    without: Mapping[int, Diverged],
) -> tuple[dict[int, Tree], dict[int, Diverged]]:
    """The variables of each run after the stage, by its place, and which have diverged in it."""
    well = [k for k in range(len(sessions)) if k not in without]
    left = [k for k in well if not _finished(sessions[k])]
    found: dict[int, Tree] = {}
    lost: dict[int, Diverged] = {}
    if len(left) > 1:
        run = sessions[left[0]].run
        last, ends = train_parts(
            [_part(sessions[k], sessions[k].initial(keys[k], starts[k])) for k in left],
            classifier_network.clip_shape(run.config),
            on_device=run.config.data.on_device,
            save_seconds=run.config.save_seconds,
        )
        found = {left[k]: sessions[left[k]].chosen(tree) for k, tree in last.items()}
        lost = {left[k]: end for k, end in ends.items()}
    for k in well:
        if k not in found and k not in lost:
            found[k] = sessions[k].alone(keys[k], starts[k])
    return found, lost


def _finished(session: training.Session) -> bool:
    workdir = session.run.workdir
    return is_finished(workdir.checkpoints(session.name), session.training.total)


def _part(session: training.Session, state: training.TrainState) -> Part:
    waves = session.run.corpus.waves
    return Part(
        stage=session.stage(lambda begin: session.batches(waves, begin)),
        state=state,
        scalars=session.training.scalars,
        workdir=session.run.workdir,
        waves=waves,
        indices=np.unique(session.clips),
        batches=session.batches,
    )
