"""Clips on the devices: the batches, and so the losses, are those of the pipeline."""

import itertools

import jax
import numpy as np
import pytest

from asd_jax.data.cache import WaveCache
from asd_jax.data.loader import train_batches
from asd_jax.errors import UserError
from asd_jax.recipes.ensemble import objectives, settings
from asd_jax.runs import tunables
from asd_jax.runs.settings import Data, Optimizer
from asd_jax.train import device_data
from asd_jax.train.device_data import DeviceData, DeviceDataCache, keep_on_device
from asd_jax.train.optimizer import make_optimizer
from asd_jax.train.sharding import data_mesh, replicated, sharded
from asd_jax.train.state import create_state
from asd_jax.train.step import compile_step, make_step
from tests.recipes import tiny

CLIPS, SAMPLES, STEPS = 37, 2048, 20
LABEL = np.arange(CLIPS, dtype=np.int32) % 3
CHOSEN = np.delete(np.arange(CLIPS), [0, 5, 36])


@pytest.fixture
def waves(tmp_path) -> WaveCache:
    values = np.random.default_rng(0).integers(-(2**15), 2**15, (CLIPS, SAMPLES), np.int16)
    values.tofile(tmp_path / "waves.i16")
    return WaveCache(tmp_path / "waves.i16", np.arange(CLIPS)[::-1], SAMPLES)


def take(number, source, mesh, **options):
    options = {"batch_size": 16, "seed": 3, "sharding": sharded(mesh), **options}
    with train_batches(source, LABEL, CHOSEN, **options) as batches:
        return list(itertools.islice(batches, number))


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("pairs", [False, True])
def test_batches_are_those_of_the_pipeline_wherever_it_begins(waves, devices, pairs):
    mesh = data_mesh(devices)
    held = DeviceData(waves, CHOSEN, mesh)
    for begin in (0, 7):
        read = take(4, waves, mesh, pairs=pairs, start_step=begin)
        taken = take(4, held, mesh, pairs=pairs, start_step=begin)
        for one, other in zip(read, taken, strict=True):
            assert one.keys() == other.keys()
            for name in one:
                assert one[name].dtype == other[name].dtype
                assert one[name].sharding.is_equivalent_to(other[name].sharding, one[name].ndim)
                np.testing.assert_array_equal(one[name], other[name])


def test_each_device_holds_its_part_and_a_batch_moves_no_more_than_itself(waves):
    mesh = data_mesh(8)
    held = DeviceData(waves, CHOSEN, mesh)
    assert {shard.data.shape for shard in held.array.addressable_shards} == {(5, SAMPLES)}
    rows = jax.device_put(held.rows(CHOSEN[:16]), sharded(mesh))
    text = held._take.lower(held.array, rows).compile().as_text()
    assert "reduce-scatter" in text and f"s16[40,{SAMPLES}]" not in text


@pytest.mark.parametrize("devices", [1, 8])
def test_the_losses_of_twenty_steps_are_equal(waves, devices):
    config = settings.Ensemble(
        data=Data(clip_seconds=SAMPLES / 16000),
        augment=settings.Augment(transforms=("time_shift", "white_noise")),
    )
    nets, names, mesh = tiny.build(config, 3), ("temporal", "temporal_identify"), data_mesh(devices)
    optimizer = make_optimizer(dict.fromkeys(names, Optimizer("adamw", 1e-3)), STEPS)
    variables = {n: getattr(nets, n).init(jax.random.key(0)) for n in names}
    step = compile_step(make_step(objectives.temporal_loss(config, nets), optimizer), mesh)

    def losses(source):
        copies, scalars = jax.tree.map(np.array, variables), tunables.collect(config)
        state = create_state(jax.random.key(7), copies, optimizer, tunables=scalars)
        state, found = jax.device_put(state, replicated(mesh)), []
        for batch in take(STEPS, source, mesh):
            state, metrics = step(state, batch)
            found.append(float(metrics["loss"]))
        return found

    read = losses(waves)
    assert len(set(read)) == STEPS
    assert losses(DeviceData(waves, CHOSEN, mesh)) == read


def test_a_shelf_keeps_clips_for_the_next_stage_and_lets_go_of_others(waves):
    shelf, mesh = DeviceDataCache(), data_mesh(8)
    held = shelf.put(waves, CHOSEN, mesh)
    assert shelf.put(waves, CHOSEN.copy(), mesh) is held
    assert shelf.put(waves, CHOSEN[1:], mesh) is not held
    assert shelf.put(waves, CHOSEN[1:], data_mesh(4)).array.sharding.num_devices == 4


def test_they_stay_where_they_fit_or_where_the_user_says_so(monkeypatch):
    mesh, clip = data_mesh(8), jax.ShapeDtypeStruct((2, 1000), np.int16)
    assert not keep_on_device("auto", 1, clip, mesh)  # processors: the files' cache is as near
    memory = 10_000 / device_data.SHARE  # room for five clips
    monkeypatch.setattr(device_data, "_memory", lambda device: memory)
    assert keep_on_device("auto", 40, clip, mesh) and not keep_on_device("auto", 41, clip, mesh)
    assert keep_on_device("yes", 41, clip, mesh) and not keep_on_device("no", 1, clip, mesh)
    with pytest.raises(UserError, match=r"Data\.on_device"):
        Data(on_device="perhaps")
