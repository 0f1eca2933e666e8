"""Checkpoints of a stage: the only file that imports orbax."""

import os
from typing import Any

import jax

Tree = Any


class Checkpoints:
    """The checkpoints of one stage, newest last, written so that a kill leaves none half done."""

    def __init__(self, directory: str, *, keep: int = 1) -> None:
        import orbax.checkpoint as ocp

        self._ocp = ocp
        self._manager = ocp.CheckpointManager(
            os.path.abspath(directory),
            options=ocp.CheckpointManagerOptions(
                max_to_keep=keep, create=True, enable_async_checkpointing=False
            ),
        )

    def latest(self) -> int | None:
        """The step of the newest complete checkpoint, or None."""
        return self._manager.latest_step()

    def save(self, step: int, state: Tree) -> None:
        """Writes `state` as the checkpoint of `step`; returns when it is on the disk."""
        if self.latest() != step:
            self._manager.save(step, args=self._ocp.args.StandardSave(state), force=True)
            self._manager.wait_until_finished()

    def restore(self, step: int, like: Tree) -> Tree:
        """Reads the checkpoint of `step` onto the shapes, types and shardings of `like`."""
        abstract = jax.tree.map(_abstract, like)
        return self._manager.restore(step, args=self._ocp.args.StandardRestore(abstract))

    def close(self) -> None:
        """Frees the manager's threads."""
        self._manager.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
