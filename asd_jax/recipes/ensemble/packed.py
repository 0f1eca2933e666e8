"""The ensemble of several runs side by side: each of its stages is one program for all of them."""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from asd_jax.data.loader import Batches, Waves
from asd_jax.errors import UserError
from asd_jax.recipes.ensemble import clips as corpus
from asd_jax.recipes.ensemble import networks, stages
from asd_jax.recipes.ensemble import recipe as ensemble
from asd_jax.recipes.ensemble.guard import kept
from asd_jax.recipes.ensemble.pretext import networks_wanted
from asd_jax.recipes.ensemble.settings import Ensemble
from asd_jax.recipes.ensemble.stages import Variables
from asd_jax.runs.cells import Cell
from asd_jax.runs.settings import from_config
from asd_jax.runs.side_by_side import Part, note_of, say_diverged, train_parts
from asd_jax.runs.trainer import Training
from asd_jax.runs.workdir import Clock, Workdir
from asd_jax.train.ahead import Ahead, Executable
from asd_jax.train.loop import Diverged
from asd_jax.train.pack import stacked_shapes
from asd_jax.train.sharding import runs_mesh
from asd_jax.train.state import TrainState
from asd_jax.train.step import Step, compile_packed


def together(cells: Sequence[Cell]) -> None:
    """Makes these runs, none of which is finished; see `recipes.packed`."""
    clock = Clock()
    runs = open_runs(cells)
    clock.lap("data")
    packs = [
        Pack([Training(run, plan(run)) for run in runs])
        for plan in stages.stages_of(runs[0].config)
    ]
    stages.compile_ahead(runs[0], packs)
    variables = [stages.initial_variables(run) for run in runs]
    diverged: dict[int, Diverged] = {}
    for pack in packs:
        keys = [ensemble.stage_key(run.config.seed, pack.plan.name) for run in runs]
        found, lost = pack.train(keys, variables, diverged)
        diverged |= lost
        for place, new in found.items():
            variables[place] |= kept(runs[place], pack.plan, variables[place], new)
        clock.lap(pack.plan.name)
    for place, run in enumerate(runs):
        if place not in diverged:
            ensemble.conclude(run, variables[place], Clock(clock.seconds))
    say_diverged({runs[place].workdir.folder: end for place, end in diverged.items()})


def open_runs(cells: Sequence[Cell]) -> list[stages.Run]:
    """The runs with their clips; all share the networks and compiled programs of the first."""
    runs: list[stages.Run] = []
    for cell in cells:
        config: Ensemble = from_config(Ensemble, cell.values)
        clips = corpus.load(config, progress=sys.stderr.isatty())
        config, clips = networks_wanted(config, clips)
        clips = dataclasses.replace(clips, notes=(*clips.notes, note_of(len(cells))))
        first = runs[0] if runs else None
        if first and _machines(first.corpus) != _machines(clips):
            raise UserError("The runs have different machines, and cannot train as one program.")
        if first and first.config.scoring.branches != config.scoring.branches:
            raise UserError(
                "Some of these runs train networks and others find nothing to identify: set "
                "config.networks=always, or make them one by one."
            )
        nets = first.nets if first else networks.build(config, len(clips.classes.names))
        runs.append(stages.Run(config, Workdir(cell.folder), clips, nets, beside=first))
    return runs


def _machines(clips: corpus.Corpus) -> tuple:
    return clips.groups, len(clips.classes.names)


class Pack:
    """One stage of several runs, made ready."""

    def __init__(self, trainings: Sequence[Training]) -> None:
        """Raises UserError where the runs' batches differ in size."""
        self._trainings, self.plan = trainings, trainings[0].plan
        if len({training.size for training in trainings}) > 1:
            raise UserError("The runs have fewer clips than a batch, and not equally many.")
        self._prepared: tuple[list[int], Callable[[], Step]] | None = None

    def prepare(self, variables: Callable[[], Variables], ahead: Ahead) -> None:
        """Compiles beside the caller what is not finished; see `Training.prepare`."""
        left = self._left({})
        if len(left) < 2:
            for place in left:
                self._trainings[place].prepare(variables, ahead)
            return

        first, mesh = self._trainings[left[0]], runs_mesh(len(left))

        def lowered() -> jax.stages.Lowered:
            program = first.program(variables())
            shapes = stacked_shapes((program.state, dict(program.batch)), len(left))
            return compile_packed(first.step, mesh).lower(*shapes)

        first.prepare_initial(ahead)
        packed = Executable(first.about("packed", len(left)), mesh, lowered)
        self._prepared = left, ahead.prepare(packed)

    def train(
        self,
        keys: Sequence[jax.Array],
        variables: Sequence[Variables],
        without: Mapping[int, Diverged],
    ) -> tuple[dict[int, Variables], dict[int, Diverged]]:
        """The new variables of each run after the stage, and which of them diverged in it.

        Args:
            keys: the root keys of the runs.
            variables: what each has before the stage.
            without: runs that have diverged before, by their places.
        """
        left, found, lost = self._left(without), {}, {}
        if len(left) > 1:
            found, lost = self._together(left, keys, variables)
        for place, training in enumerate(self._trainings):
            if place not in found.keys() | lost.keys() | without.keys():
                found[place] = training.train(keys[place], variables[place])
        return found, lost

    def _left(self, without: Mapping[int, Any]) -> list[int]:
        return [
            place
            for place, training in enumerate(self._trainings)
            if place not in without and not training.finished()
        ]

    def _together(
        self, left: list[int], keys: Sequence[jax.Array], variables: Sequence[Variables]
    ) -> tuple[dict[int, Variables], dict[int, Diverged]]:
        ours = [(self._trainings[k], keys[k], variables[k]) for k in left]
        make, config = ours[0][0].initial, ours[0][0].run.config
        prepared = self._prepared and self._prepared[0] == left
        found, diverged = train_parts(
            [_part(training, make(key, known), known) for training, key, known in ours],
            self.plan.clip,
            on_device=config.data.on_device,
            save_seconds=config.save_seconds,
            compiled=self._prepared[1] if prepared else None,
        )
        self._prepared = None  # a program takes as much memory as the networks
        return (
            {left[k]: tree for k, tree in found.items()},
            {left[k]: end for k, end in diverged.items()},
        )


def _part(training: Training, state: TrainState, variables: Variables) -> Part:
    clips = training.plan.clips(variables)

    def batches(waves: Waves, begin: int) -> Batches:
        return training.batches(waves, clips, begin)

    return Part(
        stage=training.stage(lambda begin: batches(clips.waves, begin)),
        state=state,
        scalars=training.scalars,
        workdir=training.run.workdir,
        waves=clips.waves,
        indices=clips.indices,
        batches=batches,
    )
