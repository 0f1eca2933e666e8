"""Files in one step, locks between processes, and folders of programs that are their owner's."""

import errno
import json
import math
import os
import pathlib
import re
import stat
import subprocess
import sys

import filelock
import numpy as np
import pytest

from asd_jax import files
from asd_jax.errors import WriteError
from asd_jax.files import (
    check_writable,
    locked,
    plain,
    private_folder,
    remove_leftovers,
    replacing,
    write_bytes,
    write_json,
    writing,
)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.txt"
    write_bytes(path, b"old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        with open(temporary, "wb") as file:
            file.write(b"ne")
        assert path.read_bytes() == b"old"
        1 / 0  # noqa: B018
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


def test_what_is_written_has_reached_the_disk_before_it_bears_its_name(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append("sync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda *a: (done.append("name"), replace(*a)))
    write_bytes(tmp_path / "a", b"x")
    with replacing(tmp_path / "b", sync=False) as temporary:
        open(temporary, "wb").close()
    assert done == ["sync", "name", "sync", "name"]  # the content, the folder


def test_nothing_is_left_where_the_target_cannot_be_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write_bytes(tmp_path / "folder", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_json_is_strict_and_in_the_order_given(tmp_path):
    value = {"b": np.float32(1.5), "a": (math.nan, np.arange(2)), 3: None, "name": "ü"}
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text("utf-8")
    assert list(json.loads(text).items()) == [
        ("b", 1.5),
        ("a", [None, [0, 1]]),
        ("3", None),
        ("name", "ü"),
    ]
    with pytest.raises(TypeError, match="object has no place in JSON"):
        plain(object())


HOLDS = """
import sys
from asd_jax.files import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_one_processes_and_ends_with_it(tmp_path):
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDS, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(filelock.Timeout), locked(path, wait=False):
            pass
        other.kill()
        other.wait()
        with locked(path, wait=False):
            pass


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "asd_jax"


def test_a_private_folder_is_made_for_its_owner_alone(cache):
    before = os.umask(0)
    try:
        path = private_folder("xla")
    finally:
        os.umask(before)
    assert path == str(cache / "xla") == private_folder("xla")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_folder_that_others_can_write_is_refused(cache, mode, caplog):
    (cache / "xla").mkdir(parents=True)
    (cache / "xla").chmod(mode)
    assert private_folder("xla") is None
    assert "others can write" in caplog.text and str(cache / "xla") in caplog.text


def test_another_users_folder_is_refused(monkeypatch, caplog):
    path = private_folder("xla")
    owner = os.stat(path).st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    assert private_folder("xla") is None
    assert "another user" in caplog.text


def test_a_folder_that_cannot_be_made_is_none(cache, caplog):
    cache.write_text("a file is in the way")
    assert private_folder("xla") is None
    assert str(cache) in caplog.text


def raising(number):
    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, r"the disk is full, 5 bytes needed, .* free"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EFBIG, "the file is too long"),
        (errno.EROFS, "Read-only"),
        (errno.ENOENT, "No such file"),
        (errno.EIO, "Input/output error"),
    ],
)
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_says_why_and_leaves_what_was_there(
    tmp_path, monkeypatch, step, number, said
):
    path = tmp_path / "a.txt"
    write_bytes(path, b"old")
    monkeypatch.setattr(os, step, raising(number))
    wanted = f"a.txt can't be written .{said}.*; make room"
    with pytest.raises(WriteError, match=wanted), writing(path, "make room"):
        write_bytes(path, b"newer")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_an_error_without_a_name_gets_that_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", raising(errno.ENOSPC))
    with pytest.raises(OSError) as caught:
        write_bytes(tmp_path / "a", b"12345")
    assert caught.value.filename == str(tmp_path / "a") and caught.value.needs == 5


def test_a_device_is_written_to_and_a_link_is_kept(tmp_path):
    write_bytes("/dev/null", b"x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"new"


def test_what_can_not_be_written_is_known_before(tmp_path):
    check_writable(tmp_path / "a")
    check_writable("/dev/null")
    assert list(tmp_path.iterdir()) == []
    for path in (tmp_path, tmp_path / "nowhere" / "a", "/proc/a"):
        with pytest.raises(OSError) as caught:
            check_writable(path)
        assert caught.value.filename == str(path)


def test_all_that_gets_a_name_gets_it_in_one_place():
    """No other function of the product renames a file that it has written."""
    product = pathlib.Path(files.__file__).parent
    found = [
        str(path.relative_to(product))
        for path in sorted(product.rglob("*.py"))
        if re.search(r"os\.(replace|rename)\(|\.rename\(|np\.savez?\((?!file)", path.read_text())
    ]
    assert found == ["files.py", "notebook/recordings.py"]  # that one names folders


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_the_folder_above_counts_too(cache, mode, caplog):
    cache.mkdir()
    cache.chmod(mode)
    assert private_folder("waves", "No sound is kept") is None
    assert f"No sound is kept: {cache} belongs" in caplog.text


def test_what_was_left_by_killed_writes_goes_by_its_age(tmp_path):
    (tmp_path / ".a.json.77.tmp").write_bytes(b"half")
    remove_leftovers(tmp_path, older=1000)
    assert len(list(tmp_path.iterdir())) == 1
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []
    remove_leftovers(tmp_path / "nowhere")
