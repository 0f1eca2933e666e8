"""The cache: what goes in comes out, once, whatever happens in between."""

import contextlib
import dataclasses
import errno
import json
import os
import pathlib
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest

from asd_jax.data import cache_store
from asd_jax.data.cache import WaveCache, WaveSettings, open_cache
from asd_jax.data.clips import Clip, read_clips
from asd_jax.data.decode import UnreadableError
from asd_jax.errors import UserError, WriteError
from tests.data import odd

ONE_SECOND = WaveSettings(sample_rate=1000, clip_seconds=1.0)


def noise(seed: int, samples: int = 1000) -> np.ndarray:
    return np.random.default_rng(seed).integers(-9000, 9000, samples).astype(np.int16)


@pytest.fixture
def clips(tmp_path, write_wav) -> list[Clip]:
    return [write_wav(tmp_path / "wavs" / f"{k}.wav", noise(k)) for k in range(5)]


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """The names of the files that are decoded, as it happens."""
    names: list[str] = []
    real = cache_store.decode

    def spy(path, **options):
        names.append(os.path.basename(path))
        return real(path, **options)

    monkeypatch.setattr(cache_store, "decode", spy)
    return names


def test_round_trip_in_the_order_given(clips, tmp_path):
    cached = open_cache(clips[::-1], tmp_path / "cache", ONE_SECOND, progress=True)
    assert cached.clips == tuple(clips[::-1]) and len(cached) == len(cached.waves) == 5
    assert cached.unreadable == ()
    for k in range(5):
        assert np.array_equal(cached.waves[k], noise(4 - k))
    got = cached.waves.gather([3, 0, 3])
    assert got.dtype == np.int16 and np.array_equal(got, np.stack([noise(k) for k in (1, 4, 1)]))
    assert cached.waves.gather(np.zeros(0, int)).shape == (0, 1000)
    with pytest.raises(IndexError):
        cached.waves.gather([5])


def test_waves_are_copies(clips, tmp_path):
    waves = open_cache(clips, tmp_path / "cache", ONE_SECOND).waves
    waves[0][:] = 0
    waves.gather([0])[:] = 0
    assert np.array_equal(waves[0], noise(0))


def test_pickle_leaves_the_map_behind(clips, tmp_path):
    waves = open_cache(clips, tmp_path / "cache", ONE_SECOND).waves
    waves.gather([0])
    data = pickle.dumps(waves)
    assert len(data) < 1000
    assert np.array_equal(pickle.loads(data)[4], noise(4))


def test_an_empty_table(tmp_path):
    cached = open_cache([], tmp_path / "cache", ONE_SECOND)
    assert len(cached) == 0 and cached.waves.gather(np.zeros(0, int)).shape == (0, 1000)


def test_only_new_and_changed_files_are_decoded(clips, tmp_path, write_wav, decoded):
    def opened(some: list[Clip], settings: WaveSettings = ONE_SECOND) -> list[str]:
        decoded.clear()
        cached = open_cache(some, tmp_path / "cache", settings)
        for k, clip in enumerate(cached.clips):
            expected = changed.get(clip.path, noise(int(pathlib.Path(clip.path).stem)))
            assert np.array_equal(cached.waves[k], expected)
        return sorted(decoded)

    changed: dict[str, np.ndarray] = {}
    assert opened(clips[:3]) == ["0.wav", "1.wav", "2.wav"]
    assert opened(clips[:3]) == []
    assert opened(clips) == ["3.wav", "4.wav"]
    changed[clips[1].path] = noise(77)
    write_wav(pathlib.Path(clips[1].path), noise(77))
    os.utime(clips[1].path, ns=(1, 1))  # as large as before, and older
    assert opened(clips[::-1]) == ["1.wav"]
    assert opened(clips) == []
    other = dataclasses.replace(ONE_SECOND, channel="mean")
    assert len(opened(clips, other)) == 5
    assert opened(clips) == opened(clips, other) == []


def test_relative_and_absolute_paths_share_the_cache(clips, tmp_path, monkeypatch, decoded):
    open_cache(clips, tmp_path / "cache", ONE_SECOND)
    monkeypatch.chdir(tmp_path)
    decoded.clear()
    relative = [dataclasses.replace(c, path=os.path.relpath(c.path)) for c in clips]
    assert open_cache(relative, "cache", ONE_SECOND).clips == tuple(relative)
    assert decoded == []


