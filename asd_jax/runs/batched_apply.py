"""A pure function over many clips: compiled once, a batch at a time, whatever the variables."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Int16

from asd_jax.data.loader import WaveSource, eval_batches
from asd_jax.train.ahead import Ahead
from asd_jax.train.progress import over
from asd_jax.train.sharding import data_mesh, replicated, sharded
from asd_jax.types import RawWaves, Tree

# fn(variables, waves as in `to_float`) -> arrays with a leading batch axis, by name
Readout = Callable[[Tree, RawWaves], dict[str, Array]]
Change = Callable[[Int16[Array, "batch samples"], Int[Array, "batch"]], RawWaves]
Then = Callable[[dict[str, Array]], dict[str, Array]]


def as_it_is(wave: RawWaves, index: Int[Array, "batch"]) -> RawWaves:
    """The waveforms."""
    return wave


class BatchedApply:
    """Runs a readout over the clips of a cache."""

    def __init__(self, read: Readout, *, batch_size: int) -> None:
        """Takes `batch_size` clips at a time; the last are padded to as many."""
        self._batch_size = batch_size
        # Each of several processes for itself: one may then be ahead, or have nothing to read.
        mesh = data_mesh(batch_size, local=True)
        self._same, self._split = replicated(mesh), sharded(mesh)
        self._run = jax.jit(read, in_shardings=(self._same, self._split), out_shardings=self._same)
        self._compiled: Callable[[], Any] | None = None

    def prepare(
        self, variables: Callable[[], Tree], clip: jax.ShapeDtypeStruct, ahead: Ahead
    ) -> None:
        """Compiles beside the caller.

        Args:
            variables: gives their shapes and dtypes.
            clip: shape and dtype of a clip as the readout takes it.
            ahead: does it, in its turn.
        """

        def lowered() -> jax.stages.Lowered:
            wave = jax.ShapeDtypeStruct((self._batch_size, *clip.shape), clip.dtype)
            return self._run.lower(variables(), wave)

        self._compiled = ahead.prepare(lowered)

    def on_devices(self, variables: Tree) -> Tree:
        """The variables on every device that reads."""
        return jax.device_put(variables, self._same)

    def __call__(
        self,
        variables: Tree,
        waves: WaveSource,
        indices: np.ndarray,
        *,
        change: Change = as_it_is,
        then: Then = lambda found: found,
        shown: str = "",
    ) -> dict[str, Float[np.ndarray, "clips ..."]]:
        """The readout of the clips at `indices`, in their order.

        Args:
            variables: of the readout.
            waves: the wave cache.
            indices: which clips.
            change: makes what the readout takes of int16 waveforms and their indices.
            then: makes what is returned of the readout of a batch.
            shown: what the progress is called, '' for none.
        """
        variables = self.on_devices(variables)
        run = self._compiled() if self._compiled else self._run
        changed = jax.jit(change, in_shardings=(self._split,) * 2, out_shardings=self._split)
        parts: list[dict[str, np.ndarray]] = []
        batches: Iterable[Any] = eval_batches(
            waves, indices, batch_size=self._batch_size, sharding=self._split
        )
        if shown:
            batches = over(batches, shown, -(-len(indices) // self._batch_size))
        for batch in batches:
            valid = np.asarray(batch["valid"])
            found = then(run(variables, changed(batch["wave"], batch["index"])))
            parts.append({name: np.asarray(value)[valid] for name, value in found.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
