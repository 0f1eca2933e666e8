"""Batches: the right clips, in an order that depends on nothing but the seed."""

import itertools
import subprocess
import sys
import threading

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from asd_jax.data.cache import WaveCache
from asd_jax.data.loader import eval_batches, train_batches
from asd_jax.errors import UserError

CLIPS, SAMPLES = 23, 16
LABELS = np.array([0] * 10 + [1] * 9 + [2] * 3 + [3], np.int32)


@pytest.fixture
def waves(tmp_path) -> WaveCache:
    """Clip k is k * 100, k * 100 + 1, ...: a waveform tells whose it is."""
    rows = np.arange(CLIPS)[:, None] * 100 + np.arange(SAMPLES)
    rows.astype(np.int16).tofile(tmp_path / "waves.i16")
    return WaveCache(tmp_path / "waves.i16", np.arange(CLIPS), SAMPLES)


def whose(wave: np.ndarray) -> np.ndarray:
    wave = np.asarray(wave).astype(int)
    clip = wave[..., 0] // 100
    assert np.array_equal(wave, clip[..., None] * 100 + np.arange(SAMPLES)), "a torn waveform"
    return clip


def take(number: int, *arguments, **options) -> list[dict]:
    with train_batches(*arguments, **options) as batches:
        return list(itertools.islice(batches, number))


def same(one: list[dict], two: list[dict]) -> bool:
    return len(one) == len(two) and all(
        np.array_equal(a[name], b[name]) for a, b in zip(one, two, strict=True) for name in a
    )


@pytest.fixture
def sharding() -> NamedSharding:
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    return NamedSharding(mesh, PartitionSpec("data"))


def test_every_epoch_has_every_clip_in_a_new_order(waves):
    indices = [3, 5, 8, 11, 17, 2]
    batches = take(12, waves, LABELS, indices, batch_size=4, seed=0)
    clips = np.concatenate([whose(batch["wave"]) for batch in batches])
    epochs = clips.reshape(8, 6)
    assert all(sorted(epoch) == sorted(indices) for epoch in epochs.tolist())
    assert len({tuple(epoch) for epoch in epochs.tolist()}) > 4
    labels = np.concatenate([batch["label"] for batch in batches])
    assert labels.dtype == np.int32 and np.array_equal(labels, LABELS[clips])


@pytest.mark.parametrize("pairs", [False, True])
def test_batches_depend_on_seed_and_step_alone(waves, pairs):
    def run(number: int, **options) -> list[dict]:
        options = {"batch_size": 5, "seed": 3, "pairs": pairs, **options}
        return take(number, waves, LABELS, np.arange(CLIPS), **options)

    reference = run(12)
    for threads in (0, 1, 8):
        assert same(run(12, num_threads=threads), reference)
    for start in (1, 4, 7, 11):  # an epoch is 4.6 batches
        assert same(run(12 - start, start_step=start), reference[start:])
    assert not same(run(12, seed=4), reference)


def test_fewer_clips_than_a_batch(waves):
    (batch,) = take(1, waves, LABELS, [1, 2, 3], batch_size=8, seed=0)
    numbers = np.bincount(whose(batch["wave"]), minlength=4)[1:]
    assert sorted(numbers.tolist()) == [2, 3, 3]


def test_pairs_are_two_different_clips_of_one_class(waves):
    indices = np.arange(CLIPS)[2:]
    batches = take(60, waves, LABELS, indices, batch_size=16, seed=1, pairs=True)
    assert batches[0]["wave"].shape == (16, 2, SAMPLES)
    clips = np.concatenate([whose(batch["wave"]) for batch in batches])
    labels = np.concatenate([batch["label"] for batch in batches])
    first, second = clips.T
    assert np.array_equal(LABELS[first], labels) and np.array_equal(LABELS[second], labels)
    assert np.isin(clips, indices).all()
    lonely = labels == 3
    assert lonely.any() and (first[lonely] == second[lonely]).all()
    assert (first[~lonely] != second[~lonely]).all()
    # all ordered pairs of the third class come about, about equally often
    third, number = np.unique(clips[labels == 2], axis=0, return_counts=True)
    assert len(third) == 6 and number.min() > number.mean() / 2


