"""A folder that grows: each recording once, when it is whole."""

import os
import time

from asd_jax.live.watcher import SHARE, Watcher, watch


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def names(paths):
    return [os.path.basename(path) for path in paths]


def test_only_what_no_longer_grows_and_each_once(tmp_path):
    clock = Clock()
    watcher = Watcher(str(tmp_path), settle=2.0, clock=clock)
    assert watcher.ready() == []
    (tmp_path / "sub").mkdir()
    for name in ("a.wav", "sub/b.FLAC", "notes.txt", ".hidden.wav", "empty.wav"):
        (tmp_path / name).write_bytes(b"" if "empty" in name else b"x")
    assert watcher.ready() == []
    clock.now = 1.5
    (tmp_path / "a.wav").write_bytes(b"xx")  # still grows
    assert watcher.ready() == []
    clock.now = 2.5
    assert names(watcher.ready()) == ["b.FLAC"]
    clock.now = 4.0
    assert names(watcher.ready()) == ["a.wav"]
    clock.now = 60.0
    assert watcher.ready() == []


def test_a_file_that_changed_is_a_new_recording(tmp_path):
    clock = Clock()
    watcher = Watcher(str(tmp_path), settle=0.0, skip_existing=True, clock=clock)
    file = tmp_path / "latest.wav"
    file.write_bytes(b"1")
    assert names(watcher.ready()) == ["latest.wav"]
    assert watcher.ready() == []
    file.write_bytes(b"22")
    assert names(watcher.ready()) == ["latest.wav"]
    assert watcher.ready() == []


def test_what_is_there_may_be_skipped_and_the_oldest_comes_first(tmp_path):
    (tmp_path / "old.wav").write_bytes(b"1")
    watcher = Watcher(str(tmp_path), settle=0.0, skip_existing=True)
    for number, name in enumerate(("z.wav", "a.wav")):
        (tmp_path / name).write_bytes(b"1")
        os.utime(tmp_path / name, ns=(0, number))
    assert names(watcher.ready()) == ["z.wav", "a.wav"]


def test_a_folder_that_is_away_for_a_while_is_not_scored_again(tmp_path):
    folder, away = tmp_path / "share", tmp_path / "away"
    folder.mkdir()
    (folder / "a.wav").write_bytes(b"1")
    watcher = Watcher(str(folder), settle=0.0)
    assert names(watcher.ready()) == ["a.wav"]
    folder.rename(away)
    assert watcher.ready() == []
    away.rename(folder)
    assert watcher.ready() == []


def test_deleted_files_are_forgotten(tmp_path):
    watcher = Watcher(str(tmp_path), settle=0.0)
    for number in range(5):
        (tmp_path / f"{number}.wav").write_bytes(b"1")
        watcher.ready()
        (tmp_path / f"{number}.wav").unlink()
    watcher.ready()
    assert not watcher._given and not watcher._since


def test_a_folder_that_takes_long_to_look_into_is_looked_into_less_often(tmp_path, monkeypatch):
    watcher, clock, pauses = Watcher(str(tmp_path)), iter([0.0, 0.001, 5.0, 7.0]), []
    monkeypatch.setattr(time, "thread_time", lambda: next(clock))

    def wait(pause):
        pauses.append(pause)
        return len(pauses) == 2

    assert not list(watch(watcher, poll=1.0, wait=wait))
    assert pauses == [1.0, 2.0 / SHARE]


def test_watching_ends_when_asked(tmp_path):
    watcher = Watcher(str(tmp_path), settle=0.0)
    (tmp_path / "a.wav").write_bytes(b"1")
    waits = iter([False, False, True])
    assert [names(group) for group in watch(watcher, poll=0.1, wait=lambda _: next(waits))] == [
        ["a.wav"]
    ]