def test_unreadable_files_are_listed_not_raised(clips, tmp_path, write_wav, decoded):
    pathlib.Path(clips[1].path).write_bytes(b"")
    pathlib.Path(clips[3].path).unlink()
    for _ in range(2):
        cached = open_cache(clips, tmp_path / "cache", ONE_SECOND)
        assert cached.clips == (clips[0], clips[2], clips[4])
        assert np.array_equal(cached.waves[1], noise(2))
        reasons = dict(cached.unreadable)
        assert reasons.keys() == {clips[1].path, clips[3].path}
        assert reasons[clips[1].path] == "the file is empty"
        assert reasons[clips[3].path] == "there is no such file"
    write_wav(pathlib.Path(clips[1].path), noise(1))
    assert len(open_cache(clips, tmp_path / "cache", ONE_SECOND)) == 4


def test_short_clips_are_repeated(tmp_path, write_wav):
    clip = write_wav(tmp_path / "a.wav", noise(0, 300))
    wave = open_cache([clip], tmp_path / "cache", ONE_SECOND).waves[0]
    assert np.array_equal(wave, np.tile(noise(0, 300), 4)[:1000])


def test_long_clips_are_cut(tmp_path, write_wav):
    clip = write_wav(tmp_path / "a.wav", noise(0, 2500))
    cached = open_cache([clip], tmp_path / "cache", ONE_SECOND)
    assert cached.clips == (clip,)
    assert np.array_equal(cached.waves[0], noise(0, 2500)[:1000])


@pytest.mark.parametrize(
    ("samples", "hop", "starts"),
    [
        (2500, 0.0, [0.0, 1.0, 1.5]),
        (2000, 0.0, [0.0, 1.0]),
        (2000, 0.5, [0.0, 0.5, 1.0]),
        (3300, 2.0, [0.0, 2.0, 2.3]),
        (1090, 0.0, []),  # the rest is shorter than a tenth of a window
        (2090, 0.0, [0.0, 1.0]),
        (1000, 0.0, []),
        (400, 0.0, []),
    ],
)
def test_windows(tmp_path, write_wav, samples, hop, starts):
    clip = write_wav(tmp_path / "a.wav", noise(0, samples))
    settings = dataclasses.replace(ONE_SECOND, long="windows", hop_seconds=hop)
    cached = open_cache([clip], tmp_path / "cache", settings)
    if not starts:
        assert cached.clips == (clip,)
        return
    assert [c.start for c in cached.clips] == starts
    for k, window in enumerate(cached.clips):
        assert window == dataclasses.replace(clip, start=starts[k], windowed=True, seconds=1.0)
        first = round(1000 * starts[k])
        assert np.array_equal(cached.waves[k], noise(0, samples)[first : first + 1000])
    again = open_cache(cached.clips[::-1], tmp_path / "cache", settings)
    assert again.clips == cached.clips[::-1]
    assert np.array_equal(again.waves[0], cached.waves[len(starts) - 1])


def test_things_are_said_once_with_a_count(tmp_path, write_wav, caplog):
    waves = {8000: noise(0, 8000), 2000: noise(1, 2000)}
    clips = [
        write_wav(tmp_path / f"{rate}-{k}.wav", wave, rate)
        for rate, wave in waves.items()
        for k in range(3)
    ]
    clips.append(write_wav(tmp_path / "silent.wav", np.zeros(1000, np.int16)))
    clips.append(write_wav(tmp_path / "long.wav", noise(2, 1500)))
    open_cache(clips, tmp_path / "cache", ONE_SECOND)
    assert caplog.text.count("3 recordings, the first ") == 2
    assert caplog.text.count("it has another sample rate: ") == 2
    assert (
        "silent.wav: it is silent (" in caplog.text and "long.wav: it is cut to 1 s" in caplog.text
    )


def test_a_killed_build_goes_on_from_its_last_save(clips, tmp_path, monkeypatch, decoded):
    real = cache_store._decode_rows

    def killed_at_3(path, settings):
        if path == clips[3].path:
            raise KeyboardInterrupt
        return real(path, settings)

    monkeypatch.setattr(cache_store, "_decode_rows", killed_at_3)
    with pytest.raises(KeyboardInterrupt):
        open_cache(clips, tmp_path / "cache", ONE_SECOND)
    monkeypatch.setattr(cache_store, "_decode_rows", real)
    decoded.clear()
    cached = open_cache(clips, tmp_path / "cache", ONE_SECOND)
    assert sorted(decoded) == ["3.wav", "4.wav"]
    assert all(np.array_equal(cached.waves[k], noise(k)) for k in range(5))


def only_file(directory: pathlib.Path, name: str) -> pathlib.Path:
    (path,) = directory.rglob(name)
    return path


