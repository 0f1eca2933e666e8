"""A stage of a recipe (`Plan`) and what trains it (`Trainer`): optimizer, step, batches."""

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from absl import logging
from jax.sharding import NamedSharding

from asd_jax import memory
from asd_jax.data.loader import Batches, WaveSource, train_batches
from asd_jax.runs.run import Run
from asd_jax.runs.settings import Optimizer, Schedule
from asd_jax.train.ahead import Ahead, Program, batch_shapes
from asd_jax.train.best import Best
from asd_jax.train.loop import Stage, is_finished, train
from asd_jax.train.optimizer import make_optimizer
from asd_jax.train.processes import to_host
from asd_jax.train.progress import Part
from asd_jax.train.sharding import data_mesh, sharded
from asd_jax.train.state import TrainState, create_state, final_variables, own, zeros
from asd_jax.train.step import Loss, Step, compile_step, make_step, parts_of
from asd_jax.types import Variables


@dataclasses.dataclass(frozen=True)
class Clips:
    """Clips that a stage trains on, with their classes."""

    waves: WaveSource
    label: np.ndarray  # of every clip of the source
    indices: np.ndarray  # positions in the source; one that stands there twice counts twice


@dataclasses.dataclass(frozen=True)
class Plan:
    """A stage before any variables are there: enough to compile its step.

    Attributes:
        name: of the stage, in logs and checkpoints, and of its settings.
        schedule: how long it trains.
        loss: what it minimises.
        optimizers: of each network that learns, by the network's name in the run's networks.
        clip: shape and dtype of one clip of a batch; of pairs the first axis has both.
        clips: the clips to train on, from all variables.
        count: their number.
        frozen: names of the variables that the loss only reads.
        start: names of the networks that begin where an earlier stage left them.
        pairs: give each clip a partner of its class.
        tunables: the scalars that the loss reads from the state, from the run's settings.
        watch: see `Stage`.
        validate: figures of the variables on validation clips, once an epoch. The variables with
            the lowest `validation_loss` are what the stage leaves then.
        patience: epochs without a lower `validation_loss` after which it ends; 0 for never.
    """

    name: str
    schedule: Schedule
    loss: Loss
    optimizers: Mapping[str, Optimizer]
    clip: jax.ShapeDtypeStruct
    clips: Callable[[Variables], Clips]
    count: int
    frozen: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    pairs: bool = False
    tunables: Callable[[Any], Mapping[str, float]] = lambda config: {}
    watch: Callable[[dict[str, float]], str] = lambda metrics: ""
    validate: Callable[[Variables], dict[str, float]] | None = None
    patience: float = 0.0


