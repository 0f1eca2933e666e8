"""From wav files to batches on the device: ours, soundfile as it comes, and bare bytes."""

import concurrent.futures
import pathlib
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import soundfile

from asd_jax.data.cache import WaveSettings, open_cache
from asd_jax.data.clips import NORMAL, Clip
from asd_jax.data.loader import eval_batches, train_batches
from asd_jax.train.sharding import data_mesh, sharded
from tests.benchmarks.protocol import Work
from tests.benchmarks.recordings import folder, forget, written

BATCH = 16
Pass = Callable[[], None]


def build(variant: dict[str, Any], program: dict[str, Any]) -> Work:
    """One pass over all clips by the `reader` of the variant."""
    paths = written(program["clips"], program["channels"])
    return READERS[variant["reader"]](paths, program["state"])


def _ours(paths: list[str], state: str) -> Work:
    """`state` 'new': decode into an empty cache; 'kept', 'disk': the cache is there, in memory or
    not; 'open': it is open, and training takes batches."""
    clips = [Clip(path, "fan", "id_00", split="train", label=NORMAL) for path in paths]
    place = pathlib.Path(tempfile.mkdtemp(dir=folder()))
    settings = WaveSettings()

    def batches(opened: Any) -> None:
        indices = np.arange(len(opened))
        split = sharded(data_mesh(BATCH))
        with eval_batches(opened.waves, indices, batch_size=BATCH, sharding=split) as found:
            for batch in found:
                jax.block_until_ready(batch["wave"])

    def once() -> None:
        batches(open_cache(clips, place, settings))

    def before() -> None:
        if state == "new":
            shutil.rmtree(place, ignore_errors=True)
        if state in ("new", "disk"):
            forget(paths)
            forget([str(path) for path in place.rglob("*.i16")])

    if state == "open":
        return Work(_training_batches(open_cache(clips, place, settings)))
    return Work(once, before=before)


def _training_batches(opened: Any) -> Pass:
    """As many batches as make up all clips, shuffled, as a stage takes them."""
    split = sharded(data_mesh(BATCH))
    count, labels = len(opened), np.zeros(len(opened), np.int32)
    batches = train_batches(
        opened.waves, labels, np.arange(count), batch_size=BATCH, seed=0, sharding=split
    )

    def once() -> None:
        for _ in range(count // BATCH):
            jax.block_until_ready(next(batches)["wave"])

    return once


def _soundfile(workers: int) -> Callable[[list[str], str], Work]:
    """Reads every file in so many threads, stacks batches, and hands them to the device."""

    def read(path: str) -> np.ndarray:
        return soundfile.read(path, dtype="int16", always_2d=True)[0][:, 0]

    def make(paths: list[str], state: str) -> Work:
        pool = concurrent.futures.ThreadPoolExecutor(workers)

        def once() -> None:
            for start in range(0, len(paths), BATCH):
                some = paths[start : start + BATCH]
                found = map(read, some) if workers == 1 else pool.map(read, some)
                jax.block_until_ready(jax.device_put(np.stack(list(found))))

        return Work(once, before=lambda: forget(paths) if state in ("new", "disk") else None)

    return make


def _bytes(paths: list[str], state: str) -> Work:
    """Reads the files without looking at them: what the disk or the page cache gives."""

    def once() -> None:
        for path in paths:
            pathlib.Path(path).read_bytes()

    return Work(once, before=lambda: forget(paths) if state in ("new", "disk") else None)


READERS: dict[str, Callable[[list[str], str], Work]] = {
    "ours": _ours,
    "soundfile": _soundfile(1),
    "soundfile in threads": _soundfile(2),
    "bytes": _bytes,
}
