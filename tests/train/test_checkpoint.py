"""Checkpoints: what was saved comes back, on whatever devices, and nothing else does."""

import errno
import pathlib
import shutil
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from asd_jax.errors import UserError, WriteError
from asd_jax.train.checkpoint import Checkpoints


def state(seed=0, width=3):
    rng = np.random.default_rng(seed)
    return {
        "step": jnp.asarray(seed, jnp.int32),
        "key": jax.random.key(seed),
        "params": {
            "a": jnp.asarray(rng.normal(size=(2, width)), jnp.float32),
            "b": jnp.asarray(rng.normal(size=(4,)), jnp.bfloat16),
            "none": jnp.zeros((0, 2)),
        },
        "flags": jnp.asarray([True, False]),
    }


def assert_equal(a, b):
    jax.tree.map(
        lambda x, y: np.testing.assert_array_equal(
            np.asarray(jax.random.key_data(x) if x.dtype == jax.random.key(0).dtype else x),
            np.asarray(jax.random.key_data(y) if y.dtype == jax.random.key(0).dtype else y),
        ),
        a,
        b,
    )
    assert jax.tree.map(lambda x: x.dtype, a) == jax.tree.map(lambda x: x.dtype, b)


def test_what_was_saved_comes_back(tmp_path):
    with Checkpoints(str(tmp_path)) as checkpoints:
        checkpoints.save(3, state(3))
        checkpoints.save(5, state(5))
        assert checkpoints.latest() == 5
        assert_equal(checkpoints.restore(5, state(0)), state(5))
    with Checkpoints(str(tmp_path)) as checkpoints:
        assert_equal(checkpoints.restore(5, state(0)), state(5))


def test_it_comes_back_to_the_devices_that_are_asked_for(tmp_path):
    mesh = jax.make_mesh((4,), ("data",), devices=jax.devices()[:4])
    everywhere = NamedSharding(mesh, PartitionSpec())
    with Checkpoints(str(tmp_path)) as checkpoints:
        checkpoints.save(1, state(1))
        like = jax.device_put(state(0), everywhere)
        again = checkpoints.restore(1, like)
    assert all(leaf.sharding == everywhere for leaf in jax.tree.leaves(again))
    assert_equal(again, state(1))


@pytest.mark.parametrize("width", [2, 4])
def test_a_state_of_another_size_is_refused(tmp_path, width):
    with Checkpoints(str(tmp_path)) as checkpoints:
        checkpoints.save(1, state(1))
        with pytest.raises(UserError, match="does not fit"):
            checkpoints.restore(1, state(0, width=width))


def test_a_state_with_another_kind_of_leaf_is_refused(tmp_path):
    with Checkpoints(str(tmp_path)) as checkpoints:
        checkpoints.save(1, state(1))
        with pytest.raises(UserError, match="does not fit"):
            checkpoints.restore(1, state(0) | {"more": jnp.zeros(3, jnp.int16)})


# Killed as soon as a save has made its folder, so before it has written all.
KILLED = """
import os, signal, sys, threading, time
import numpy as np
from asd_jax.train.checkpoint import Checkpoints

def kill():
    while not any("tmp" in name for name in os.listdir(sys.argv[1])):
        time.sleep(0.0002)
    os.kill(os.getpid(), signal.SIGKILL)

with Checkpoints(sys.argv[1]) as checkpoints:
    checkpoints.save(3, {"values": np.arange(4.0)})
    threading.Thread(target=kill, daemon=True).start()
    checkpoints.save(5, {"values": np.random.default_rng(0).random(10_000_000)})
"""


def test_what_a_killed_save_has_left_is_gone_when_the_run_goes_on(tmp_path):
    project = pathlib.Path(__file__).resolve().parents[2]
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=project, check=False)
    assert killed.returncode == -signal.SIGKILL
    left = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert left == {"3", "5.orbax-checkpoint-tmp"}
    with Checkpoints(str(tmp_path)) as checkpoints:
        assert checkpoints.latest() == 3
        assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"3"}


def test_so_is_a_checkpoint_that_the_next_has_made_old(tmp_path):
    with Checkpoints(str(tmp_path), keep=3) as checkpoints:  # as if killed before it was removed
        for step in (9, 10, 11):
            checkpoints.save(step, state(step))
    with Checkpoints(str(tmp_path), keep=None) as checkpoints:
        assert checkpoints.latest() == 11
        assert_equal(checkpoints.restore(9, state(0)), state(9))
    with Checkpoints(str(tmp_path), keep=2) as checkpoints:
        assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"10", "11"}
        assert_equal(checkpoints.restore(11, state(0)), state(11))