def test_sharded_batches_are_the_same_batches(waves, sharding):
    options = {"batch_size": 16, "seed": 0, "pairs": True}
    plain = take(3, waves, LABELS, np.arange(CLIPS), **options)
    placed = take(3, waves, LABELS, np.arange(CLIPS), sharding=sharding, **options)
    assert same(plain, placed)
    for batch in placed:
        for array in batch.values():
            assert array.sharding.is_equivalent_to(sharding, array.ndim)
            assert not array.is_fully_replicated
    rows = next(eval_batches(waves, [1, 2], batch_size=8, sharding=sharding))
    assert rows["valid"].sharding.is_equivalent_to(sharding, 1)


def test_a_batch_that_devices_can_not_share(waves, sharding):
    with pytest.raises(UserError, match="batch of 12 can't be shared by 8 devices"):
        train_batches(waves, LABELS, [1], batch_size=12, seed=0, sharding=sharding)
    with pytest.raises(UserError, match="batch size is 0"):
        eval_batches(waves, [1], batch_size=0)


def test_no_clips(waves):
    with pytest.raises(UserError, match="no training clip"):
        train_batches(waves, LABELS, [], batch_size=2, seed=0)
    assert list(eval_batches(waves, [], batch_size=2)) == []


@pytest.mark.parametrize("batch_size", [1, 3, 4, 64])
@pytest.mark.parametrize("threads", [0, 3])
def test_evaluation_reads_every_clip_once_in_order(waves, batch_size, threads):
    indices = [4, 0, 9, 21, 22, 1, 13]
    batches = list(eval_batches(waves, indices, batch_size=batch_size, num_threads=threads))
    assert len(batches) == -(-len(indices) // batch_size)
    for batch in batches:
        assert batch["wave"].shape == (batch_size, SAMPLES) and batch["wave"].dtype == np.int16
        assert batch["index"].dtype == np.int32 and batch["valid"].dtype == bool
        assert np.array_equal(whose(batch["wave"]), batch["index"])
    index = np.concatenate([batch["index"][batch["valid"]] for batch in batches])
    assert index.tolist() == indices


def test_closing_ends_the_threads(waves):
    before = threading.active_count()
    with train_batches(waves, LABELS, [1, 2], batch_size=2, seed=0, num_threads=4) as batches:
        next(batches)
        held = batches._host  # else the threads might end with their owner
        assert threading.active_count() > before
    assert list(batches) == []
    with pytest.raises(ZeroDivisionError), eval_batches(waves, [1, 2], batch_size=1) as batches:
        next(batches)
        1 / 0  # noqa: B018
    for thread in threading.enumerate()[before:]:
        thread.join(timeout=10)
    assert threading.active_count() <= before and held is not None


def test_a_loader_left_open_exits_quietly(tmp_path):
    code = f"""
import numpy as np
from asd_jax.data.cache import WaveCache
from asd_jax.data.loader import train_batches
np.zeros((4, 9), np.int16).tofile({str(tmp_path / "w")!r})
waves = WaveCache({str(tmp_path / "w")!r}, np.arange(4), 9)
batches = train_batches(waves, np.zeros(4), [0, 1], batch_size=2, seed=0)
print(next(batches)["wave"].shape)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert out.returncode == 0 and out.stdout == "(2, 9)\n"
    assert "Exception" not in out.stderr and "leaked" not in out.stderr


PROCESS = """
import os, sys
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
import jax, numpy as np
jax.config.update("jax_platforms", "cpu")
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from asd_jax.data.cache import WaveCache
from asd_jax.data.loader import train_batches
class Counting(WaveCache):
    read = 0
    def gather(self, indices):
        self.read += len(indices)
        return super().gather(indices)
waves = Counting(sys.argv[3], np.arange(23), 16)
mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
sharding = NamedSharding(mesh, PartitionSpec("data"))
options = dict(batch_size=8, seed=5, pairs=True, num_threads=0)
labels = np.arange(23) % 3
with train_batches(waves, labels, range(23), sharding=sharding, **options) as batches:
    batch = next(batches)
wave = multihost_utils.process_allgather(batch["wave"], tiled=True)
assert waves.read == 2 * 8, waves.read  # two batches ahead, half of each, two clips a place
with train_batches(waves, labels, range(23), **options) as batches:
    assert np.array_equal(next(batches)["wave"], wave)
print("SAME", flush=True)
"""


def test_two_processes_read_half_of_each_batch(waves):
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, address, str(k), waves.data[0][0]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for k in range(2)
    ]
    for process in running:
        assert "SAME" in process.communicate(timeout=120)[0]
