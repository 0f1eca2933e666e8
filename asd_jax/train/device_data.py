"""Clips that lie on the devices: a batch is taken from them by number, no copy from the host.

They are shared out among the devices of the mesh, so that each holds a part. The batches are those
that would have been read, and a step cannot tell: to take one is a program of its own. Inside the
step it would save a copy of a few MB, and have the step compiled anew for every number of clips.
"""

import functools
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jaxtyping import Array, Int

from asd_jax.data.loader import WaveSource
from asd_jax.train.sharding import by_run, replicated, sharded, take_rows

# Of a device's memory, what clips may take: the rest is for the network and its step.
SHARE = 0.4


class DeviceData:
    """Some clips of a source on the devices of a mesh.

    Attributes:
        array: `[rows, samples]`, its rows split over `data`; the last ones may be there only to
            make their number a multiple of the devices'.
    """

    def __init__(self, source: WaveSource, indices: np.ndarray, mesh: Mesh) -> None:
        """Copies the clips at `indices` (positions in `source`) to where they belong."""
        self._clips = np.unique(np.asarray(indices, np.int64))
        last = len(self._clips) - 1
        width = source.gather(self._clips[:1]).shape[1]
        rows = -(-len(self._clips) // mesh.size) * mesh.size

        def part(index: tuple[slice, ...] | None) -> np.ndarray:
            begin, end, _ = (index or (slice(None),))[0].indices(rows)
            return source.gather(self._clips[np.minimum(np.arange(begin, end), last)])

        split = sharded(mesh)
        self.array = jax.make_array_from_callback((rows, width), split, part)
        self._take = jax.jit(functools.partial(take_rows, mesh), out_shardings=split)

    def take(self, rows: Int[Array, "..."]) -> Array:
        """The clips in these rows, `[batch, *views, samples]` or `Copied`'s `[runs, batch, ...]`.

        They are split over the devices as the rows are.
        """
        return self._take(self.array, rows)

    def rows(self, indices: np.ndarray) -> Int[np.ndarray, "*places"]:
        """The rows of the array with the clips at these positions of the source, `[*places]`."""
        return np.searchsorted(self._clips, indices).astype(np.int32)


class Copied(DeviceData):
    """Some clips of a source, all of them on every device of a mesh of runs.

    Attributes:
        array: `[clips, samples]`.
    """

    def __init__(self, source: WaveSource, indices: np.ndarray, mesh: Mesh) -> None:
        """Copies the clips at `indices` (positions in `source`) to each device."""
        self._clips, everywhere, split = np.unique(indices), replicated(mesh), by_run(mesh)
        self.array = jax.device_put(source.gather(self._clips), everywhere)
        self._take = jax.jit(
            lambda array, rows: array.at[rows].get(mode="promise_in_bounds"),
            in_shardings=(everywhere, split),
            out_shardings=split,
        )


class DeviceDataCache:
    """Room for the clips of one stage; the next one with the same clips finds them there."""

    def __init__(self) -> None:
        self._held: tuple[WaveSource, np.ndarray, Mesh, DeviceData] | None = None

    def put(self, source: WaveSource, indices: np.ndarray, mesh: Mesh) -> DeviceData:
        """Clips at positions `[clips]` of a source, on these devices; others there go first."""
        if self._held is not None:
            held, those, devices, data = self._held
            if held is source and devices == mesh and np.array_equal(those, indices):
                return data
        self._held = None
        data = DeviceData(source, indices, mesh)
        self._held = source, indices, mesh, data
        return data


def keep_on_device(
    setting: str, clips: int, clip: jax.ShapeDtypeStruct, mesh: Mesh, *, copied: bool = False
) -> bool:
    """Whether so many such clips are to lie on the devices; all processes say the same.

    Args:
        setting: 'yes', 'no', or 'auto': where they take no more of a device than its share.
        clips: how many.
        clip: shape `[..., samples]` and dtype of one; leading axes are views of it.
        mesh: the devices.
        copied: each holds all of them, instead of its part.
    """
    memory = min(_memory(device) for device in mesh.local_devices)
    needed = bytes_a_device(clips, clip, 1 if copied else mesh.size)
    here = has_room(setting, needed, memory)
    if setting == "auto" and jax.process_count() > 1:
        here = bool(multihost_utils.process_allgather(np.array(here)).all())
    return here


def has_room(setting: str, needed: int, memory: float) -> bool:
    """Whether clips that take `needed` bytes of a device lie there, by its bytes of memory."""
    return setting == "yes" or (setting == "auto" and needed <= SHARE * memory)


def bytes_a_device(clips: int, clip: jax.ShapeDtypeStruct, devices: int) -> int:
    """Returns the bytes that so many such clips take of each device."""
    return -(-clips // devices) * clip.shape[-1] * clip.dtype.itemsize


def _memory(device: Any) -> float:
    """Bytes of a device. What is in use is not taken off: that differs by chance.

    Processors have no memory of their own: there the cache of the files is as near.
    """
    return (device.memory_stats() or {}).get("bytes_limit", 0)
