"""The best variables of a stage by validation, kept on the disk while it trains on."""

import math

import jax
import jax.numpy as jnp

from asd_jax.train.checkpoint import Checkpoints
from asd_jax.train.processes import broadcast_from_primary
from asd_jax.types import Tree


class Best:
    """Keeps the variables with the lowest loss that were offered.

    A stage that is resumed offers some of its steps again. As its steps repeat bit for bit, the
    loss is then equal, not lower, and what was kept stays.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._loss: float | None = None

    def save_if_best(self, step: int, loss: float, variables: Tree) -> bool:
        """Keeps `variables` if `loss` is the lowest so far, or the first; says whether it did."""
        loss = broadcast_from_primary(loss)  # else one process might save and another not
        with Checkpoints(self._directory) as kept:
            if self._loss is None and (before := kept.newest_whole()) is not None:
                self._loss = float(kept.restore(before, _entry(0.0, variables))["loss"])
            better = self._loss is None or loss < self._loss or not math.isfinite(self._loss)
            if better:
                kept.save(step, _entry(loss, variables))
                self._loss = loss
        return better

    def step(self) -> int:
        """The step of the best so far; 0 where nothing was offered."""
        with Checkpoints(self._directory) as kept:
            return kept.latest() or 0

    def load_best(self, like: Tree) -> tuple[int, float, Tree]:
        """(step, loss, variables) of the best; `like` gives shapes, types and shardings.

        Raises:
            FileNotFoundError: nothing was offered.
        """
        with Checkpoints(self._directory) as kept:
            step = kept.newest_whole()
            if step is None:
                raise FileNotFoundError(f"{self._directory} holds no variables")
            entry = kept.restore(step, _entry(0.0, like))
        return step, float(entry["loss"]), entry["variables"]


def _entry(loss: float, variables: Tree) -> Tree:
    return {"loss": jnp.float32(loss), "variables": jax.tree.map(jnp.asarray, variables)}
