"""Clips of several runs on every device: each run finds its own, however it numbers them."""

import types

import jax
import jax.numpy as jnp
import numpy as np

from asd_jax.data.cache import WaveCache
from asd_jax.runs import side_by_side
from asd_jax.runs.trainer import Clips, Trainer
from asd_jax.train.sharding import runs_mesh
from tests.recipes import tiny

SAMPLES = 4


def of_a_file(path, rows, indices):
    waves = WaveCache(((str(path), 10),), np.array(rows), SAMPLES)
    return Clips(waves, np.zeros(len(rows), np.int32), np.array(indices))


def trainer(setting):
    config = types.SimpleNamespace(data=types.SimpleNamespace(on_device=setting))
    clip = jax.ShapeDtypeStruct((SAMPLES,), np.int16)
    return tiny.bare(
        Trainer,
        run=types.SimpleNamespace(config=config),
        plan=types.SimpleNamespace(clip=clip),
    )


def written(tmp_path, name="waves.i16"):
    data = np.arange(10 * SAMPLES, dtype=np.int16).reshape(10, SAMPLES)
    data.tofile(tmp_path / name)
    return tmp_path / name, data


def test_each_run_gets_its_own_waveforms_from_what_lies_on_the_devices(tmp_path):
    path, data = written(tmp_path)
    clips = [of_a_file(path, [7, 2, 9, 4], [0, 1]), of_a_file(path, [4, 9, 2], [0, 2])]
    held = side_by_side._on_devices(trainer("yes"), clips, runs_mesh(2))
    asked = [side_by_side._Places(held, own.waves.rows).gather(own.indices) for own in clips]
    found = np.asarray(held.take(jnp.asarray(np.stack(asked)[..., 0])))
    np.testing.assert_array_equal(found[0], data[[7, 2]])
    np.testing.assert_array_equal(found[1], data[[4, 2]])


def test_runs_of_different_files_or_on_request_read_from_the_disk(tmp_path):
    (one, _), (two, _) = written(tmp_path, "one"), written(tmp_path, "two")
    mesh = runs_mesh(2)
    apart = [of_a_file(one, [1], [0]), of_a_file(two, [1], [0])]
    assert side_by_side._on_devices(trainer("yes"), apart, mesh) is None
    alike = [of_a_file(one, [1], [0]), of_a_file(one, [3], [0])]
    assert side_by_side._on_devices(trainer("no"), alike, mesh) is None