class Trainer:
    """A plan made ready: its optimizer, its devices, its step, compiled when first asked for."""

    def __init__(self, run: Run, plan: Plan, folder: str = "") -> None:
        """Args: run, plan; folder of its checkpoints, if not that of the plan's name."""
        schedule = plan.schedule
        self.run, self.plan, self.folder = run, plan, folder or plan.name
        self.size = schedule.batch(plan.count)
        if self.size < schedule.batch_size:
            logging.info(
                "Stage %s: %d clips train, in batches of %d instead of %d.",
                plan.name,
                plan.count,
                self.size,
                schedule.batch_size,
            )
        self.total = max(1, round(schedule.epochs * plan.count / self.size))
        self._optimizer = make_optimizer(plan.optimizers, self.total)
        parts = parts_of(self.size, run.config.compute.accumulate)
        self._mesh = data_mesh(self.size // parts)
        self.step = make_step(plan.loss, self._optimizer, ema=schedule.ema, accumulate=parts)
        self._draw: Callable[[jax.Array], Variables] = jax.jit(self._drawn)
        self._compiled: Callable[[], Step] | None = None
        self._best = Best(run.workdir.checkpoints(f"{self.folder}_best"))

    def of(self, run: Run) -> "Trainer":
        """The trainer of the run as an earlier stage left it; takes over what is compiled."""
        other = copy.copy(self)
        other.run, self._compiled = run, None
        return other

    @property
    def directory(self) -> str:
        """Where its checkpoints lie."""
        return self.run.workdir.checkpoints(self.folder)

    @property
    def part(self) -> Part:
        """What it is of a run, for the time left."""
        return Part(self.plan.name, self.total * self.size)

    @property
    def scalars(self) -> dict[str, float]:
        """The scalars that its step reads from the state."""
        return {**self._optimizer.tunables, **self.plan.tunables(self.run.config)}

    def finished(self) -> bool:
        """Whether its last step is done and kept."""
        return is_finished(self.directory, self.total)

    def prepare(self, shapes: Callable[[], Variables], ahead: Ahead) -> None:
        """Compiles the step beside the caller, unless the stage is finished.

        Args:
            shapes: gives shapes and dtypes of all variables.
            ahead: does it, in its turn.
        """
        if self.finished():  # its checkpoint is read: only shapes are needed
            self._draw = lambda key: zeros(jax.eval_shape(self._drawn, key))
            return

        def lowered() -> jax.stages.Lowered:
            program = self.program(shapes())
            return compile_step(program.step, self._mesh).lower(program.state, dict(program.batch))

        self.prepare_initial(ahead)
        self._compiled = ahead.prepare(lowered)

    def prepare_initial(self, ahead: Ahead) -> None:
        """Compiles what draws the variables of the networks that begin with this stage."""
        if not set(self.plan.optimizers) - set(self.plan.start):
            return
        draw = jax.jit(self._drawn)
        prepared = ahead.prepare(lambda: draw.lower(jax.random.key(0)))
        self._draw = lambda key: prepared()(key)

    def initial(self, key: jax.Array, variables: Variables) -> TrainState:
        """The state before the first step."""
        start, frozen = own(self._inputs(variables))
        return self._begun(key, self._draw(key) | start, frozen)

    def program(self, variables: Variables) -> Program:
        """Returns the program of its step, from shapes and dtypes of all variables."""
        state = jax.eval_shape(self._state, jax.random.key(0), *self._inputs(variables))
        batch = batch_shapes(self.size, self.plan.clip)
        return Program(self.plan.name, self.step, state, batch, self.total)

    def stage(self, batches: Callable[[int], Batches]) -> Stage:
        """Returns the stage as the loop takes it; `batches` gives those from a step on."""
        return Stage(
            name=self.folder,
            step=self.step,
            total_steps=self.total,
            batches=batches,
            batch_size=self.size,
            mesh=self._mesh,
            watch=self.plan.watch,
            advice=f"lower the learning rate of config.{self.plan.name}, or give it warmup",
            evaluate=self._validate if self.plan.validate else None,
            evaluate_every=max(1, self.plan.count // self.size),
            enough=self._enough,
            epoch_steps=self.plan.count / self.size,
        )

    def train(self, key: jax.Array, variables: Variables) -> Variables:
        """The variables of its networks after training to the end, from scratch or a checkpoint."""
        split = sharded(self._mesh)
        stage = self.stage(lambda begin: self.batches(self.plan.clips(variables), begin, split))
        state = train(
            dataclasses.replace(stage, compiled=self._compiled),
            self.initial(key, variables),
            directory=self.directory,
            metrics_log=self.run.workdir.metrics_log(),
            save_seconds=self.run.config.save_seconds,
        )
        self._compiled = None  # a program takes as much memory as the network
        memory.give_back()
        return self.chosen(to_host(final_variables(state)))

    def chosen(self, last: Variables) -> Variables:
        """Returns what the stage leaves, given the variables after its last step, on the host."""
        if self.plan.validate:
            _, _, last = self._best.load_best(last)
        return jax.device_get(last)

    def batches(self, clips: Clips, begin: int, sharding: NamedSharding | None = None) -> Batches:
        """The batches of these clips from step `begin` on."""
        return train_batches(
            clips.waves,
            clips.label,
            clips.indices,
            batch_size=self.size,
            seed=self.run.config.seed,
            start_step=begin,
            pairs=self.plan.pairs,
            sharding=sharding,
            num_threads=self.run.config.data.read_threads,
        )

    def _validate(self, state: TrainState) -> dict[str, float]:
        variables = to_host(final_variables(state))
        values = self.plan.validate(variables) if self.plan.validate else {}
        self._best.save_if_best(int(state.step), values["validation_loss"], variables)
        return values

    def _enough(self, step: int) -> bool:
        """Whether validation has not got better for as long as the plan is patient."""
        if not self.plan.patience:
            return False
        return (step - self._best.step()) * self.size / self.plan.count >= self.plan.patience

    def _inputs(self, variables: Variables) -> tuple[Variables, Variables]:
        start = {name: variables[name] for name in self.plan.start}
        return start, {name: variables[name] for name in self.plan.frozen}

    def _state(self, key: jax.Array, start: Variables, frozen: Variables) -> TrainState:
        return self._begun(key, self._drawn(key) | start, frozen)

    def _drawn(self, key: jax.Array) -> Variables:
        """New variables of the networks that begin with this stage."""
        return {
            name: getattr(self.run.nets, name).init(jax.random.fold_in(key, number))
            for number, name in enumerate(self.plan.optimizers)
            if name not in self.plan.start
        }

    def _begun(self, key: jax.Array, variables: Variables, frozen: Variables) -> TrainState:
        return create_state(
            jax.random.fold_in(key, len(variables)),
            variables,
            self._optimizer,
            tunables=self.plan.tunables(self.run.config),
            frozen=frozen,
            average=self.plan.schedule.ema > 0,
        )
