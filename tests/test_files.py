"""Folders that hold programs: only their owner's."""

import os
import stat

import pytest

from asd_jax.files import private_folder


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
