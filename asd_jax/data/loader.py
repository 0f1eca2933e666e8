"""Batches of waveforms from the cache to the devices: the only file that knows grain.

An element of the pipelines is a whole batch: its clips are drawn together and gathered from the
memory map in one copy, so Python's cost is per batch, not per clip as with grain's own
shuffle and batch. Threads only, no worker processes: copying releases the interpreter's lock, and
threads start at once.
"""

import collections
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import grain
import jax
import numpy as np
from jax.sharding import NamedSharding

from asd_jax.errors import UserError

_ENDLESS = 2**40  # steps
_AHEAD = 2  # batches on the device: one in use, one on its way


@runtime_checkable
class WaveSource(Protocol):
    """Waveforms by position, as `asd_jax.data.cache.WaveCache` has them."""

    def __len__(self) -> int:
        """The number of clips."""
        ...

    def gather(self, indices: np.ndarray) -> np.ndarray:
        """The waveforms at `indices`: int16 `[batch, samples]`."""
        ...


class Batches(Iterator[dict[str, Any]]):
    """An iterator over batches that can be closed: use it in a `with`, or run it to its end."""

    def __init__(self, host: Iterator[dict[str, np.ndarray]], place: Callable[[dict], dict]):
        self._host = host
        self._place = place
        self._ready: collections.deque[dict[str, Any]] = collections.deque()
        self._closed = False

    def __next__(self) -> dict[str, Any]:
        # The copy of the next batch is started before this one is handed out, so that it runs
        # while the step does.
        while not self._closed and len(self._ready) < _AHEAD:
            try:
                self._ready.append(self._place(next(self._host)))
            except StopIteration:
                self._close_host()
        if not self._ready:
            raise StopIteration
        return self._ready.popleft()

    def close(self) -> None:
        """Ends the reading threads and lets go of the batches that were read ahead."""
        self._ready.clear()
        self._close_host()

    def _close_host(self) -> None:
        self._closed = True
        # Older releases of grain end with the iterator.
        getattr(self._host, "close", lambda: None)()
        self._host = iter(())

    def __enter__(self) -> "Batches":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def train_batches(
    waves: WaveSource,
    labels: np.ndarray,
    indices: Sequence[int] | np.ndarray,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    pairs: bool = False,
    sharding: NamedSharding | None = None,
    num_threads: int = 4,
) -> Batches:
    """Endless shuffled batches; batch k depends on the seed and k alone.

    Every epoch has its own order. Batches run across the borders of epochs, so there may be fewer
    clips than a batch has places.

    Args:
      waves: the waveforms of all clips.
      labels: class of every clip, int `[clips]`.
      indices: clips to draw from, positions in `waves`.
      batch_size: clips in a batch, over all devices and processes.
      seed: of the orders and of the partners.
      start_step: the batch to begin with; a run resumed at step k passes k.
      pairs: give each clip a partner: another clip of its class, drawn anew every time; the clip
        itself where its class has no other.
      sharding: of the batch axis; every process then reads its own rows only, and batches are
        `jax.Array`s, the next one already on its way to the device. None: NumPy arrays.
      num_threads: batches read at the same time; 0 reads in the caller's thread.

    Returns:
      `{'wave': int16 [batch, samples] or, of pairs, [batch, 2, samples], 'label': int32 [batch]}`.

    Raises:
      UserError: no clip to draw from, or a batch size that the devices can't share.
    """
    chosen = np.asarray(indices, np.int64)
    classes = np.asarray(labels, np.int32)
    if not len(chosen):
        raise UserError("There is no training clip: check config.data.root and .machines.")
    rows = _local_rows(sharding, batch_size)
    order = _Order(len(chosen), seed)
    partner = _Partners(classes, chosen)

    def draw(step: int, rng: np.random.Generator) -> np.ndarray:
        places = order(step * batch_size + np.arange(batch_size))
        return np.stack([places, partner(places, rng)], 1) if pairs else places

    def read(places: np.ndarray) -> dict[str, np.ndarray]:
        clips = chosen[places[rows]]
        label = classes[clips[:, 0] if pairs else clips]
        wave = waves.gather(clips.reshape(-1))
        return {"wave": wave.reshape(*clips.shape, -1), "label": label}

    steps = grain.MapDataset.range(_ENDLESS).seed(seed).random_map(draw).map(read)
    host = iter(steps[start_step:].to_iter_dataset(_threads(num_threads)))
    return Batches(host, _placer(sharding, batch_size))


