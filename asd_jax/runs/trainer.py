"""A stage of the ensemble made ready: optimizer, devices, step and batches, for the one loop."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from absl import logging
from jax.sharding import NamedSharding

from asd_jax import memory
from asd_jax.data.loader import Batches, Rows, Waves, train_batches
from asd_jax.recipes.ensemble.stages import Clips, Plan, Run, Variables
from asd_jax.runs import tunables
from asd_jax.train.ahead import Ahead, Executable, Program, batch_shapes
from asd_jax.train.loop import Stage, is_finished, train
from asd_jax.train.optimizer import make_optimizer
from asd_jax.train.resident import stays
from asd_jax.train.sharding import data_mesh, sharded
from asd_jax.train.state import TrainState, create_state, final_variables, own, zeros
from asd_jax.train.step import Step, compile_step, make_step, parts_of


class Training:
    """A plan made ready: its optimizer, its devices, its step, compiled when first asked for."""

    def __init__(self, run: Run, plan: Plan, folder: str = "") -> None:
        """Args: run, plan; folder of its checkpoints, if not that of the plan's name."""
        schedule = getattr(run.config, plan.name)
        self.run, self.plan, self._folder = run, plan, folder or plan.name
        self.size = schedule.batch(len(run.corpus.fit))
        if self.size < schedule.batch_size:
            logging.info(
                "Stage %s: %d clips train, in batches of %d instead of %d.",
                plan.name,
                len(run.corpus.fit),
                self.size,
                schedule.batch_size,
            )
        self.total = max(1, round(schedule.epochs * len(run.corpus.fit) / self.size))
        self._average = schedule.ema > 0
        self._optimizer = make_optimizer(plan.rates, self.total)
        parts = parts_of(self.size, run.config.compute.accumulate)
        self._mesh = data_mesh(self.size // parts)
        self.step = make_step(plan.loss, self._optimizer, ema=schedule.ema, accumulate=parts)
        self._draw: Callable[[jax.Array], Variables] = jax.jit(self._drawn)
        self._compiled: Callable[[], Step] | None = None

    @property
    def directory(self) -> str:
        """Where its checkpoints lie."""
        return self.run.workdir.checkpoints(self._folder)

    def finished(self) -> bool:
        """Whether its last step is done and kept."""
        return is_finished(self.directory, self.total)

    def prepare(self, variables: Callable[[], Variables], ahead: Ahead) -> None:
        """Compiles the step beside the caller, unless the stage is finished.

        Args:
            variables: gives shapes and dtypes of all variables.
            ahead: does it, in its turn.
        """
        if self.finished():  # its checkpoint is read: only shapes are needed
            self._draw = lambda key: zeros(jax.eval_shape(self._drawn, key))
            return

        def lowered() -> jax.stages.Lowered:
            program = self.program(variables())
            return compile_step(program.step, self._mesh).lower(program.state, dict(program.batch))

        self.prepare_initial(ahead)
        self._compiled = ahead.prepare(Executable(self.about("step"), self._mesh, lowered))

    def prepare_initial(self, ahead: Ahead) -> None:
        """Compiles what draws the variables of the networks that begin with this stage."""
        if not set(self.plan.rates) - set(self.plan.start):
            return

        draw, here = self._draw, data_mesh(1, local=True)
        program = Executable(self.about("initial"), here, lambda: draw.lower(jax.random.key(0)))
        prepared = ahead.prepare(program)
        self._draw = lambda key: prepared()(key)

    def about(self, program: str, *more: int) -> list[Any]:
        """What a program of this stage is made of; see `Executable`."""
        classes = len(self.run.corpus.classes.names)
        described = tunables.program_fields(self.run.config)
        return [program, self.plan.name, described, classes, self.size, *more]

    def initial(self, key: jax.Array, variables: Variables) -> TrainState:
        """The state before the first step."""
        start, frozen = own(self._inputs(variables))
        return self._begun(key, self._draw(key) | start, frozen)

    @property
    def scalars(self) -> dict[str, float]:
        """The scalars that its step reads from the state."""
        return {**self._optimizer.tunables, **tunables.collect(self.run.config)}

    def stage(self, batches: Callable[[int], Batches]) -> Stage:
        """What the loop needs to know of it; `batches` gives those from a step on."""
        name = self.plan.name
        return Stage(
            name=self._folder,
            step=self.step,
            total_steps=self.total,
            batches=batches,
            batch_size=self.size,
            mesh=self._mesh,
            watch=watch_collapse(name),
            advice=f"lower config.{name}'s learning rate, or give it warmup",
        )

    def program(self, variables: Variables) -> Program:
        """Its step, from shapes and dtypes of all variables."""
        state = jax.eval_shape(self._state, jax.random.key(0), *self._inputs(variables))
        batch = batch_shapes(self.size, self.plan.clip)
        return Program(self.plan.name, self.step, state, batch, self.total)

    def train(self, key: jax.Array, variables: Variables) -> Variables:
        """The variables of its networks after training to the end, from scratch or a checkpoint."""
        run = self.run
        stage = self.stage(lambda begin: self._batches(self.plan.clips(variables), begin))
        state = train(
            dataclasses.replace(stage, compiled=self._compiled),
            self.initial(key, variables),
            directory=self.directory,
            logbook=run.workdir.logbook(),
            save_seconds=run.config.save_seconds,
        )
        self._compiled = None  # a program takes as much memory as the network
        memory.give_back()
        return jax.device_get(final_variables(state))

    def _batches(self, clips: Clips, begin: int) -> Batches:
        """The batches from step `begin` on."""
        waves, setting = clips.waves, self.run.config.data.on_device
        if stays(setting, len(clips.indices), self.plan.clip, self._mesh):
            waves = self.run.shelf.put(waves, clips.indices, self._mesh)
        return self.batches(waves, clips, begin, sharded(self._mesh))

    def batches(
        self, waves: Waves | Rows, clips: Clips, begin: int, sharding: NamedSharding | None = None
    ) -> Batches:
        """The batches of these clips from step `begin` on, read from `waves`."""
        return train_batches(
            waves,
            clips.label,
            clips.indices,
            batch_size=self.size,
            seed=self.run.config.seed,
            start_step=begin,
            pairs=self.plan.pairs,
            sharding=sharding,
            num_threads=self.run.config.data.read_threads,
        )

    def _inputs(self, variables: Variables) -> tuple[Variables, Variables]:
        start = {name: variables[name] for name in self.plan.start}
        return start, {name: variables[name] for name in self.plan.frozen}

    def _state(self, key: jax.Array, start: Variables, frozen: Variables) -> TrainState:
        return self._begun(key, self._drawn(key) | start, frozen)

    def _drawn(self, key: jax.Array) -> Variables:
        """New variables of the networks that begin with this stage."""
        return {
            name: getattr(self.run.nets, name).init(jax.random.fold_in(key, number))
            for number, name in enumerate(self.plan.rates)
            if name not in self.plan.start
        }

    def _begun(self, key: jax.Array, variables: Variables, frozen: Variables) -> TrainState:
        return create_state(
            jax.random.fold_in(key, len(variables)),
            variables,
            self._optimizer,
            tunables=tunables.collect(self.run.config),
            frozen=frozen,
            average=self._average,
        )


def watch_collapse(stage: str) -> Callable[[dict[str, float]], str]:
    """Warns when all embeddings point the same way: nothing can be told apart by them then."""

    def watch(metrics: dict[str, float]) -> str:
        for name in ("spread_z", "spread_embedding"):
            if metrics.get(name, 1.0) < 0.05:
                return (
                    f"Stage {stage} has collapsed: its {name[7:]} vectors all point the same way "
                    f"(spread {metrics[name]:.3f}, healthy is near 1). A lower learning rate or "
                    "more varied clips help; its branches will get little weight."
                )
        if metrics.get("clusters", 0.0) < -1e3:
            return (
                "Eq. 6 as printed runs away (its distance has no lower bound); use "
                "--config.finetune.loss=recommended."
            )
        return ""

    return watch
