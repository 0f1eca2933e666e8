"""One stage of several runs as one program: what the recipes share of it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from asd_jax import memory
from asd_jax.data.cache import WaveCache
from asd_jax.data.loader import Batches, Waves, side_by_side
from asd_jax.errors import UserError
from asd_jax.runs.workdir import Workdir
from asd_jax.train.loop import Diverged, Stage
from asd_jax.train.pack import Member, train_pack, unstacked
from asd_jax.train.resident import Copied, stays
from asd_jax.train.sharding import by_run, runs_mesh
from asd_jax.train.state import TrainState, final_variables
from asd_jax.train.step import Step, compile_packed

Tree = Any


@dataclasses.dataclass(frozen=True)
class Part:
    """The stage of one of the runs.

    Attributes:
        stage: as the run alone would have it.
        state: before the first step.
        scalars: the tunables of the state.
        workdir: of the run.
        waves: the clips' source.
        indices: the clips that it trains on.
        batches: NumPy batches from a step on, read from a source in the place of `waves`.
    """

    stage: Stage
    state: TrainState
    scalars: Mapping[str, float]
    workdir: Workdir
    waves: Waves
    indices: np.ndarray
    batches: Callable[[Waves, int], Batches]


def train_parts(
    parts: Sequence[Part],
    clip: jax.ShapeDtypeStruct,
    *,
    on_device: str,
    save_seconds: float,
    compiled: Callable[[], Step] | None = None,
) -> tuple[dict[int, Tree], dict[int, Diverged]]:
    """Trains the runs together to the end of the longest.

    Args:
        parts: of each run; their steps are the same program.
        clip: shape and dtype of one clip.
        on_device: whether the clips are to lie on the devices; see `train.resident.stays`.
        save_seconds: between checkpoints.
        compiled: returns the packed step, compiled ahead of time.

    Returns:
        By the runs' places the final variables, on the host, and what became of the others.
    """
    mesh, longest = runs_mesh(len(parts)), max(parts, key=lambda part: part.stage.total_steps)
    step = longest.stage.step
    stage = dataclasses.replace(
        longest.stage,
        mesh=mesh,
        batches=lambda begin: _batches(parts, clip, on_device, mesh, begin),
        batch_size=longest.stage.batch_size * len(parts),
        compiled=compiled or (lambda: compile_packed(step, mesh)),
        evaluate=_evaluate(parts),
        enough=lambda step: all(part.stage.enough(step) for part in parts),
    )
    states = [part.state._replace(tunables=_arrays(part.scalars)) for part in parts]
    members = [
        Member(
            part.workdir.folder,
            part.workdir.checkpoints(part.stage.name),
            part.workdir.logbook(),
            part.stage.total_steps,
        )
        for part in parts
    ]
    state, diverged = train_pack(stage, states, members, save_seconds=save_seconds)
    well = [place for place in range(len(parts)) if place not in diverged]
    found = unstacked(final_variables(state), well)
    memory.give_back()
    return found, diverged


def _arrays(scalars: Mapping[str, float]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value, np.float32) for name, value in scalars.items()}


def _evaluate(parts: Sequence[Part]) -> Callable[[TrainState], list[dict[str, float]]] | None:
    """Each run's own evaluation, of its own state."""
    if parts[0].stage.evaluate is None:
        return None

    def evaluate(state: TrainState) -> list[dict[str, float]]:
        # The key is not needed for it, and stays where it is.
        own = unstacked(state._replace(key=state.step), range(len(parts)))
        return [part.stage.evaluate(own[place]) for place, part in enumerate(parts)]

    return evaluate


def _batches(
    parts: Sequence[Part], clip: jax.ShapeDtypeStruct, on_device: str, mesh: Mesh, begin: int
) -> Batches:
    """The batches of all runs from step `begin` on, on their devices."""
    held = _on_devices(parts, clip, on_device, mesh)
    runs = [
        part.batches(_Places(held, part.waves.rows) if held else part.waves, begin)
        for part in parts
    ]

    def place(batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        placed = jax.device_put(batch, by_run(mesh))
        if held:
            placed["wave"] = held.take(placed["wave"][..., 0])
        return placed

    return side_by_side(runs, place)


def _on_devices(
    parts: Sequence[Part], clip: jax.ShapeDtypeStruct, on_device: str, mesh: Mesh
) -> Copied | None:
    """What the runs train on, on every device, if they read one file and it is to lie there.

    The runs hold out other clips, and may number them in another order; the file's rows are common.
    """
    waves = [part.waves for part in parts]
    if not all(isinstance(own, WaveCache) and own.data == waves[0].data for own in waves):
        return None
    rows = np.unique(np.concatenate([part.waves.rows[part.indices] for part in parts]))
    if not stays(on_device, len(rows), clip, mesh, copied=True):
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


def note_of(runs: int) -> str:
    """What the report of each of so many runs says of it."""
    return f"Trained side by side with {runs - 1} others: the times of stages are of all of them."


def say_diverged(diverged: Mapping[str, Diverged]) -> None:
    """Raises UserError if any run has diverged; `diverged` is by their folders."""
    if diverged:
        where = ", ".join(sorted(diverged))
        raise UserError(f"{next(iter(diverged.values()))} That was in {where}.")
