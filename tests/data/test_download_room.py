"""Free space is checked first, and archives go where they are wished."""

import os
import shutil

import pytest

from asd_jax.data.clips import read_clips
from asd_jax.data.download import job
from asd_jax.data.download.records import DATA_SETS, Archive
from asd_jax.errors import UserError


def test_room_is_checked_before_anything_is_downloaded(command, server, mimii, monkeypatch):
    sizes = [a.size for a in DATA_SETS["mimii"].archives if a.part == "0"]
    usage = shutil._ntuple_diskusage

    def free(size):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 0, int(size)))

    free(sizes[0] * 1.1)  # the archive, but not what comes out of it
    with pytest.raises(UserError, match=r"This needs .* at its fullest, where .* are free"):
        command("mimii", machines=["fan"])
    assert not server.requests


def test_the_fullest_moment_counts_one_archive_at_a_time(tmp_path, monkeypatch):
    archives = [Archive(f"{k}.zip", 1, "0", "fan", "0dB", 1000, "", True) for k in range(10)]
    usage = shutil._ntuple_diskusage
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 0, 3000))
    job.need_room(tmp_path, archives, zips=tmp_path, keep=False)  # 1000 + 10 * 180
    with pytest.raises(UserError, match="This needs 12 kB"):
        job.need_room(tmp_path, archives, zips=tmp_path, keep=True)


def test_archives_on_another_disk_need_their_room_there(tmp_path, monkeypatch):
    archives = [Archive(f"{k}.zip", 1, "0", "fan", "0dB", 1000, "", True) for k in range(10)]
    usage, zips = shutil._ntuple_diskusage, tmp_path / "zips"
    zips.mkdir()
    free = {tmp_path: 1800, zips: 1000}
    monkeypatch.setattr(job, "on_one_disk", lambda *_: False)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 0, free[path]))
    job.need_room(tmp_path, archives, zips=zips, keep=False)
    with pytest.raises(UserError, match=r"10 kB in .*zips at its fullest.*another --archives"):
        job.need_room(tmp_path, archives, zips=zips, keep=True)
    free[tmp_path] = 1799
    with pytest.raises(UserError, match=r"2 kB in .* at its fullest.*another --dir"):
        job.need_room(tmp_path, archives, zips=zips, keep=False)


def test_archives_go_where_they_are_wished(command, mimii, tmp_path, monkeypatch):
    there, unpack, zips = [], job.unpack, tmp_path / "local" / "zips"

    def look(archive, *arguments, **settings):
        there.append((archive.parent, (tmp_path / "data" / "archives").exists()))
        return unpack(archive, *arguments, **settings)

    monkeypatch.setattr(job, "unpack", look)
    command("mimii", machines=["fan"], archives=str(zips))
    assert there == [(zips, False)] and os.listdir(zips) == []  # a user's folder stays
    assert len(read_clips("mimii", tmp_path / "data")) == 18
