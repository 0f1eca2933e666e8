"""The detector in scikit-learn's manner, on tiny networks."""

import dataclasses
import doctest
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from sklearn.base import clone

from asd_jax import AnomalousSoundDetector, estimator
from asd_jax.errors import UserError
from asd_jax.recipes.ensemble import networks
from asd_jax.recipes.ensemble.settings import Ensemble
from asd_jax.runs import recipe as runs
from asd_jax.runs.settings import from_config
from tests.live import machine
from tests.recipes import tiny
from tests.runs.test_settings import get_config

TINY = {
    "data": {"clip_seconds": 1.0},
    "features": {"n_mels": 32, "n_fft": 512, "hop_length": 256},
    "scoring": {"bootstrap": 20},
} | {s: {"epochs": 0.5, "batch_size": 4} for s in ("pretrain", "finetune", "temporal", "fusion")}


@pytest.fixture
def fitted():
    found = AnomalousSoundDetector(TINY, scoring__false_alarm_rate=0.1)
    found.detector_ = machine.detector()
    return found


@pytest.mark.slow
def test_fit_trains_and_its_detector_tells_noise_from_the_machine(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(networks, "build", tiny.build)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    waves = np.stack([machine.hum(seed=seed) for seed in range(12)])
    found = AnomalousSoundDetector(TINY, scoring__false_alarm_rate=0.1).fit(waves)
    assert capsys.readouterr().out == ""
    noise = np.random.default_rng(0).normal(0, 4000, 16000).astype(np.int16)
    healthy, broken = found.decision_function([machine.hum(seed=50), noise])
    assert broken < healthy and found.predict([noise]).tolist() == [-1]


def test_fit_trains_on_a_folder_or_on_recordings_made_one(tmp_path, monkeypatch):
    seen = []

    def run(values, workdir):
        root = pathlib.Path(values["data"]["root"])
        found = {p.name: soundfile.read(p) for p in sorted(root.rglob("*.wav"))}
        seen.append((values, root, found))
        machine.detector().save(f"{workdir}/detector")

    monkeypatch.setattr(runs, "run", run)
    wave = machine.hum()
    soundfile.write(tmp_path / "one.wav", wave, 16000)
    for given in (tmp_path, [tmp_path / "one.wav", wave], np.stack([wave, wave]) / 32768):
        found = AnomalousSoundDetector(TINY, seed=3).fit(given)
        assert found.predict([wave]).tolist() == [1]
    (values, folder, _), (_, _, both), (_, made, floats) = seen
    assert values["seed"] == 3 and values["data"]["clip_seconds"] == 1.0
    assert values["data"]["layout"] == "folder" and values["data"]["long"] == "windows"
    assert folder == tmp_path and not made.exists()
    assert list(both) == ["000000_one.wav", "000001.wav"]
    for sound, rate in (*both.values(), *floats.values()):
        assert rate == 16000 and np.array_equal(sound * 32768, wave)
    kept = tmp_path / "run"
    AnomalousSoundDetector(TINY, workdir=kept).fit([wave])
    assert (kept / "detector" / "detector.json").exists()


def test_scores_arrays_and_paths_and_is_saved(fitted, tmp_path):
    healthy = machine.hum(seed=50)
    broken = np.random.default_rng(0).normal(0, 4000, 16000).astype(np.int16)
    scores = fitted.score_samples(np.stack([healthy, broken]))
    assert scores.shape == (2,) and scores[1] < scores[0]
    margin = fitted.decision_function([healthy, broken / 32768.0])
    assert margin[1] < 0 and np.isclose(margin[0] - margin[1], scores[0] - scores[1], rtol=1e-4)
    assert fitted.predict([broken]).tolist() == [-1]
    assert fitted.score([healthy, broken], [1, -1]) == 1.0
    assert fitted.score([healthy, broken]) == 0.5
    for name, wave in (("b", broken), ("a", healthy)):
        soundfile.write(tmp_path / f"{name}.wav", wave, 16000)
    np.testing.assert_allclose(fitted.score_samples(tmp_path), scores, rtol=1e-4, atol=1e-3)
    found = fitted.score_samples([tmp_path / "b.wav", str(tmp_path / "a.wav")])
    np.testing.assert_allclose(found, scores[::-1], rtol=1e-4, atol=1e-3)
    long = np.concatenate([healthy, broken, healthy])
    np.testing.assert_allclose(fitted.score_samples([long]), scores[1:], rtol=1e-4, atol=1e-3)
    fitted.save(tmp_path / "detector")
    again = AnomalousSoundDetector.load(tmp_path / "detector")
    np.testing.assert_allclose(again.score_samples([healthy]), scores[:1], rtol=1e-4, atol=1e-3)


def test_a_clip_scores_the_same_as_path_and_as_array(fitted, tmp_path):
    sound = np.random.default_rng(1).normal(0, 2000, 44100).astype(np.int16)
    soundfile.write(tmp_path / "x.wav", sound, 44100)
    fitted.set_params(sample_rate=44100)
    (there,) = fitted.score_samples([tmp_path / "x.wav"])
    assert fitted.score_samples([sound]) == there == fitted.score_samples([sound / 32768])
    fitted.set_params(sample_rate=None)
    assert fitted.score_samples([sound]) != there


def test_a_path_names_no_machine_that_an_array_could_not(fitted, tmp_path):
    """A detector of two machines: `machine` says which, of paths and arrays alike."""
    one = fitted.detector_
    twice = {n: np.tile(getattr(one.ensemble, n), (2, 1)) for n in ("mean", "std", "mixing")}
    groups = (*one.groups, ("hum", "b"))
    fitted.detector_ = dataclasses.replace(
        one,
        groups=groups,
        scorers={name: [*found, *found] for name, found in one.scorers.items()},
        ensemble=dataclasses.replace(one.ensemble, groups=groups, **twice),
        thresholds=np.r_[one.thresholds, one.thresholds + 5],
        normal_scores=one.normal_scores * 2,
        frame_mean=np.tile(one.frame_mean, (2, 1)),
        frame_std=np.tile(one.frame_std, (2, 1)),
    )
    path, wave = tmp_path / "hum" / "id_a" / "x.wav", machine.hum(seed=50)
    path.parent.mkdir(parents=True)
    soundfile.write(path, wave, 16000)
    assert fitted.decision_function([path]) == fitted.decision_function([wave])
    free = fitted.decision_function([wave])
    fitted.set_params(machine="hum/a")
    assert fitted.decision_function([path]) == fitted.decision_function([wave])
    np.testing.assert_allclose(fitted.decision_function([wave]), free - 5, rtol=1e-4)
    with pytest.raises(UserError, match="hum/c is not known"):
        fitted.set_params(machine="hum/c").predict([wave])


def test_pickles_what_it_has_learned(fitted):
    again = pickle.loads(pickle.dumps(fitted))
    wave = machine.hum(seed=50)
    assert again.get_params() == fitted.get_params()
    np.testing.assert_array_equal(again.score_samples([wave]), fitted.score_samples([wave]))
    assert not hasattr(pickle.loads(pickle.dumps(AnomalousSoundDetector())), "detector_")


def settings_of(detector):
    return from_config(Ensemble, detector._values(""))


def test_clones_with_its_parameters_and_without_what_it_learned(fitted):
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params() and "scoring__false_alarm_rate" in repr(copy)
    with pytest.raises(UserError, match="call fit"):
        copy.predict([machine.hum()])
    copy.set_params(scoring__false_alarm_rate=0.2, verbose=True)
    assert copy.get_params()["verbose"] and fitted.get_params()["verbose"] is False
    assert settings_of(copy).scoring.false_alarm_rate == 0.2
    assert settings_of(fitted).scoring.false_alarm_rate == 0.1


def test_the_default_is_the_config_for_own_recordings():
    own = from_config(Ensemble, get_config("ensemble", "folder").to_dict())
    assert settings_of(AnomalousSoundDetector()) == own


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"pretrain__epoch": 1.0}, r"config.pretrain.epoch is not a field"),
        ({"seed__a": 1}, "config.seed.a is not a field"),
        ({"nothing": 1}, "config.nothing is not a field"),
    ],
)
def test_a_wrong_setting_is_named(overrides, said):
    with pytest.raises(UserError, match=said):
        AnomalousSoundDetector(**overrides)
    with pytest.raises(ValueError, match=said):
        AnomalousSoundDetector().set_params(**overrides)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "there is no recording"),
        (["nowhere.wav"], "nowhere.wav does not exist"),
        ([np.zeros((2, 3), np.int16)], "must be \\[samples\\]"),
        ([np.full(9, 5.0)], "waveform 0: its floating-point samples reach 5"),
        ([np.full(9, 5)], "int16, or floats of full scale 1, not int64"),
        (np.full(9, 0.5), "Expected 2D array"),
        ([np.full(9, np.nan)], "NaN or inf"),
    ],
)
def test_what_is_no_recording_is_refused(given, said):
    found = AnomalousSoundDetector()
    found.detector_ = machine.detector()
    with pytest.raises((UserError, ValueError), match=said):
        found.predict(given)


