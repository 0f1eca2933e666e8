"""Data that contradict themselves are refused with names; what is not a sound is left out."""

import shutil

import numpy as np
import pytest
import soundfile

from asd_jax.data.cache import WaveSettings, open_cache
from asd_jax.data.clips import read_clips
from asd_jax.data.screening import audible, screen
from asd_jax.errors import UserError
from tests.data import odd
from tests.data.odd import RATE, sound


def put(root, **folders):
    """Recordings of these seeds, `pump__train__normal=[0, 1]`."""
    for folder, seeds in folders.items():
        for seed in seeds:
            odd.written(root.joinpath(*folder.split("__")) / f"{seed}.wav", sound(seed=seed))
    return root


def screened(root, tmp_path, **options):
    settings = WaveSettings(clip_seconds=1.0, **options)

    def use(found):
        return screen(found, open_cache(found, tmp_path / "cache", settings))

    return read_clips("folder", root, screen=use)


@pytest.fixture
def root(tmp_path):
    return put(tmp_path / "data", pump__train__normal=range(6), pump__test__normal=[10])


@pytest.mark.parametrize("suffix", ["wav", "flac"])
@pytest.mark.parametrize(
    ("folder", "what"),
    [
        ("pump/test/normal", "in both the training and the test"),
        ("pump/test/abnormal", "in both normal and abnormal"),
    ],
)
def test_the_same_sound_on_both_sides_is_refused_by_name(root, tmp_path, folder, what, suffix):
    copy = root / folder / f"copy.{suffix}"
    copy.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(copy, sound(seed=3), RATE)
    with pytest.raises(UserError, match=what) as error:
        screened(root, tmp_path)
    assert str(copy) in str(error.value) and "3.wav" in str(error.value)


def test_copies_in_the_training_count_once(root, tmp_path, caplog):
    shutil.copy(root / "pump/train/normal/2.wav", root / "pump/train/normal/2 (copy).wav")
    found = [c for c in screened(root, tmp_path) if c.split == "train"]
    assert len(found) == 6
    assert "1 recordings, the first" in caplog.text and "counts once" in caplog.text


def test_copies_do_not_cross_a_drawn_split(tmp_path):
    root = put(tmp_path / "data", pump__normal=range(8), pump__abnormal=range(20, 24))
    shutil.copy(root / "pump/normal/0.wav", root / "pump/normal/7b.wav")
    found = screened(root, tmp_path)
    assert sorted(c.split for c in found if not c.label) == ["test"] * 4 + ["train"] * 4


def test_the_same_sound_of_other_machines_is_no_contradiction(root, tmp_path):
    put(root, fan__train__normal=range(6))
    assert len(screened(root, tmp_path)) == 13


def test_equal_starts_are_not_equal_sound(root, tmp_path):
    longer = np.concatenate([sound(seed=3), sound(seed=99)])
    soundfile.write(root / "pump/test/normal/longer.wav", longer, RATE)
    assert len(screened(root, tmp_path, long="windows")) == 8


def test_what_is_no_sound_is_left_out(root, tmp_path, caplog):
    for name, samples in (("dead", np.zeros(RATE)), ("dc", np.full(RATE, 0.3)), ("tick", [0.1])):
        soundfile.write(root / f"pump/train/normal/{name}.wav", samples, RATE)
    assert len(screened(root, tmp_path)) == 7
    assert "3 of 10 recordings hold no sound" in caplog.text


def test_mostly_silent_data_are_an_error_that_says_so(root, tmp_path):
    for k in range(8):
        soundfile.write(root / f"pump/train/normal/dead{k}.wav", np.zeros(RATE), RATE)
    with pytest.raises(UserError, match=r"8 of 15 recordings hold no sound.*microphone alive"):
        screened(root, tmp_path)


def test_pauses_of_a_long_recording_are_left_out(tmp_path):
    root = tmp_path / "data"
    long = np.concatenate([sound(2.0), np.zeros(3 * RATE, np.int16), sound(1.0, 5)])
    odd.written(root / "train/normal/a.wav", long)
    settings = WaveSettings(clip_seconds=1.0, long="windows")
    for _ in range(2):  # decoded, and found in the cache
        opened = open_cache(read_clips("folder", root), tmp_path / "cache", settings)
        assert [c.quality for c in opened.clips] == ["", "", "silent", "silent", "silent", ""]
        kept = audible(opened)
        assert [c.start for c in kept.clips] == [0.0, 1.0, 5.0]
        np.testing.assert_array_equal(kept.waves[2], sound(1.0, 5))


def test_large_recordings_become_the_same_rows(tmp_path, monkeypatch):
    from asd_jax.data import cache_store, decode

    odd.written(tmp_path / "data/train/normal/a.wav", sound(7.3))
    clips = read_clips("folder", tmp_path / "data")
    settings = WaveSettings(clip_seconds=1.0, long="windows", hop_seconds=0.7)
    small = open_cache(clips, tmp_path / "one", settings)
    monkeypatch.setattr(cache_store, "_LARGE", 0)
    monkeypatch.setattr(decode, "_BLOCK", 3000)
    large = open_cache(clips, tmp_path / "two", settings)
    assert large.clips == small.clips and large.digests == small.digests
    every = range(len(small))
    np.testing.assert_array_equal(large.waves.gather(every), small.waves.gather(every))
