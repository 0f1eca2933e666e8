"""Several runs side by side: of several seeds, or of settings that leave shapes alone.

Each stage trains all of them as one program over an axis of runs, which is shared out among the
devices. What comes between and after the stages each does by itself. A run leaves in its folder
what it would leave alone, up to rounding; so the same runs, or one of them, can go on in any way.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from asd_jax import memory, recipes
from asd_jax.data.loader import Batches, side_by_side
from asd_jax.errors import UserError
from asd_jax.runs import recipe as single
from asd_jax.runs.cells import Cell
from asd_jax.runs.recipe import Recipe, compile_ahead
from asd_jax.runs.recordings import listing
from asd_jax.runs.run import Run
from asd_jax.runs.settings import flatten, from_config
from asd_jax.runs.trainer import Clips, Plan, Trainer
from asd_jax.runs.tunables import may_differ
from asd_jax.runs.workdir import Stopwatch, Workdir
from asd_jax.train import progress
from asd_jax.train.ahead import Ahead
from asd_jax.train.loop import Diverged, Stage
from asd_jax.train.pack import Member, stacked_shapes, train_pack, unstacked
from asd_jax.train.sharding import by_run, runs_mesh
from asd_jax.train.state import TrainState, final_variables
from asd_jax.train.step import Step, compile_packed
from asd_jax.types import Variables


def run(cells: Sequence[Cell]) -> int:
    """Trains the runs together, and calibrates and evaluates each; finished ones are left alone.

    Raises:
        UserError: for anything that the user can mend. A run that diverges does not keep the others
            from their end; it is named after it.
        Interrupted: when asked to stop; everything up to the last step is saved.
    """
    check(cells)
    recipe = recipes.find(cells[0].values["recipe"])
    for cell in cells:
        recipe.settled(cell.values, cell.folder)
    opened = [recipe.open_workdir(cell.values, cell.folder, begin=False) for cell in cells]
    recipe.say_news(cells[0].values, opened[0])
    left = [cell for cell, workdir in zip(cells, opened, strict=True) if not workdir.finished()]
    if len(left) < len(cells):
        print(f"{len(cells) - len(left)} of {len(cells)} runs are there already.", flush=True)
    if len(left) == 1:
        return single.run(left[0].values, left[0].folder)
    if left:
        together(recipe, left)
    return 0


def check(cells: Sequence[Cell]) -> None:
    """Raises UserError where runs cannot share a program."""
    if jax.process_count() > 1:
        raise UserError("config.pack is for one process; give each host runs of its own.")
    first, *others = (flatten(cell.values) for cell in cells)
    for other in others:
        for field in sorted(first.keys() | other.keys()):
            if first.get(field) != other.get(field) and not may_differ(field):
                raise UserError(
                    f"config.{field} is {first.get(field)!r} in one run and {other.get(field)!r} "
                    "in another; such runs cannot train as one program."
                )


def together(recipe: Recipe, cells: Sequence[Cell]) -> None:
    """Makes these runs, none of which is finished.

    Raises:
        UserError: runs diverged; the others are finished first.
    """
    stopwatch = Stopwatch()
    runs = open_runs(recipe, cells)
    stopwatch.lap("data")
    packs = packs_of(recipe, runs)
    parts = [
        progress.Part(pack.plan.name, sum(t.part.clips for t in pack.trainers)) for pack in packs
    ]
    progress.plan([*parts, progress.Part("calibrate", 0)])
    compile_ahead(recipe, runs[0], packs)
    variables = [recipe.initial(run) for run in runs]
    diverged: dict[int, Diverged] = {}
    for pack in packs:
        keys = [recipe.stage_key(run.config.seed, pack.plan.name) for run in runs]
        found, lost = pack.train(runs, keys, variables, diverged)
        diverged |= lost
        for place, after in found.items():
            trainer = pack.trainers[place]
            runs[place], after = recipe.after_stage(
                runs[place], trainer, keys[place], variables[place], after
            )
            variables[place] |= after
        stopwatch.lap(pack.plan.name)
    for place, run in enumerate(runs):
        if place not in diverged:
            recipe.conclude(run, variables[place], Stopwatch(stopwatch.seconds))
            run.workdir.say_result()
    if diverged:
        where = ", ".join(sorted(runs[place].workdir.folder for place in diverged))
        raise UserError(f"{next(iter(diverged.values()))} That was in {where}.")


def open_runs(recipe: Recipe, cells: Sequence[Cell]) -> list[Any]:
    """The runs with their clips; all share the networks and compiled programs of the first.

    Raises:
        UserError: the runs have different machines, so different networks.
    """
    with progress.once():
        loaded = [_load(recipe, cell) for cell in cells]
    runs: list[Run] = []
    for cell, (config, clips, there) in zip(cells, loaded, strict=True):
        workdir = Workdir(cell.folder)
        workdir.begin(cell.values, there)
        note = (
            f"Trained side by side with {len(cells) - 1} others: the times of stages are of all of "
            "them."
        )
        clips = dataclasses.replace(clips, notes=(*clips.notes, note))
        first = runs[0] if runs else None
        if first and first.corpus.told_apart != clips.told_apart:
            raise UserError("The runs have different machines, and cannot train as one program.")
        nets = first.nets if first else recipe.build(config, clips)
        runs.append(recipe.run(config, workdir, clips, nets, shares_programs_with=first))
    return runs


def _load(recipe: Recipe, cell: Cell) -> tuple[Any, Any, dict[str, int]]:
    """Settings and clips of a run, and the `listing` from before they were read."""
    config = from_config(recipe.settings, cell.values)
    there = listing(config)
    return *recipe.adjust(config, recipe.load(config)), there


def packs_of(recipe: Recipe, runs: Sequence[Any]) -> list["Pack"]:
    """The stages of the runs; raises UserError where they have not the same ones."""
    plans = [recipe.plans(run) for run in runs]
    if len({tuple(plan.name for plan in own) for own in plans}) > 1:
        raise UserError(
            "Some of these runs have stages that others have not, as with networks where there is "
            "nothing to identify (config.networks=always trains them): make them one by one."
        )
    return [
        Pack([Trainer(run, plan) for run, plan in zip(runs, stage, strict=True)])
        for stage in zip(*plans, strict=True)
    ]


class Pack:
    """One stage of several runs, made ready."""

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        """Raises UserError where the runs' batches differ in size."""
        self.trainers = trainers
        if len({trainer.size for trainer in trainers}) > 1:
            raise UserError("The runs have fewer clips than a batch, and not equally many.")
        self._prepared: tuple[list[int], Callable[[], Step]] | None = None

    @property
    def plan(self) -> Plan:
        """The plan of the first run; the others' differ in nothing that is compiled."""
        return self.trainers[0].plan

    def prepare(self, shapes: Callable[[], Variables], ahead: Ahead) -> None:
        """Compiles beside the caller what is not finished; see `Trainer.prepare`."""
        left = self._left({})
        if len(left) < 2:
            for place in left:
                self.trainers[place].prepare(shapes, ahead)
            return
        first, mesh = self.trainers[left[0]], runs_mesh(len(left))

        def lowered() -> jax.stages.Lowered:
            program = first.program(shapes())
            stacked = stacked_shapes((program.state, dict(program.batch)), len(left))
            return compile_packed(first.step, mesh).lower(*stacked)

        first.prepare_initial(ahead)
        self._prepared = left, ahead.prepare(lowered)

    def train(
        self,
        runs: Sequence[Any],
        keys: Sequence[jax.Array],
        variables: Sequence[Variables],
        without: Mapping[int, Diverged],
    ) -> tuple[dict[int, Variables], dict[int, Diverged]]:
        """The new variables of each run after the stage, and which of them diverged in it.

        Args:
            runs: as earlier stages left them.
            keys: the root key of each run, a scalar.
            variables: what each has before the stage.
            without: runs that have diverged before, by their places.
        """
        own = zip(self.trainers, runs, strict=True)
        self.trainers = [trainer.of(run) for trainer, run in own]
        left, found, lost = self._left(without), {}, {}
        if len(left) > 1:
            found, lost = self._together(left, keys, variables)
        for place, trainer in enumerate(self.trainers):
            if place not in found.keys() | lost.keys() | without.keys():
                found[place] = trainer.train(keys[place], variables[place])
        return found, lost

    def _left(self, without: Mapping[int, Any]) -> list[int]:
        return [
            place
            for place, trainer in enumerate(self.trainers)
            if place not in without and not trainer.finished()
        ]

    def _together(
        self, left: list[int], keys: Sequence[jax.Array], variables: Sequence[Variables]
    ) -> tuple[dict[int, Variables], dict[int, Diverged]]:
        trainers = [self.trainers[k] for k in left]
        prepared = self._prepared if self._prepared and self._prepared[0] == left else None
        found, diverged = train_together(
            trainers,
            [trainers[0].initial(keys[k], variables[k]) for k in left],
            [trainer.plan.clips(variables[k]) for trainer, k in zip(trainers, left, strict=True)],
            prepared[1] if prepared else None,
        )
        self._prepared = None  # a program takes as much memory as the networks
        return (
            {left[k]: tree for k, tree in found.items()},
            {left[k]: end for k, end in diverged.items()},
        )


