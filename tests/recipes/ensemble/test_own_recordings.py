"""A folder as an engineer has it: formats, rates and lengths mixed, read with the folder's preset.

Each recording is a tone of its own, so that a row says which recording it came from.
"""

import importlib.util
import pathlib

import numpy as np
import pytest
import soundfile

from asd_jax.recipes.ensemble import clips as corpus
from asd_jax.recipes.ensemble import settings
from asd_jax.runs.settings import from_config

CONFIG = pathlib.Path(__file__).resolve().parents[3] / "configs" / "ensemble.py"
# Of each recording: seconds, sample rate in Hz, pitch in Hz. The last is a long one.
RECORDINGS = {
    "pump/train/normal/monday.wav": (10.0, 16000, 400),
    "pump/train/normal/2024/tuesday.flac": (10.0, 44100, 600),
    "pump/train/normal/2024/Wednesday.OGG": (12.5, 48000, 800),
    "fan/train/thursday.mp3": (10.0, 22050, 1000),
    "fan/train/friday.wav": (4.0, 8000, 1200),
    "fan/train/weekend.flac": (75.0, 16000, 1400),
}
# 12.5 s: the last window ends with the recording; 75 s: seven and what is left.
STARTS = {"Wednesday.OGG": [0.0, 2.5], "weekend.flac": [0.0, 10, 20, 30, 40, 50, 60, 65]}


@pytest.fixture(scope="module")
def folder_config(tmp_path_factory):
    """`configs/ensemble.py:folder` on such a folder, a text file among the recordings."""
    if "MP3" not in soundfile.available_formats():
        pytest.skip("this libsndfile has no mp3")
    root = tmp_path_factory.mktemp("own")
    for name, (seconds, rate, hertz) in RECORDINGS.items():
        time = np.arange(round(seconds * rate)) / rate
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.3 * np.sin(2 * np.pi * hertz * time), rate)
    (root / "pump/train/notes.txt").write_text("bearing changed in May")
    spec = importlib.util.spec_from_file_location("ensemble_config", CONFIG)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config("folder")
    config.data.root = str(root)
    config.data.cache = str(tmp_path_factory.mktemp("waves"))
    return from_config(settings.Ensemble, config.to_dict())


def test_every_format_and_length_becomes_rows(folder_config):
    loaded = corpus.load(folder_config, progress=False)
    assert loaded.groups == (("fan", "00"), ("pump", "00"))
    rows = {}
    for number, clip in enumerate(loaded.clips):
        rows.setdefault(clip.path.removeprefix(f"{folder_config.data.root}/"), []).append(number)
    assert rows.keys() == RECORDINGS.keys()
    for name, own in rows.items():
        starts = [loaded.clips[number].start for number in own]
        assert starts == STARTS.get(pathlib.Path(name).name, [0.0])
        for number in own:
            wave = loaded.waves[number]
            assert wave.dtype == np.int16 and wave.shape == (160000,)
            hertz = np.abs(np.fft.rfft(wave.astype(float))).argmax() / 10
            assert abs(hertz - RECORDINGS[name][2]) <= 0.5
            assert abs(np.abs(wave.astype(float)).mean() - 0.3 * 32768 * 2 / np.pi) < 300
        machine = loaded.clips[own[0]].group[0]
        assert machine == name.split("/")[0]


def test_all_are_learned_from_and_a_recordings_windows_stay_together(folder_config):
    loaded = corpus.load(folder_config, progress=False)
    assert len(loaded.test) == 0 and len(loaded.training) == len(loaded.clips) == 14
    fit = {loaded.clips[number].path for number in loaded.fit}
    held = {loaded.clips[number].path for number in loaded.held_out}
    assert fit and held and not fit & held
    assert any("clips" in note for note in loaded.notes)  # so few: it says so
