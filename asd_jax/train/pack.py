"""Several runs through one stage side by side: the same loop, with an axis of runs before all."""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging
from jax.sharding import Mesh

from asd_jax.train.checkpoint import PackedCheckpoints
from asd_jax.train.loop import Diverged, HostMetrics, Keeper, Stage, check_loss, train_loop
from asd_jax.train.metrics_log import MetricsLog
from asd_jax.train.sharding import by_run
from asd_jax.train.state import TrainState
from asd_jax.types import Tree


@dataclasses.dataclass(frozen=True)
class Member:
    """One of the runs.

    Attributes:
        name: for warnings.
        directory: of its checkpoints of the stage.
        metrics_log: its own.
        total_steps: after which it stays as it is.
    """

    name: str
    directory: str
    metrics_log: MetricsLog
    total_steps: int


def train_pack(
    stage: Stage,
    states: Sequence[TrainState],
    members: Sequence[Member],
    *,
    save_seconds: float = 60.0,
    log_every: int = 10,
    progress: bool = True,
) -> tuple[TrainState, dict[int, Diverged]]:
    """Trains the runs of a stage to the end of the longest; see `asd_jax.train.loop.train`.

    Each leaves the checkpoints and the log that it would leave alone, and can go on alone. One that
    diverges is left behind; the others go on.

    Args:
        stage: of all: `compiled` is the packed step, `batches` have a leading axis of runs.
        states: of each run before the first step.
        members: the runs.
        save_seconds: between checkpoints.
        log_every: steps.
        progress: show it.

    Returns:
        The state of all, stacked, and what became of those that diverged, by their places.

    Raises:
        Interrupted: on Ctrl-C or SIGTERM, after a checkpoint of each.
        Diverged: all have.
    """
    totals = [member.total_steps for member in members]
    with PackedCheckpoints([member.directory for member in members], totals) as checkpoints:
        keeper = _Together(stage, checkpoints, members)
        state = stacked(states, stage.mesh)
        state = train_loop(stage, state, keeper, save_seconds, log_every, progress)
    return state, keeper.diverged


def stacked(trees: Sequence[Tree], mesh: Mesh) -> Tree:
    """The trees of several runs as one, with a leading axis of runs split over the devices."""
    return jax.tree.map(lambda *leaves: _stack(leaves, mesh), *trees)


def _stack(leaves: Sequence[Any], mesh: Mesh) -> jax.Array:
    if not jax.numpy.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
        return jax.device_put(np.stack([np.asarray(leaf) for leaf in leaves]), by_run(mesh))
    data = np.stack([np.asarray(jax.random.key_data(leaf)) for leaf in leaves])
    keys = jax.random.wrap_key_data(jax.numpy.asarray(data), impl=jax.random.key_impl(leaves[0]))
    return jax.device_put(keys, by_run(mesh))


def stacked_shapes(shapes: Tree, runs: int) -> Tree:
    """Shapes and dtypes of so many such trees, stacked."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct((runs, *x.shape), x.dtype), shapes)


def unstacked(tree: Tree, places: Collection[int]) -> dict[int, Tree]:
    """The trees of these runs alone, on the host."""
    host = jax.device_get(tree)
    return {place: jax.tree.map(lambda leaf, k=place: leaf[k], host) for place in places}


class _Together(Keeper):
    """The keeper of several runs."""

    def __init__(
        self, stage: Stage, checkpoints: PackedCheckpoints, members: Sequence[Member]
    ) -> None:
        super().__init__(stage, checkpoints, None)
        self._members = members
        self.diverged: dict[int, Diverged] = {}

    def latest(self) -> int:
        return self._checkpoints.latest()

    def save(self, step: int, state: TrainState) -> None:
        well = [k for k in range(len(self._members)) if k not in self.diverged]
        self._checkpoints.save(step, state, well)

    def rewind(self, step: int) -> None:
        for member in self._members:
            member.metrics_log.rewind(self._stage.name, step)

    def log(self, step: int, metrics: HostMetrics, speed: float | None) -> tuple[float, list[str]]:
        losses, sentences = [], []
        for place, member in enumerate(self._members):
            if place in self.diverged or step > member.total_steps:
                continue
            values = {name: float(value[place]) for name, value in metrics.items()}
            if self._has_diverged(place, step, values["loss"]):
                continue
            told = {**self._stage.epoch(step), **values, "clips_per_second": speed}
            member.metrics_log.log(self._stage.name, step, **told)
            losses.append(values["loss"])
            if sentence := self._stage.watch(values):
                sentences.append(f"{member.name}: {sentence}")
        return float(np.mean(losses)) if losses else 0.0, sentences

    def _has_diverged(self, place: int, step: int, loss: float) -> bool:
        try:
            check_loss(self._stage, step, loss)
        except Diverged as end:
            self.diverged[place] = end
            if len(self.diverged) == len(self._members):
                raise
            logging.warning("%s: %s The other runs go on.", self._members[place].name, end)
        return place in self.diverged

    def evaluated(self, step: int, values: Sequence[dict[str, float]]) -> None:
        for member, own in zip(self._members, values, strict=True):
            member.metrics_log.log(self._stage.name, step, **self._stage.epoch(step), **own)