def train_together(
    trainers: Sequence[Trainer],
    states: Sequence[TrainState],
    clips: Sequence[Clips],
    compiled: Callable[[], Step] | None = None,
) -> tuple[dict[int, Variables], dict[int, Diverged]]:
    """Trains the runs together to the end of the longest.

    Args:
        trainers: of the stage, one a run; their steps are the same program.
        states: of each run before the first step, but for its tunables.
        clips: that each trains on.
        compiled: returns the packed step, compiled ahead of time.

    Returns:
        By the runs' places the variables that the stage leaves, on the host, and what became of
        the others.
    """
    mesh = runs_mesh(len(trainers))
    batches = functools.partial(_batches, trainers, clips, mesh)
    stages = [trainer.stage(batches) for trainer in trainers]
    longest = max(stages, key=lambda stage: stage.total_steps)
    stage = dataclasses.replace(
        longest,
        mesh=mesh,
        batch_size=longest.batch_size * len(trainers),
        compiled=compiled or (lambda: compile_packed(longest.step, mesh)),
        evaluate=_evaluate(stages),
        enough=lambda step: all(own.enough(step) for own in stages),
    )
    own = [{n: np.float32(x) for n, x in trainer.scalars.items()} for trainer in trainers]
    states = [state._replace(tunables=x) for state, x in zip(states, own, strict=True)]
    members = [
        Member(t.run.workdir.folder, t.directory, t.run.workdir.metrics_log(), t.total)
        for t in trainers
    ]
    save_seconds = trainers[0].run.config.save_seconds
    state, diverged = train_pack(stage, states, members, save_seconds=save_seconds)
    well = [place for place in range(len(trainers)) if place not in diverged]
    last = unstacked(final_variables(state), well)
    memory.give_back()
    return {place: trainers[place].chosen(tree) for place, tree in last.items()}, diverged


def _evaluate(stages: Sequence[Stage]) -> Callable[[TrainState], list[dict[str, float]]] | None:
    """Each run's own evaluation, of its own state."""
    each = [stage.evaluate for stage in stages if stage.evaluate]
    if not each:
        return None

    def evaluate(state: TrainState) -> list[dict[str, float]]:
        # The key is not needed for it, and stays where it is.
        own = unstacked(state._replace(key=state.step), range(len(stages)))
        return [evaluate_one(own[place]) for place, evaluate_one in enumerate(each)]

    return evaluate


def _batches(
    trainers: Sequence[Trainer], clips: Sequence[Clips], mesh: Mesh, begin: int
) -> Batches:
    """The batches of all runs from step `begin` on, on their devices."""
    runs = [trainer.batches(own, begin) for trainer, own in zip(trainers, clips, strict=True)]
    return side_by_side(runs, lambda batch: jax.device_put(batch, by_run(mesh)))