def two_saved(folder):
    with Checkpoints(str(folder)) as checkpoints:
        for step in (3, 5, 8):
            checkpoints.save(step, state(step))
        assert checkpoints.steps() == {5, 8}


def files_of(folder, step):
    return sorted(path for path in (folder / str(step)).rglob("*") if path.is_file())


def flipped(data, places):
    data = bytearray(data)
    for place in places:
        data[place % len(data)] ^= 0xFF
    return bytes(data)


DAMAGES = {
    "empty": lambda data, rng: b"",
    "torn": lambda data, rng: data[: len(data) // 2],
    "gone": lambda data, rng: None,
    "zeros": lambda data, rng: bytes(len(data)),
    "flipped": lambda data, rng: flipped(data, rng.integers(0, 1 << 30, 3)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_gives_way_to_the_one_before(tmp_path, damage, caplog):
    two_saved(tmp_path / "whole")
    rng, fell_back = np.random.default_rng(0), 0
    largest = sorted(files_of(tmp_path / "whole", 8), key=lambda path: -path.stat().st_size)
    for file in largest[:2]:
        place = tmp_path / "damaged"
        shutil.copytree(tmp_path / "whole", place)
        damaged = place / file.relative_to(tmp_path / "whole")
        data = DAMAGES[damage](file.read_bytes(), rng)
        damaged.unlink() if data is None else damaged.write_bytes(data)
        caplog.clear()
        with Checkpoints(str(place)) as checkpoints:
            newest = checkpoints.newest_whole()
            assert_equal(checkpoints.restore(newest, state(0)), state(newest))
            if newest == 5:
                fell_back += 1
                assert "damaged/8 is damaged" in caplog.text
            checkpoints.save(9, state(9))  # training goes on
            assert_equal(checkpoints.restore(9, state(0)), state(9))
        shutil.rmtree(place)
    assert fell_back


def test_with_both_damaged_the_stage_begins_anew(tmp_path, caplog):
    two_saved(tmp_path)
    for step in (5, 8):
        for file in files_of(tmp_path, step):
            file.write_bytes(b"")
    with Checkpoints(str(tmp_path)) as checkpoints:
        assert checkpoints.newest_whole() is None
    assert caplog.text.count("was deleted; training goes on from the one before") == 2


def test_what_a_disk_answers_is_no_damage(tmp_path, monkeypatch):
    two_saved(tmp_path)
    with Checkpoints(str(tmp_path)) as checkpoints:
        error = OSError(errno.EIO, "Input/output error")
        monkeypatch.setattr(checkpoints._manager, "restore", raising(error))
        with pytest.raises(WriteError, match=r"8 can't be read \(Input/output error\)"):
            checkpoints.newest_whole()
        assert checkpoints.steps() == {5, 8}


def raising(error):
    def fail(*arguments, **options):
        raise error

    return fail


FAILED = {
    "the disk is full": OSError(errno.ENOSPC, "No space"),
    "RESOURCE_EXHAUSTED; ": ValueError("RESOURCE_EXHAUSTED\nmore lines"),
    "the file is too long": ValueError("Error in /a/b: too large [os_error_code='27']"),
}


@pytest.mark.parametrize("said", FAILED)
def test_a_save_that_fails_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, said):
    two_saved(tmp_path)
    with Checkpoints(str(tmp_path)) as checkpoints:
        (tmp_path / "9.orbax-checkpoint-tmp").mkdir()
        monkeypatch.setattr(checkpoints._manager, "save", raising(FAILED[said]))
        with pytest.raises(WriteError, match=f"9 can't be written .{said}.*--workdir") as e:
            checkpoints.save(9, state(9))
        assert "\n" not in str(e.value) and " needed" in str(e.value) and " free" in str(e.value)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"5", "8"}


def test_a_folder_that_can_not_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="can't be written"):
        Checkpoints(str(tmp_path / "file" / "stage"))


TOO_LONG = """
import resource, sys
import numpy as np
from asd_jax import commands
from asd_jax.train.checkpoint import Checkpoints

def main(argv):
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(3, {"values": np.arange(4.0)})
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        checkpoints.save(5, {"values": np.random.default_rng(0).random(1_000_000)})

folder = sys.argv.pop()
commands.run(main)
"""


def test_a_file_system_that_takes_no_more_is_one_sentence_and_status_1(tmp_path):
    project = pathlib.Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", TOO_LONG, str(tmp_path)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "5 can't be written (the file is too long, 8 MB needed" in done.stderr
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"3"}