def test_importing_the_package_stays_light():
    text = (
        "import asd_jax, sys; print([m for m in ('jax', 'numpy', 'sklearn') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert told.stdout.strip() == "[]"


def test_the_docstrings_example_runs():
    assert doctest.testmod(estimator).failed == 0


def test_what_cannot_be_scored_is_unknown_and_the_others_are_scored(tmp_path, fitted, caplog):
    soundfile.write(tmp_path / "dead.wav", np.zeros(16000), 16000)
    soundfile.write(tmp_path / "good.wav", machine.hum(3.0), 16000)
    (tmp_path / "text.wav").write_text("no sound at all")
    paths = [str(tmp_path / name) for name in ("dead.wav", "text.wav", "good.wav")]
    scores = fitted.score_samples(paths)
    assert np.isnan(scores[:2]).all() and np.isfinite(scores[2])
    assert fitted.predict(paths)[:2].tolist() == [0, 0] and fitted.predict(paths)[2] in (1, -1)
    assert "dead.wav" in caplog.text and "text.wav" in caplog.text
    assert np.isnan(fitted.score_samples([np.zeros(16000), machine.hum()[:500]])).all()
    late = machine.with_tone(machine.hum(9.0), start=8.0, end=9.0, hertz=2500, height=4000)
    assert fitted.predict([late]).tolist() == [-1]


def test_what_may_mislead_is_said_once_for_all_recordings(fitted, caplog):
    quiet = np.rint(machine.hum() / 64).astype(np.int16)
    fitted.predict([machine.hum(), quiet, quiet])
    (said,) = [r.getMessage() for r in caplog.records if "mislead" in r.getMessage()]
    assert said.startswith("2 scores may mislead, the first of waveform 1: it is much louder")
