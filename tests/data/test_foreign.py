"""Recordings that need ffmpeg: decoded where it is, else counted with the way to convert them."""

import os
import stat
import sys

import numpy as np
import pytest

from asd_jax.data import foreign
from asd_jax.data.clips import read_clips
from asd_jax.data.decode import UnreadableError, read_wave
from asd_jax.errors import UserError
from asd_jax.live.watcher import Watcher
from tests.data import odd

FAKE = """#!{python}
import sys
assert sys.argv[sys.argv.index("-f") + 1] in ("mov", "aac", "amr", "matroska", "asf", "caf")
given = sys.argv[sys.argv.index("-i") + 1]
assert given.startswith("file:")
data = open(given[5:], "rb").read()
if data == b"bad":
    sys.exit("[mov @ 0x1] moov atom not found")
open(sys.argv[-1], "wb").write(data.removeprefix(b"phone"))
"""


@pytest.fixture
def with_ffmpeg(tmp_path, monkeypatch):
    """A program that takes the arguments of ffmpeg and unwraps a Wave64 file."""
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(FAKE.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(foreign, "ffmpeg", lambda: str(program))


def test_a_phones_video_and_other_names_of_wav_are_recordings(tmp_path, with_ffmpeg):
    wave = bytes(odd.written(tmp_path / "a.wave", odd.sound(), format="WAV"))
    w64 = bytes(odd.written(tmp_path / "x.w64", odd.sound(), format="W64"))
    (tmp_path / "b.BWF").write_bytes(wave)
    for name in ("c.3gp", "d.MP4", "e.mov", "f.mkv", "g.m4b", "h.awb"):
        (tmp_path / name).write_bytes(b"phone" + w64)
    found = [clip.path for clip in read_clips("folder", tmp_path)]
    assert len(found) == 9
    for path in found:
        np.testing.assert_array_equal(read_wave(path), odd.sound())


def test_encodings_that_libsndfile_does_not_know_in_containers_that_it_does(tmp_path, with_ffmpeg):
    w64 = bytes(odd.written(tmp_path / "x.w64", odd.sound(), format="W64"))
    (tmp_path / "a.caf").write_bytes(b"phone" + w64)
    np.testing.assert_array_equal(read_wave(tmp_path / "a.caf"), odd.sound())
    (tmp_path / "b.caf").write_bytes(b"bad")
    with pytest.raises(UnreadableError, match="Format not recognised"):
        read_wave(tmp_path / "b.caf")


@pytest.fixture
def without_ffmpeg(monkeypatch):
    monkeypatch.setattr(foreign, "ffmpeg", lambda: None)


def test_ffmpeg_decodes_where_it_is(tmp_path, with_ffmpeg):
    path = tmp_path / "a b.m4a"
    path.write_bytes(b"bad")
    with pytest.raises(UnreadableError, match=r"moov atom not found") as error:
        read_wave(path)
    assert error.value.path == str(path)
    data = bytes(odd.written(tmp_path / "x.w64", odd.sound(), format="W64"))
    (tmp_path / "x.w64").unlink()
    path.write_bytes(b"phone" + data)
    np.testing.assert_array_equal(read_wave(path), odd.sound())
    assert [os.path.basename(c.path) for c in read_clips("folder", tmp_path)] == ["a b.m4a"]


def test_without_ffmpeg_they_are_counted_in_one_warning(tmp_path, without_ffmpeg, caplog):
    odd.written(tmp_path / "a.wav", odd.sound())
    for name in ("b.m4a", "c.m4a", "d.WMA"):
        (tmp_path / name).write_bytes(b"x")
    assert len(read_clips("folder", tmp_path)) == 1
    (said,) = [
        record.getMessage() for record in caplog.records if "need ffmpeg" in record.getMessage()
    ]
    assert "2 .m4a, 1 .wma" in said and "ffmpeg -i FILE.m4a FILE.wav" in said
    with pytest.raises(UnreadableError, match=r"ffmpeg -i FILE\.m4a FILE\.wav"):
        read_wave(tmp_path / "b.m4a")
    (tmp_path / "a.wav").unlink()
    with pytest.raises(UserError, match="need ffmpeg"):
        read_clips("folder", tmp_path)


def test_a_watched_folder_says_it_once(tmp_path, without_ffmpeg, caplog):
    watcher = Watcher(str(tmp_path), settle=0.0)
    assert watcher.ready() == [] and "ffmpeg" not in caplog.text
    (tmp_path / "a.aac").write_bytes(b"x")
    assert watcher.ready() == watcher.ready() == []
    assert caplog.text.count("1 .aac") == 1


@pytest.mark.parametrize("kind", ["AIFF", "CAF", "AU", "W64"])
def test_what_libsndfile_reads_is_found_by_its_ending(tmp_path, kind):
    for ending in {"AIFF": ["aif", "aiff"]}.get(kind, [kind.lower()]):
        odd.written(tmp_path / f"a.{ending}", odd.sound(), format=kind)
        assert f"a.{ending}" in {os.path.basename(c.path) for c in read_clips("folder", tmp_path)}


def test_real_ffmpeg(tmp_path):
    import subprocess

    if not (program := foreign.ffmpeg()):
        pytest.skip("no ffmpeg here")
    odd.written(tmp_path / "a.wav", odd.sound())
    call = [program, "-v", "error", "-i", tmp_path / "a.wav", tmp_path / "a.m4a"]
    subprocess.run(call, check=True)
    assert abs(len(read_wave(tmp_path / "a.m4a")) - odd.RATE) < 0.2 * odd.RATE
