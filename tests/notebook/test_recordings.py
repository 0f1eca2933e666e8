"""Where a notebook's recordings come from, and what it shows of them."""

import base64
import io
import itertools
import pathlib
import sys
import types
import zipfile

import numpy as np
import pytest
import soundfile

from asd_jax.data.clips import read_clips
from asd_jax.errors import UserError
from asd_jax.notebook import colab, command, recordings, show

RATE = 16000


def wav(seconds=0.5, rate=RATE, level=0.1):
    file = io.BytesIO()
    sound = level * np.random.default_rng(0).standard_normal(int(seconds * rate))
    soundfile.write(file, sound, rate, subtype="PCM_16", format="WAV")
    return file.getvalue()


@pytest.fixture
def fake_colab(monkeypatch):
    """`google.colab` with modules whose functions a test sets."""
    package = types.ModuleType("google.colab")
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", package)
    for name in ("drive", "files", "output"):
        module = types.ModuleType(f"google.colab.{name}")
        monkeypatch.setitem(sys.modules, f"google.colab.{name}", module)
        setattr(package, name, module)
    return package


def test_the_example_is_laid_out_as_a_user_would_and_kept(tmp_path):
    folder = recordings.collect("example", tmp_path / "mine", clips=3, seconds=1.0)
    clips = read_clips("folder", folder)
    counts = {}
    for clip in clips:
        key = (clip.machine_type, clip.split, clip.label)
        counts[key] = counts.get(key, 0) + 1
    assert counts == {
        (kind, *key): number
        for kind in ("fan", "pump")
        for key, number in {("train", 0): 3, ("test", 0): 8, ("test", 1): 8}.items()
    }
    new = recordings.further("example", folder)
    assert len(list(new.iterdir())) == 8 and new.parent == folder.parent
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "mine_new"]
    first = folder / "fan/train/normal"
    before = [path.stat().st_mtime_ns for path in first.iterdir()]
    recordings.collect("example", folder, clips=3, seconds=1.0)
    assert [path.stat().st_mtime_ns for path in first.iterdir()] == before
    assert "| fan | to learn from | healthy | 3 | 0.1 |" in recordings.overview(folder)
    heard = [show.name(path) for path in recordings.some(folder)]
    assert len(heard) == 4 and heard[0].endswith("fan/train/normal/00000010.wav")


def test_a_folder_is_taken_as_it_is(tmp_path):
    assert recordings.collect(str(tmp_path), tmp_path / "unused") == tmp_path
    assert recordings.further(str(tmp_path), tmp_path / "unused") == tmp_path
    for source in ("", str(tmp_path / "nowhere")):
        with pytest.raises(
            UserError, match="is not a folder; give one that is there, or one of exam"
        ):
            recordings.collect(source, tmp_path)


@pytest.mark.parametrize("source", ["upload", "record"])
def test_outside_colab_a_folder_is_asked_for(tmp_path, source):
    with pytest.raises(UserError, match=r"only Colab can .*name a folder"):
        recordings.collect(source, tmp_path / "x")


def test_uploads_and_zips_of_them_land_in_the_folder(tmp_path, fake_colab):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("pump/b.wav", wav())
        archive.writestr("../../out.wav", wav())
    chosen = {"a.wav": wav(), "more.zip": packed.getvalue()}
    fake_colab.files.upload = lambda: chosen
    folder = recordings.collect("upload", tmp_path / "in" / "mine")
    found = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*"))
    assert found == ["in/mine/a.wav", "in/mine/out.wav", "in/mine/pump/b.wav"]
    fake_colab.files.upload = dict
    with pytest.raises(UserError, match="no file was chosen"):
        recordings.collect("upload", folder)


def test_takes_of_the_microphone_are_numbered_on(tmp_path, fake_colab, capsys):
    asked = []

    def eval_js(script):
        asked.append(script)
        return base64.b64encode(wav(rate=48000)).decode()

    fake_colab.output.eval_js = eval_js
    folder = recordings.collect("record", tmp_path / "mine", clips=2, seconds=0.5)
    new = recordings.further("record", folder, seconds=0.5)
    recordings.collect("record", folder, clips=1, seconds=0.5)
    assert asked[1] == 'recordWav(0.5, "take 2 of 2")'
    assert sorted(p.name for p in folder.iterdir()) == [f"take_00{k}.wav" for k in range(3)]
    assert [p.name for p in new.iterdir()] == ["take_000.wav"]
    assert soundfile.info(folder / "take_000.wav").samplerate == 48000
    fake_colab.output.eval_js = lambda _: "error:Permission denied"
    with pytest.raises(UserError, match=r"the browser does not record \(Permission denied\)"):
        recordings.collect("record", folder, clips=1)