def side_by_side(
    runs: Sequence[Batches], place: Callable[[dict[str, np.ndarray]], dict[str, Any]]
) -> Batches:
    """The batches of several runs as one, with a leading axis of runs.

    Args:
      runs: NumPy batches of each, of equal shapes.
      place: puts a stacked batch on the devices.
    """

    def stacked() -> Iterator[dict[str, np.ndarray]]:
        try:
            for parts in zip(*runs, strict=True):
                yield {name: np.stack([part[name] for part in parts]) for name in parts[0]}
        finally:
            for own in runs:
                own.close()

    return Batches(stacked(), place)


def eval_batches(
    waves: WaveSource,
    indices: Sequence[int] | np.ndarray,
    *,
    batch_size: int,
    sharding: NamedSharding | None = None,
    num_threads: int = 2,
) -> Batches:
    """Every clip once, in the order given; the last batch is filled up with its last clip.

    Args:
      waves: the waveforms of all clips.
      indices: clips to read, positions in `waves`.
      batch_size: clips in a batch, over all devices and processes.
      sharding: as in `train_batches`.
      num_threads: batches read at the same time.

    Returns:
      `{'wave': int16 [batch, samples], 'index': int32 [batch], 'valid': bool [batch]}`: `index` is
      the position in `waves`, `valid` is false for what only fills the batch.

    Raises:
      UserError: a batch size that the devices can't share.
    """
    chosen = np.asarray(indices, np.int64)
    rows = _local_rows(sharding, batch_size)

    def read(batch: int) -> dict[str, np.ndarray]:
        places = batch * batch_size + rows
        clips = chosen[np.minimum(places, len(chosen) - 1)]
        valid = places < len(chosen)
        return {"wave": waves.gather(clips), "index": clips.astype(np.int32), "valid": valid}

    dataset = grain.MapDataset.range(-(-len(chosen) // batch_size)).map(read)
    host = iter(dataset.to_iter_dataset(_threads(num_threads)))
    return Batches(host, _placer(sharding, batch_size))


class _Order:
    """The endless sequence of places: every epoch is a new permutation of all clips."""

    def __init__(self, clips: int, seed: int):
        self._clips = clips
        self._permutation = functools.lru_cache(maxsize=16)(
            lambda epoch: np.random.default_rng([seed, epoch]).permutation(clips)
        )

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """The places at ascending positions of the sequence."""
        epochs, within = np.divmod(positions, self._clips)
        parts = [
            self._permutation(int(epoch))[within[epochs == epoch]] for epoch in np.unique(epochs)
        ]
        return np.concatenate(parts)


class _Partners:
    """Draws for each clip another one of its class; for all clips of a batch in one go."""

    def __init__(self, classes: np.ndarray, chosen: np.ndarray):
        _, group, size = np.unique(classes[chosen], return_inverse=True, return_counts=True)
        self._order = np.argsort(group, kind="stable")  # places, class by class
        first = np.concatenate([[0], np.cumsum(size)[:-1]])
        self._first, self._size = first[group], size[group]  # of each place's class
        self._rank = np.empty(len(chosen), np.int64)  # of each place within its class
        self._rank[self._order] = np.arange(len(chosen)) - first[group[self._order]]

    def __call__(self, places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        size = self._size[places]
        step = rng.integers(1, np.maximum(size, 2))  # 1 .. size - 1: never back to the clip itself
        return self._order[self._first[places] + (self._rank[places] + step) % size]


def _threads(number: int) -> grain.ReadOptions:
    # A buffered element is a whole batch: no more of them than threads.
    return grain.ReadOptions(num_threads=number, prefetch_buffer_size=number)


def _local_rows(sharding: NamedSharding | None, batch_size: int) -> np.ndarray:
    """The rows of a global batch that this process's devices hold, ascending."""
    if batch_size < 1:
        raise UserError(f"The batch size is {batch_size}; it must be 1 or more.")
    if sharding is None:
        return np.arange(batch_size)
    try:
        held = sharding.addressable_devices_indices_map((batch_size,))
    except ValueError as error:
        raise UserError(
            f"A batch of {batch_size} can't be shared by {sharding.num_devices} devices; use a "
            "multiple of their number."
        ) from error
    parts = [np.arange(batch_size)[index] for index in held.values() if index is not None]
    return np.unique(np.concatenate(parts))


def _placer(sharding: NamedSharding | None, batch_size: int) -> Callable[[dict], dict]:
    """Returns a function from this process's part of a batch to the global batch."""
    if sharding is None:
        return lambda batch: batch
    return lambda batch: {
        name: jax.make_array_from_process_local_data(
            sharding, part, global_shape=(batch_size, *part.shape[1:])
        )
        for name, part in batch.items()
    }
