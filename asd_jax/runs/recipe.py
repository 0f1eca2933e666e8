"""A recipe, and how any recipe is run: alone here, several side by side in `packed`."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging

from asd_jax import recipes
from asd_jax.data.table import recording_keys
from asd_jax.runs.recordings import listing, news
from asd_jax.runs.run import Run
from asd_jax.runs.settings import FREE, flatten, from_config
from asd_jax.runs.trainer import Plan, Trainer
from asd_jax.runs.workdir import Stopwatch, Workdir
from asd_jax.train import progress
from asd_jax.train.ahead import Ahead, Program
from asd_jax.train.processes import agree, is_primary, primary_first
from asd_jax.types import Variables


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A system from recordings to a detector.

    Attributes:
        settings: the dataclass of its config.
        stages: the names of all stages that it may have, in their order.
        load: the clips that a config names.
        build: the networks of a config and its clips, by attribute.
        run: the class of its runs.
        plans: the stages of a run, in their order.
        initial: the variables before the first stage.
        shapes: shapes and dtypes of all variables that any stage, or what follows, begins with.
        conclude: from trained variables to the detector, the results and the report.
        imagined: clips of so many machines of which none can be read, for plans without recordings.
        counts: the clips that each stage goes through in an epoch, of machines with so many normal
            and abnormal clips each.
        identifies: its networks tell machines apart, so that they depend on how many there are.
        adjust: config and clips as the run is to have them, once both are known.
        after_stage: the run, and the variables that a stage leaves, as the next one is to have
            them: (run, trainer, key, variables before, those of its networks after).
    """

    settings: type
    stages: tuple[str, ...]
    load: Callable[[Any], Any]
    build: Callable[[Any, Any], Any]
    run: type[Run]
    plans: Callable[[Any], Sequence[Plan]]
    initial: Callable[[Any], Variables]
    shapes: Callable[[Any], Variables]
    conclude: Callable[[Any, Variables, Stopwatch], None]
    imagined: Callable[[Any, int], Any]
    counts: Callable[[Any, Sequence[tuple[int, int]]], dict[str, int]] = lambda config, machines: {}
    identifies: bool = False
    adjust: Callable[[Any, Any], tuple[Any, Any]] = lambda config, clips: (config, clips)
    after_stage: Callable[..., tuple[Any, Variables]] = lambda run, trainer, key, before, after: (
        run,
        after,
    )

    def settled(self, values: Mapping[str, Any], folder: str) -> Any:
        """The settings of a run, whole: names of networks too, before anything is read or written.

        Args:
            values: the resolved config, nested plain values.
            folder: of the run; where it is finished, no network is built any more.

        Raises:
            UserError: a field, or several together, cannot be.
        """
        config = from_config(self.settings, values)
        if not Workdir(folder).finished():
            self.build(config, self.imagined(config, 2))
        return config

    def open_workdir(
        self, values: Mapping[str, Any], folder: str, *, begin: bool = True
    ) -> Workdir:
        """The folder of a run of this recipe; see `Workdir.open`."""
        return Workdir.open(folder, values, dataclasses.asdict(self.settings()), begin=begin)

    def say_news(self, values: Mapping[str, Any], workdir: Workdir) -> None:
        """Says which recordings have come or gone since the run in this folder began."""
        config = from_config(self.settings, values)
        if is_primary() and (sentence := news(config, workdir.recordings())):
            logging.warning("%s", sentence)

    def stage_key(self, seed: int, stage: str) -> jax.Array:
        """The root key of a stage, or ('conclude') of what comes after the last."""
        names = (*self.stages, "conclude")
        return jax.random.fold_in(jax.random.key(seed), 1 + names.index(stage))


def run(values: Mapping[str, Any], folder: str) -> int:
    """Trains and evaluates what `values["recipe"]` names.

    Each stage resumes from its own checkpoint, so the same command on the same folder goes on where
    it was stopped, and ends at once where it was finished.

    Args:
        values: the resolved config, nested plain values.
        folder: of the run; made if need be. See the README for what a finished one holds.

    Raises:
        UserError: for anything that the user can mend.
        Interrupted: when asked to stop; everything up to the last step is saved.
    """
    recipe = recipes.find(values["recipe"])
    config = recipe.settled(values, folder)
    workdir = recipe.open_workdir(values, folder, begin=False)
    recipe.say_news(values, workdir)
    if workdir.finished():
        workdir.say_result()
        return 0
    stopwatch = Stopwatch()
    there = listing(config)
    with primary_first("clips"):
        clips = recipe.load(config)
    workdir.begin(values, there)
    config, clips = recipe.adjust(config, clips)
    agree(settings=_counting(config), recordings=_without_paths(clips.clips), classes=_roles(clips))
    stopwatch.lap("data")
    made = recipe.run(config, workdir, clips, recipe.build(config, clips))

    trainers = [Trainer(made, plan) for plan in recipe.plans(made)]
    progress.plan([*(trainer.part for trainer in trainers), progress.Part("calibrate", 0)])
    compile_ahead(recipe, made, trainers)
    variables = recipe.initial(made)
    for trainer in trainers:
        trainer, key = trainer.of(made), recipe.stage_key(config.seed, trainer.plan.name)
        after = trainer.train(key, variables)
        made, after = recipe.after_stage(made, trainer, key, variables, after)
        variables |= after
        stopwatch.lap(trainer.plan.name)
    if is_primary():
        recipe.conclude(made, variables, stopwatch)
        workdir.say_result()
    return 0


def _counting(config: Any) -> list[tuple[str, Any]]:
    """The settings that what is computed depends on; hosts may differ in the others."""
    free = (*FREE, "data.root")
    return [(n, v) for n, v in flatten(dataclasses.asdict(config)).items() if n not in free]


def _without_paths(clips: Sequence[Any]) -> list[tuple]:
    """Returns keys and rows of a clip table without paths, so that hosts can compare them."""
    rows = [dataclasses.astuple(dataclasses.replace(clip, path="")) for clip in clips]
    return list(zip(recording_keys(clips), rows, strict=True))


def _roles(value: Any, name: str = "clips") -> list[tuple]:
    """Every array of whole numbers in a corpus: which clips train, and of which class each is."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "iub":
        return [(name, value.shape, value.tobytes())]
    if not dataclasses.is_dataclass(value):
        return []
    fields = dataclasses.fields(value)
    return [found for f in fields for found in _roles(getattr(value, f.name), f"{name}.{f.name}")]


def compile_ahead(recipe: Recipe, run: Run, trainers: Sequence[Any]) -> None:
    """Starts to compile all that is needed, in the order in which it is needed.

    Args:
        recipe: of the run.
        run: its networks.
        trainers: what has a `prepare` as `Trainer` has, stage by stage.
    """
    ahead = Ahead()
    shapes = functools.cache(lambda: recipe.shapes(run))
    *before, last = trainers or (None,)
    for trainer in before:
        trainer.prepare(shapes, ahead)
    run.prepare(shapes, ahead)
    if last:
        last.prepare(shapes, ahead)
    ahead.close()


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
    recipe = recipes.find(values["recipe"])
    config = from_config(recipe.settings, values)
    corpus = recipe.imagined(config, classes)
    run = recipe.run(config, Workdir(""), corpus, recipe.build(config, corpus))
    shapes = recipe.shapes(run)
    return {
        plan.name: Trainer(run, dataclasses.replace(plan, count=clips[plan.name])).program(shapes)
        for plan in recipe.plans(run)
        if clips.get(plan.name)
    }
