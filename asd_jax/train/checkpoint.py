"""Checkpoints of a stage: the only file that imports orbax."""

import math
import os
import shutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from asd_jax.errors import UserError
from asd_jax.train.processes import first, place

Tree = Any


class Checkpoints:
    """The checkpoints of one stage, newest last, written so that a kill leaves none half done.

    A state has a thousand small leaves, and a checkpoint costs two milliseconds for each; so they
    are written end to end, as one vector a dtype.
    """

    def __init__(self, directory: str, *, keep: int | None = 1) -> None:
        """Opens or makes the folder; `keep` newest checkpoints stay in it, None for all."""
        import orbax.checkpoint as ocp

        self._ocp, self._directory = ocp, os.path.abspath(directory)
        if first():  # in the manager's constructor the others wait for process 0
            _remove_leftovers(self._directory, keep)
        self._manager = ocp.CheckpointManager(
            self._directory,
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
            packed = _pack(state)
            self._manager.save(step, args=self._ocp.args.StandardSave(packed), force=True)
            self._manager.wait_until_finished()

    def restore(self, step: int, like: Tree) -> Tree:
        """Reads the checkpoint of `step` onto the shapes, types and shardings of `like`.

        Raises:
            UserError: the checkpoint is of a state with other leaves.
        """
        sizes: dict[str, int] = {}
        for leaf in jax.tree.leaves(like):
            name = _dtype(leaf).name
            sizes[name] = sizes.get(name, 0) + math.prod(_shape(leaf))
        packed = self._manager.restore(step, args=self._ocp.args.StandardRestore())
        if {name: len(vector) for name, vector in packed.items()} != sizes:
            raise UserError(
                f"The checkpoint {self._directory}/{step} does not fit this version or config; "
                "delete the run's folder and start again."
            )
        return _unpack(packed, like)

    def close(self) -> None:
        """Frees the manager's threads."""
        self._manager.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _remove_leftovers(directory: str, keep: int | None) -> None:
    """What a kill in a save has left: the half of a checkpoint, or one older than those to keep.

    Each is as large as a checkpoint, and after a stage's last save nobody would remove it. Orbax's
    `cleanup_tmp_directories` removes the halves, but in a thread, which two managers that are
    opened one after the other would have at the same folder at once.
    """
    names = os.listdir(directory) if os.path.isdir(directory) else []
    halves = [name for name in names if ".orbax-checkpoint-tmp" in name]
    whole = sorted((name for name in names if name.isdecimal()), key=int)
    for name in (*halves, *(whole[:-keep] if keep else [])):
        shutil.rmtree(os.path.join(directory, name))


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _raw(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _dtype(leaf: Any) -> np.dtype:
    return np.dtype(np.uint32) if _is_key(leaf) else np.dtype(leaf.dtype)


def _shape(leaf: Any) -> tuple[int, ...]:
    # Only a key's is asked of jax: for a thousand leaves that takes a second.
    return jax.eval_shape(jax.random.key_data, leaf).shape if _is_key(leaf) else leaf.shape


def _pack(tree: Tree) -> dict[str, np.ndarray]:
    """The leaves one after another, a vector for each dtype, on the host."""
    parts: dict[str, list[np.ndarray]] = {}
    for leaf in jax.device_get([_raw(leaf) for leaf in jax.tree.leaves(tree)]):
        parts.setdefault(leaf.dtype.name, []).append(np.ravel(leaf))
    return {name: np.concatenate(vectors) for name, vectors in parts.items()}


def _unpack(packed: dict[str, np.ndarray], like: Tree) -> Tree:
    """The tree that `_pack` took apart, on the devices where `like` lies."""
    leaves, treedef = jax.tree.flatten(like)
    begin = dict.fromkeys(packed, 0)
    restored = []
    for leaf in leaves:
        name, shape = _dtype(leaf).name, _shape(leaf)
        end = begin[name] + math.prod(shape)
        values = np.asarray(packed[name])[begin[name] : end].reshape(shape)
        begin[name] = end
        if _is_key(leaf):
            values = jax.random.wrap_key_data(values, impl=jax.random.key_impl(leaf))
        restored.append(place(values, leaf.sharding))
    return jax.tree.unflatten(treedef, restored)