def test_what_shall_last_goes_to_the_drive_on_colab(tmp_path, fake_colab, monkeypatch):
    monkeypatch.setattr(colab, "DRIVE", tmp_path / "drive")
    mounted = []
    fake_colab.drive.mount = lambda where: (
        mounted.append(where),
        (tmp_path / "drive" / "MyDrive").mkdir(parents=True),
    )
    for _ in range(2):
        assert colab.lasting_folder("asd") == tmp_path / "drive" / "MyDrive" / "asd"
    assert mounted == [str(tmp_path / "drive")]
    assert colab.lasting_folder(str(tmp_path / "own")) == tmp_path / "own"
    handed = []
    fake_colab.files.download = handed.append
    (tmp_path / "x.zip").write_bytes(b"1")
    colab.hand_over(tmp_path / "x.zip")
    assert handed == [str(tmp_path / "x.zip")]


def test_elsewhere_it_stays_in_the_folder_that_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert colab.lasting_folder("runs") == pathlib.Path("runs") and (tmp_path / "runs").is_dir()
    (tmp_path / "x.zip").write_bytes(bytes(1_500_000))
    colab.hand_over("x.zip")
    assert capsys.readouterr().out == "x.zip, 1.5 MB\n"


def test_a_spectrogram_shows_a_tone_where_it_is():
    times = np.arange(RATE) / RATE
    quiet = (100 * np.sin(2 * np.pi * 2000 * times)).astype(np.int16)
    figure = show.spectrograms([quiet, 10 * quiet, quiet], ["a", "<b>", "c"], across=2)
    panels = [axes for axes in figure.axes if axes.images and axes.get_title()]
    assert [axes.get_title() for axes in panels] == ["a", "<b>", "c"]
    levels = [axes.images[0].get_array() for axes in panels]
    ticks = dict(zip((250, 500, 1000, 2000, 4000, 8000), panels[0].get_yticks(), strict=True))
    assert all(abs(int(level.mean(1).argmax()) - ticks[2000]) <= 1 for level in levels)
    assert levels[1].max() - levels[0].max() == pytest.approx(20, abs=0.1)  # dB, on one scale
    assert len({axes.images[0].get_clim() for axes in panels}) == 1


def test_a_long_title_keeps_its_end_and_its_place():
    long = "/".join(["a_long_folder"] * 6) + "/1.wav"
    figure = show.spectrograms([np.zeros(16000, np.int16)] * 4, [long] * 4)
    figure.draw_without_rendering()
    boxes = [axes.title.get_window_extent() for axes in figure.axes[:4]]
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))
    assert figure.axes[0].get_title().endswith("/1.wav")


def test_listening_plays_at_the_level_of_the_recording(tmp_path, monkeypatch):
    import IPython.display

    (tmp_path / "a&b.wav").write_bytes(wav(1.0, level=0.01))
    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda *things: shown.extend(things))
    picture = show.listen([str(tmp_path / "a&b.wav")], seconds=0.5)
    assert picture.data.startswith(b"\x89PNG")
    title, player = shown
    assert "a&amp;b.wav" in title.data
    played, rate = soundfile.read(io.BytesIO(player.data))
    assert rate == RATE and len(played) == RATE / 2
    assert np.sqrt(np.mean(played**2)) == pytest.approx(0.01, rel=0.05)


def test_a_command_that_fails_ends_the_notebook(tmp_path, capsys):
    assert command.run("asd_jax.fetch", f"--check={tmp_path}", "", allowed=(1,)) == 1
    assert "has no fetch.json" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"asd_jax\.fetch ended with status 2"):
        command.run("asd_jax.fetch", "nothing")
    assert "error: give one data set" in capsys.readouterr().out
