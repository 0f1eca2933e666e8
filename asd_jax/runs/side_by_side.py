"""One stage of several runs as one program."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from asd_jax import memory
from asd_jax.data.cache import WaveCache
from asd_jax.data.loader import Batches, side_by_side
from asd_jax.runs.trainer import Clips, Trainer
from asd_jax.train.device_data import Copied, keep_on_device
from asd_jax.train.loop import Diverged, Stage
from asd_jax.train.pack import Member, train_pack, unstacked
from asd_jax.train.sharding import by_run, runs_mesh
from asd_jax.train.state import TrainState, final_variables
from asd_jax.train.step import Step, compile_packed
from asd_jax.types import Variables


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
    held = _on_devices(trainers[0], clips, mesh)
    runs = [
        trainer.batches(
            _Places(held, own.waves.rows)
            if held and isinstance(own.waves, WaveCache)
            else own.waves,
            own,
            begin,
        )
        for trainer, own in zip(trainers, clips, strict=True)
    ]

    def place(batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        placed = jax.device_put(batch, by_run(mesh))
        if held:
            placed["wave"] = held.take(placed["wave"][..., 0])
        return placed

    return side_by_side(runs, place)


def _on_devices(trainer: Trainer, clips: Sequence[Clips], mesh: Mesh) -> Copied | None:
    """Puts the runs' clips on every device, if they read one file and it is to lie there.

    The runs hold out other clips, and may number them in another order; the file's rows are common.
    """
    waves = [own.waves for own in clips if isinstance(own.waves, WaveCache)]
    if len(waves) < len(clips) or any(own.data != waves[0].data for own in waves):
        return None
    used = [held.rows[own.indices] for held, own in zip(waves, clips, strict=True)]
    rows = np.unique(np.concatenate(used))
    setting = trainer.run.config.data.on_device
    if not keep_on_device(setting, len(rows), trainer.plan.clip, mesh, copied=True):
        return None
    return Copied(WaveCache(waves[0].data, np.arange(rows[-1] + 1), waves[0].samples), rows, mesh)


class _Places:
    """In place of a run's clips, the rows in which they lie on the devices."""

    def __init__(self, held: Copied, rows: np.ndarray) -> None:
        """Args: what lies there, and the row of the file of each clip."""
        self._held, self._rows = held, rows

    def __len__(self) -> int:
        return len(self._rows)

    def gather(self, indices: np.ndarray) -> np.ndarray:
        """`[clips, 1]`: a waveform of a single number."""
        return self._held.rows(self._rows[indices])[:, None]