@pytest.mark.parametrize("damage", ["rows beyond the index", "index", "data", "version", "all"])
def test_damage_is_mended(clips, tmp_path, damage):
    directory = tmp_path / "cache"
    open_cache(clips[:2], directory, ONE_SECOND)
    index, data = only_file(directory, "index.json"), only_file(directory, "*.i16")
    if damage == "rows beyond the index":  # killed while it wrote
        with open(data, "ab") as file:
            file.write(b"x" * 777)
    elif damage == "index":
        index.write_text('{"version": 1, "fil')
    elif damage == "version":
        index.write_text(json.dumps({"version": 0, "data": {}, "files": {}}))
    elif damage == "data":
        os.truncate(data, 100)
    else:
        shutil.rmtree(directory)
    cached = open_cache(clips, directory, ONE_SECOND)
    assert all(np.array_equal(cached.waves[k], noise(k)) for k in range(5))
    assert {p.name for p in directory.rglob("*.i16")} > {data.name} or damage == "all"
    assert [p.name for p in directory.rglob("*.tmp")] == []


def test_a_new_build_does_not_disturb_who_has_it_open(clips, tmp_path):
    old = open_cache(clips, tmp_path / "cache", ONE_SECOND).waves
    assert np.array_equal(old[2], noise(2))
    only_file(tmp_path / "cache", "index.json").unlink()
    open_cache(clips[:1], tmp_path / "cache", ONE_SECOND)
    assert np.array_equal(old[4], noise(4))


OPEN = """
import sys
import numpy as np
from asd_jax.data.cache import WaveSettings, open_cache
from asd_jax.data.clips import Clip
clips = [Clip(p, "fan", "00", "train", 0) for p in sys.argv[2:]]
cached = open_cache(clips, sys.argv[1], WaveSettings(sample_rate=1000, clip_seconds=1.0))
print(int(cached.waves.gather(range(len(cached))).astype(int).sum()), len(cached))
"""


def test_processes_that_open_at_once(tmp_path, write_wav):
    paths = [write_wav(tmp_path / f"{k}.wav", noise(k)).path for k in range(60)]
    orders = (paths, paths[::-1], paths[30:] + paths[:30])
    running = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(tmp_path / "cache"), *order],
            stdout=subprocess.PIPE,
            text=True,
        )
        for order in orders
    ]
    results = {process.communicate(timeout=60)[0].strip() for process in running}
    assert results == {f"{sum(int(noise(k).astype(int).sum()) for k in range(60))} 60"}
    assert sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.i16")) == 60 * 2000


def test_who_waited_for_another_build_uses_it(clips, tmp_path, decoded):
    paths = [clip.path for clip in clips]
    first, second = (cache_store.Store(tmp_path / "cache", ONE_SECOND) for _ in range(2))
    first.update(paths[:4])
    second.update(paths[1:])
    assert sorted(decoded) == [f"{k}.wav" for k in range(5)]
    assert [second.entry(path).row for path in paths] == list(range(5))


def test_a_full_disk_is_noticed_before(clips, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match=r"needs 0\.1 GB in .*cache.*config\.data\.cache"):
        open_cache(clips, tmp_path / "cache", ONE_SECOND)


