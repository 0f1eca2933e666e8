"""Checkpoints of a stage: the only file that imports orbax."""

import contextlib
import errno
import hashlib
import logging as std_logging
import math
import os
import re
import shutil
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from asd_jax.errors import UserError, WriteError, detail
from asd_jax.files import free_bytes, why
from asd_jax.naming import size_text
from asd_jax.train.processes import is_primary, place
from asd_jax.types import Tree

Vectors = dict[str, np.ndarray]
_DIGEST = "digest"  # beside the vectors, which are named as their dtypes
# Errors that speak of the disk, the net or the rights, not of what was written.
_ELSEWHERE = (errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE)


class Checkpoints:
    """The checkpoints of one stage, newest last, written so that a kill leaves none half done.

    A state has a thousand small leaves, and a checkpoint costs two milliseconds for each; so they
    are written end to end, as one vector a dtype, with a digest of all. Two are kept: a power cut
    or a bad disk may have damaged the newest.
    """

    def __init__(self, directory: str, *, keep: int | None = 2) -> None:
        """Opens or makes the folder; `keep` newest checkpoints stay in it, None for all.

        Raises:
            WriteError: the folder cannot be made or read.
        """
        import orbax.checkpoint as ocp

        self._ocp, self._directory, self._keep = ocp, os.path.abspath(directory), keep
        self._whole: tuple[int, Vectors] | None = None  # the checkpoint that was read last
        with self._guarded(self._directory):
            if is_primary():  # in the manager's constructor the others wait for process 0
                _remove_leftovers(self._directory, keep)
            self._manager = ocp.CheckpointManager(
                self._directory,
                options=ocp.CheckpointManagerOptions(
                    max_to_keep=keep, create=True, enable_async_checkpointing=False
                ),
            )
        # The loop's processes agree on saves without JAX's service, which `processes` leaves off.
        # Releases before 0.12, those that jax2onnx allows, fail when they ask it.
        self._manager.reached_preemption = lambda step: False

    def latest(self) -> int | None:
        """The step of the newest complete checkpoint, or None."""
        return self._manager.latest_step()

    def newest_whole(self) -> int | None:
        """The step of the newest checkpoint that can be read, or None.

        Damaged ones are deleted, and a warning says so: training goes on from the one before.
        """
        while (step := self.latest()) is not None and not self._is_whole(step):
            self.drop({step})
        return step

    def whole_steps(self) -> set[int]:
        """The steps of all checkpoints that can be read; see `newest_whole`."""
        damaged = {step for step in self.steps() if not self._is_whole(step)}
        self.drop(damaged)
        return self.steps()

    def steps(self) -> set[int]:
        """The steps of all complete checkpoints."""
        return set(self._manager.all_steps())

    def _is_whole(self, step: int) -> bool:
        try:
            self._vectors(step)
            return True
        except Exception as error:  # orbax and what it stands on raise whatever they stumble over
            system = _of_system(error)
            if isinstance(error, MemoryError) or (system and system.errno in _ELSEWHERE):
                reason = why(system) if system else "the memory is too small"
                raise WriteError(
                    f"The checkpoint {self._directory}/{step} can't be read ({reason}); mend that, "
                    "and the same command goes on."
                ) from error
            logging.warning(
                "The checkpoint %s/%d is damaged (%s) and was deleted; training goes on from the "
                "one before, or from the stage's start.",
                self._directory,
                step,
                detail(error),
            )
            return False

    def _vectors(self, step: int) -> Vectors:
        """Reads what `write` wrote; raises whatever a damaged checkpoint makes orbax raise."""
        if self._whole is None or self._whole[0] != step:
            args = self._ocp.args.StandardRestore()
            with _without_tracebacks():
                found = dict(self._manager.restore(step, args=args))
            vectors = {name: np.asarray(vector) for name, vector in found.items()}
            digest = vectors.pop(_DIGEST, None)  # none before version 0.2
            if digest is not None and not np.array_equal(digest, _digest(vectors)):
                raise ValueError("its content is not what was saved")
            self._whole = step, vectors
        return self._whole[1]

    @contextlib.contextmanager
    def _guarded(self, where: str, needs: int = 0) -> Iterator[None]:
        """One sentence for whatever keeps a checkpoint from being written, and nothing left of it.

        Besides what the system raises, orbax has errors of its own: for a full disk, for folders
        that it does not like. A save waits for no thread, and none is left that would abort.
        """
        try:
            with _without_tracebacks():
                yield
        except Exception as error:
            if jax.process_count() > 1 and isinstance(error, jax.errors.JaxRuntimeError):
                raise  # another process is lost
            with contextlib.suppress(OSError):
                _remove_leftovers(self._directory, self._keep)
            if system := _of_system(error):
                reason = why(system, where, needs)
            else:
                size = f"{size_text(needs)} needed, " * bool(needs)
                reason = f"{detail(error)}; {size}{size_text(free_bytes(where))} free"
            raise WriteError(
                f"{where} can't be written ({reason}); make room or give another --workdir."
            ) from error

    def save(self, step: int, state: Tree) -> None:
        """Writes `state` as the checkpoint of `step`; returns when it is on the disk."""
        if self.latest() != step:
            self.write(step, _vectors(_on_host(state)))

    def write(self, step: int, vectors: Vectors) -> None:
        """Writes the leaves of a state end to end, one vector a dtype.

        Raises:
            WriteError: it cannot be written; the checkpoint before stays.
        """
        size = sum(vector.nbytes for vector in vectors.values())
        whole = {**vectors, _DIGEST: _digest(vectors)}
        with self._guarded(os.path.join(self._directory, str(step)), size):
            self._manager.save(step, args=self._ocp.args.StandardSave(whole), force=True)
            self._manager.wait_until_finished()

    def restore(self, step: int, like: Tree) -> Tree:
        """Reads the checkpoint of `step` onto the shapes, types and shardings of `like`.

        Raises:
            UserError: the checkpoint is of a state with other leaves.
        """
        return _unpack(self.read(step, _sizes(like)), like)

    def read(self, step: int, sizes: dict[str, int]) -> Vectors:
        """The vectors of a checkpoint, which must have these sizes by dtype; see `restore`.

        Raises:
            UserError: the checkpoint does not fit this version or config.
        """
        vectors = self._vectors(step)
        self._whole = None  # it may be large
        if {name: len(vector) for name, vector in vectors.items()} != sizes:
            raise UserError(
                f"The checkpoint {self._directory}/{step} does not fit this version or config; "
                "delete the run's folder and start again."
            )
        return vectors

    def drop(self, unwanted: Collection[int]) -> None:
        """Deletes the checkpoints of these steps."""
        for step in sorted(unwanted):
            with self._guarded(os.path.join(self._directory, str(step))):
                self._manager.delete(step)

    def close(self) -> None:
        """Frees the manager's threads."""
        self._manager.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PackedCheckpoints:
    """The checkpoints of runs that train side by side, their states stacked along a first axis.

    Each run has its own in its own folder, such as it would have left alone. They are written one
    after another; so each keeps two, and after a kill between them all go on from the newest step
    that every run has.
    """

    def __init__(self, directories: Sequence[str], totals: Sequence[int]) -> None:
        """Args: the folder of each run, and the step after which each has come to its end."""
        self._runs, self._totals = [Checkpoints(path) for path in directories], totals

    def latest(self) -> int:
        """The newest step that every run can go on from, 0 for the start; newer ones are lost."""
        steps = [run.whole_steps() for run in self._runs]
        common = [step for step in set().union(*steps) if self._all_have(step, steps)]
        newest = max(common, default=0)
        for run, own, total in zip(self._runs, steps, self._totals, strict=True):
            run.drop({step for step in own if step > min(newest, total)})
        return newest

    def _all_have(self, step: int, steps: Sequence[set[int]]) -> bool:
        return all(min(step, n) in own for own, n in zip(steps, self._totals, strict=True))

    def save(self, step: int, states: Tree, among: Collection[int]) -> None:
        """Writes the states of these runs, by their places, after so many steps."""
        leaves = _on_host(states)
        for number in among:
            run, own_step = self._runs[number], min(step, self._totals[number])
            if own_step not in run.steps():
                run.write(own_step, _vectors([leaf[number : number + 1] for leaf in leaves]))

    def restore(self, step: int, like: Tree) -> Tree:
        """All states as `latest` found them, on the shapes and shardings of `like`."""
        sizes = {name: size // len(self._runs) for name, size in _sizes(like).items()}
        read = [
            run.read(min(step, total), sizes)
            for run, total in zip(self._runs, self._totals, strict=True)
        ]
        return _unpack({name: np.stack([own[name] for own in read]) for name in sizes}, like)

    def __enter__(self) -> "PackedCheckpoints":
        return self

    def __exit__(self, *_: object) -> None:
        for run in self._runs:
            run.close()


def _remove_leftovers(directory: str, keep: int | None) -> None:
    """Removes what a kill in a save has left: half a checkpoint, or one too old to keep.

    Each is as large as a checkpoint, and after a stage's last save nothing would remove it. Orbax's
    `cleanup_tmp_directories` removes the halves, but in a thread, which two managers that are
    opened one after the other would have at the same folder at once.
    """
    names = os.listdir(directory) if os.path.isdir(directory) else []
    halves = [name for name in names if ".orbax-checkpoint-tmp" in name]
    whole = sorted((name for name in names if name.isdecimal()), key=int)
    for name in (*halves, *(whole[:-keep] if keep else [])):
        shutil.rmtree(os.path.join(directory, name))


def _of_system(error: Exception) -> OSError | None:
    """The system's error that is at the bottom of one, if there is one; tensorstore has texts."""
    if isinstance(error, OSError):
        return error
    found = re.search(r"os_error_code='(\d+)'", str(error))
    return OSError(int(found[1]), os.strerror(int(found[1]))) if found else None


@contextlib.contextmanager
def _without_tracebacks() -> Iterator[None]:
    """Drops log records with a traceback: orbax's threads log what is raised here as well."""
    logger = logging.get_absl_logger()

    def has_no_traceback(record: std_logging.LogRecord) -> bool:
        return not record.exc_info

    logger.addFilter(has_no_traceback)
    try:
        yield
    finally:
        logger.removeFilter(has_no_traceback)


def _digest(vectors: Vectors) -> np.ndarray:
    """SHA-256 of the vectors with their names, uint8 `[32]`."""
    digest = hashlib.sha256()
    for name, vector in sorted(vectors.items()):
        digest.update(f"{name} {vector.shape} ".encode())
        digest.update(np.ascontiguousarray(vector).view(np.uint8).data)
    return np.frombuffer(digest.digest(), np.uint8)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _raw(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _dtype(leaf: Any) -> np.dtype:
    return np.dtype(np.uint32) if _is_key(leaf) else np.dtype(leaf.dtype)


def _shape(leaf: Any) -> tuple[int, ...]:
    # Only a key's is asked of jax: for a thousand leaves that takes a second.
    return jax.eval_shape(jax.random.key_data, leaf).shape if _is_key(leaf) else leaf.shape


def _sizes(tree: Tree) -> dict[str, int]:
    """Numbers of each dtype."""
    sizes: dict[str, int] = {}
    for leaf in jax.tree.leaves(tree):
        name = _dtype(leaf).name
        sizes[name] = sizes.get(name, 0) + math.prod(_shape(leaf))
    return sizes


def _on_host(tree: Tree) -> list[np.ndarray]:
    return jax.device_get([_raw(leaf) for leaf in jax.tree.leaves(tree)])


def _vectors(leaves: Sequence[np.ndarray]) -> Vectors:
    """The leaves one after another, a vector for each dtype."""
    parts: dict[str, list[np.ndarray]] = {}
    for leaf in leaves:
        parts.setdefault(leaf.dtype.name, []).append(np.ravel(leaf))
    return {name: np.concatenate(vectors) for name, vectors in parts.items()}


def _unpack(vectors: Vectors, like: Tree) -> Tree:
    """The tree that `_vectors` has the leaves of, on the devices where `like` lies.

    Vectors of several runs, `[runs, numbers]`, make leaves with a leading axis of runs.
    """
    leaves, treedef = jax.tree.flatten(like)
    begin = dict.fromkeys(vectors, 0)
    restored = []
    for leaf in leaves:
        name, shape = _dtype(leaf).name, _shape(leaf)
        end = begin[name] + math.prod(shape[vectors[name].ndim - 1 :])
        values = vectors[name][..., begin[name] : end].reshape(shape)
        begin[name] = end
        if _is_key(leaf):
            values = jax.random.wrap_key_data(jnp.asarray(values), impl=jax.random.key_impl(leaf))
        restored.append(place(values, leaf.sharding))
    return jax.tree.unflatten(treedef, restored)
