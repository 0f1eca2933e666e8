"""What the networks learn to tell apart; scorers and thresholds stay one a machine."""

import dataclasses
import json

import numpy as np
import pytest
import soundfile

from asd_jax.errors import UserError
from asd_jax.recipes.ensemble import clips as corpus
from asd_jax.recipes.ensemble import networks, settings, stages
from asd_jax.runs import recipe as runs
from asd_jax.runs.settings import Data
from asd_jax.runs.workdir import Workdir
from tests.recipes import tiny

PITCHES = (300.0, 1000.0, 3000.0)  # Hz, of three states of a machine
CLIPS = 8  # of each state
SECONDS = 1.0


def write(path, pitch, number):
    """A tone of a state in noise of its own."""
    time = np.arange(int(SECONDS * 16000)) / 16000
    noise = np.random.default_rng(number).normal(size=len(time))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * pitch * time) + 0.01 * noise, 16000)


def folder(root, name):
    """Recordings of all states, each at `name(state, number)` below the root."""
    for state, pitch in enumerate(PITCHES):
        for number in range(CLIPS):
            write(root / name(state, number), pitch, 100 * state + number)
    return root


def flat(state, number):
    return f"{number}_{state}.wav"


def monthly(state, number):
    return f"2024/0{state + 1}/{number}.wav"


def daily(state, number):
    return f"{state}{number}/x.wav"


def machines(state, number):
    return f"pump{state}/normal/{number}.wav"


@pytest.fixture
def load(tmp_path):
    """The corpus of recordings named so, with these fields of `config.data`."""

    def corpus_of(name, **data):
        root = tmp_path / name.__name__
        if not root.exists():
            folder(root, name)
        made = Data(
            layout="folder",
            root=str(root),
            clip_seconds=SECONDS,
            cache=str(tmp_path / "cache"),
            **data,
        )
        features = settings.Features(n_mels=32, n_fft=512, hop_length=256)
        config = settings.Ensemble(data=made, features=features)
        return corpus.load(config, progress=False)

    return corpus_of


def states(found):
    """The state of each training clip, by its pitch."""
    spectrum = np.abs(np.fft.rfft(found.waves.gather(found.training).astype(float)))
    return np.searchsorted(PITCHES, spectrum.argmax(axis=1) / SECONDS - 1.0)


def assert_told_apart(found, count):
    """Each state is a class or more, no class is of two; the machine is one throughout."""
    label = found.pretext_labels.label[found.training]
    assert len(found.pretext_labels.names) == count and set(label) == set(range(count))
    state = states(found)
    assert all(len(set(state[label == k])) == 1 for k in range(count))
    assert len(found.groups) == 1 and set(found.label) == {0}


@pytest.mark.parametrize("asked", ["auto", "folders"])
def test_sub_folders_of_a_machine_are_the_classes(load, asked):
    found = load(monthly, classes=asked)
    assert found.pretext_labels.kind == "folders"
    assert found.pretext_labels.names == tuple(f"monthly/00/0{k}" for k in (1, 2, 3))
    assert_told_apart(found, 3)


def test_clusters_find_what_no_folder_says(load):
    found = load(flat, classes="clusters", clusters=3)
    assert found.pretext_labels.kind == "clusters"
    assert_told_apart(found, 3)
    again = load(flat, classes="clusters", clusters=3)
    np.testing.assert_array_equal(found.pretext_labels.label, again.pretext_labels.label)


def test_a_folder_with_nothing_in_it_to_tell_apart_is_one_class(load):
    found = load(flat)
    assert found.pretext_labels.kind == "machines" and found.pretext_labels.names == ("flat",)


def test_a_folder_a_recording_is_no_class(load):
    assert load(daily).pretext_labels.kind == "machines"
    assert len(load(daily, classes="folders").pretext_labels.names) == 3 * CLIPS


def test_machines_come_first_and_can_be_parted_further(load):
    found = load(machines)
    assert found.pretext_labels.kind == "machines" and len(found.pretext_labels.names) == 3
    np.testing.assert_array_equal(found.pretext_labels.label, found.label)
    found = load(machines, classes="clusters", clusters=2)
    assert len(found.pretext_labels.names) == 6 and len(found.groups) == 3
    np.testing.assert_array_equal(found.pretext_labels.label // 2, found.label)


def test_what_cannot_be_is_refused_or_said(load):
    with pytest.raises(UserError, match="no machine's training recordings lie in several folders"):
        load(flat, classes="folders")
    with pytest.raises(UserError, match=r"Data\.classes is 'days'"):
        load(flat, classes="days")
    few = load(flat, classes="clusters", clusters=15)
    assert any("too few clips for 15 clusters" in note for note in few.notes)
    assert len(few.pretext_labels.names) == len(few.fit) // 2


def test_held_out_clips_have_no_part_in_the_clusters(load, monkeypatch):
    """Were they fitted on, a loud one would draw a centre."""
    plain = load(flat, classes="clusters", clusters=3)
    spectra = corpus.pretext_labels.mean_spectra

    def strange(gather, rows, spec):
        found = spectra(gather, rows, spec)
        found[np.isin(rows, plain.held_out)] += 1000.0
        return found

    monkeypatch.setattr(corpus.pretext_labels, "mean_spectra", strange)
    changed = load(flat, classes="clusters", clusters=3)
    label, fit = plain.pretext_labels.label, plain.fit
    np.testing.assert_array_equal(changed.pretext_labels.label[fit], label[fit])


def test_the_stages_train_on_the_classes(load):
    found = load(monthly)
    config = settings.Ensemble()
    made = stages.EnsembleRun(
        config, Workdir(""), found, tiny.build(config, len(found.pretext_labels.names))
    )
    assert stages.pretrain(made).clips({}).label is found.pretext_labels.label


@pytest.mark.slow
def test_a_run_learns_the_folders_and_keeps_one_threshold(tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "build", tiny.build)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = folder(tmp_path / "pump", lambda s, n: f"healthy/{s}/{n}.wav")
    write(root / "faulty" / "a.wav", 5000.0, 1)
    base = settings.Ensemble()
    short = {
        name: dataclasses.replace(getattr(base, name), epochs=1.0, batch_size=8)
        for name in ("pretrain", "finetune", "temporal", "fusion")
    }
    config = dataclasses.replace(
        base,
        data=Data(layout="folder", root=str(root), clip_seconds=SECONDS),
        features=dataclasses.replace(base.features, n_mels=64),
        scoring=dataclasses.replace(base.scoring, bootstrap=20),
        **short,
    )
    runs.run(dataclasses.asdict(config), str(tmp_path / "run"))
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["identification"]["classes"] == "folders"
    assert results["identification"]["chance"] == pytest.approx(1 / 3)
    assert any("3 sub-folders" in note for note in results["notes"])
    assert [g["machine_type"] for g in results["groups"]] == ["pump"]
    detector = json.loads((tmp_path / "run" / "detector" / "detector.json").read_text())
    assert len(detector["groups"]) == 1