def test_a_cache_that_can_not_be_written(clips, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"can't be written.*config\.data\.cache"):
        open_cache(clips, tmp_path / "file", ONE_SECOND)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sample_rate": 0},
        {"clip_seconds": 0.0},
        {"long": "crop"},
        {"hop_seconds": -1.0},
        {"channel": "-1"},
        {"channel": "left"},
    ],
)
def test_settings_check_themselves(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        WaveSettings(**wrong)


def test_settings_are_kept_apart():
    changes = ({}, {"sample_rate": 8000}, {"clip_seconds": 2.0}, {"channel": "1"})
    changes += ({"channel": "mean"}, {"long": "windows"}, {"long": "windows", "hop_seconds": 5.0})
    assert len({WaveSettings(**change).folder for change in changes}) == len(changes)


def test_waves_open_where_they_are_used(tmp_path):
    waves = WaveCache(tmp_path / "not there", np.arange(3), 10)
    assert len(waves) == 3
    with pytest.raises(FileNotFoundError):
        waves.gather([0])


def test_unreadable_error_is_a_user_error():
    assert str(UnreadableError("a.wav", "it is bad")) == "a.wav: it is bad"


def test_real_recordings(real_recordings, tmp_path, caplog):
    clips = read_clips("folder", real_recordings / "bldc_motors")
    cached = open_cache(clips, tmp_path, WaveSettings())
    assert cached.unreadable == () and len(cached) == 36
    assert caplog.text.count("44100 Hz") == 1
    assert cached.waves.gather(range(36)).std(1).min() > 10
    windows = open_cache(clips, tmp_path, WaveSettings(clip_seconds=2.0, long="windows"))
    assert len(windows) > 5 * 36 and all(clip.windowed for clip in windows.clips)


def without_locks(monkeypatch):
    """As on network drives that have none."""
    monkeypatch.setattr(cache_store, "locked", lambda path: contextlib.nullcontext())


def test_builds_that_no_lock_keeps_apart_never_read_each_others_sound(clips, tmp_path, monkeypatch):
    without_locks(monkeypatch)
    open_cache(clips[:1], tmp_path / "cache", ONE_SECOND)  # both find what is there
    real, opened = cache_store._decode_rows, []

    def other_host_meanwhile(path, settings):
        monkeypatch.setattr(cache_store, "_decode_rows", real)
        opened.append(open_cache(clips[::-1], tmp_path / "cache", ONE_SECOND))
        return real(path, settings)

    monkeypatch.setattr(cache_store, "_decode_rows", other_host_meanwhile)
    opened.append(open_cache(clips, tmp_path / "cache", ONE_SECOND))
    opened.append(open_cache(clips[2:], tmp_path / "cache", ONE_SECOND))  # a later run
    for cached in opened:
        for clip, wave in zip(cached.clips, cached.waves.gather(range(len(cached))), strict=True):
            assert np.array_equal(wave, noise(int(pathlib.Path(clip.path).stem)))


def test_files_of_builds_that_came_to_nothing_go_in_time(clips, tmp_path):
    open_cache(clips[:1], tmp_path / "cache", ONE_SECOND)
    (folder,) = (tmp_path / "cache").iterdir()
    old, new = folder / "waves.i16", folder / "abc.i16"
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (1, 1))
    open_cache(clips, tmp_path / "cache", ONE_SECOND)
    assert not old.exists() and new.exists() and len(list(folder.glob("*.i16"))) == 3


def test_a_file_that_can_not_be_decoded_leaves_no_data_file(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"no sound")
    clip = Clip(str(tmp_path / "a.wav"), "fan", "00", "train", 0)
    assert len(open_cache([clip], tmp_path / "cache", ONE_SECOND)) == 0
    assert list((tmp_path / "cache").rglob("*.i16")) == []


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "the disk is full, 67 MB needed, .* free"),
        (errno.EFBIG, "the file is too long, 67 MB needed"),
        (errno.EROFS, "Read-only file system"),
        (errno.ENOENT, "No such file"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_whatever_keeps_it_from_being_written_is_one_sentence(
    clips, tmp_path, monkeypatch, number, said
):
    def fails(*arguments, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(cache_store.os, "fsync", fails)
    with pytest.raises(WriteError, match=f"can't be written .{said}.*config.data.cache"):
        open_cache(clips, tmp_path / "cache", ONE_SECOND)
    monkeypatch.undo()
    assert len(open_cache(clips, tmp_path / "cache", ONE_SECOND)) == 5
    assert list((tmp_path / "cache").rglob("*.tmp")) == []


def test_a_file_of_holes_is_left_out_and_needs_no_room(tmp_path):
    whole = odd.wav(noise(0))
    (tmp_path / "a.wav").write_bytes(whole)
    with open(tmp_path / "holes.wav", "wb") as file:
        file.write(odd.wav(noise(1), size=0xFFFFFFFF, outer=0xFFFFFFFF))
        file.truncate(2**42)
    clips = [Clip(str(tmp_path / name), "m", "00", "train", 0) for name in ("a.wav", "holes.wav")]
    settings = WaveSettings(sample_rate=16000, clip_seconds=1.0, long="windows")
    opened = open_cache(clips, tmp_path / "cache", settings)
    assert [clip.path for clip in opened.clips] == [clips[0].path]
    ((path, reason),) = opened.unreadable
    assert path == clips[1].path and "longer than 48 h" in reason


def test_a_window_that_a_recording_does_not_have_is_named(tmp_path):
    (tmp_path / "a.wav").write_bytes(odd.wav(noise(0), rate=1000))
    clip = Clip(str(tmp_path / "a.wav"), "m", "00", "train", 0)
    gone = dataclasses.replace(clip, start=5.0, windowed=True, seconds=1.0)
    opened = open_cache([gone], tmp_path / "cache", ONE_SECOND)
    assert not opened.clips and opened.unreadable == ((clip.path, "it has no window at 5 s"),)
