"""Networks are trained only where there is something to tell apart."""

import dataclasses

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from asd_jax.data.cache import WaveCache
from asd_jax.recipes.ensemble import pretext
from asd_jax.recipes.ensemble.clips import Corpus
from asd_jax.recipes.ensemble.pretext_labels import PretextLabels
from asd_jax.recipes.ensemble.settings import Ensemble, Scoring
from asd_jax.runs.settings import Data

RATE = 8000
CONFIG = Ensemble(data=Data(sample_rate=RATE, clip_seconds=1.0))


def tone(hertz, seed):
    rng = np.random.default_rng(seed)
    time = np.arange(RATE) / RATE
    return np.rint(2000 * np.sin(2 * np.pi * hertz * time) + rng.normal(0, 400, RATE))


class Given(WaveCache):
    """Waveforms that lie in memory."""

    def __init__(self, waves):
        super().__init__("", np.zeros(0, int), RATE)
        self.waves = waves

    def gather(self, indices):
        return self.waves[indices]


def corpus(hertz, *, each=10):
    """A machine for each tone."""
    waves = np.stack([tone(h, each * k + i) for k, h in enumerate(hertz) for i in range(each)])
    label = np.repeat(np.arange(len(hertz)), each).astype(np.int32)
    names = tuple(f"fan {k}" for k in range(len(hertz)))
    every = np.arange(len(label))
    return Corpus(
        clips=(),
        waves=Given(waves.astype(np.int16)),
        groups=tuple(("fan", name) for name in names),
        label=label,
        pretext_labels=PretextLabels("machines", names, label),
        fit=every[every % 5 != 0],
        held_out=every[every % 5 == 0],
        test=every[:0],
        notes=(),
    )


def test_machines_that_sound_apart_get_their_networks():
    config, clips = pretext.networks_wanted(CONFIG, corpus([300, 900, 2000]))
    assert config is CONFIG and clips.notes == ()


@pytest.mark.parametrize(
    "hertz,sentence", [([500, 500, 500], "sound alike"), ([500], "one machine")]
)
def test_where_there_is_nothing_to_identify_none_is_trained_and_it_says_so(hertz, sentence):
    config, clips = pretext.networks_wanted(CONFIG, corpus(hertz))
    assert config.scoring.branches == ("statistics",)
    assert len(clips.notes) == 1 and sentence in clips.notes[0]
    assert list(clips.held_out) == list(clips.training)  # no network has heard any
    always = dataclasses.replace(CONFIG, networks="always")
    assert pretext.networks_wanted(always, corpus(hertz))[0] is always


def test_the_only_clip_of_a_machine_is_learned_from_alone():
    clips = corpus([300, 900], each=5)
    label = np.array([0, 0, 0, 0, 0, 1, -1, -1, -1, -1])
    clips = dataclasses.replace(clips, label=label, fit=np.array([1, 2, 5]), held_out=clips.test)
    config = dataclasses.replace(CONFIG, scoring=Scoring(branches=("statistics",)))
    same, found = pretext.networks_wanted(config, clips)
    assert same is config and list(found.held_out) == [1, 2] and list(found.training) == [1, 2, 5]


def test_without_statistics_to_fall_back_on_networks_stay():
    config = dataclasses.replace(CONFIG, scoring=Scoring(branches=("spectral",)))
    assert pretext.networks_wanted(config, corpus([500, 500]))[0] is config


@pytest.mark.parametrize("dim,silent", [(4, False), (80, False), (6, True)])
def test_accuracy_is_that_of_cross_validation(dim, silent):
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1, 2], 20)
    features = rng.normal(size=(60, dim)) * rng.uniform(0.1, 9, dim) + label[:, None] - 40.0
    features[:, 2:] = -100.0 if silent else features[:, 2:]  # bands without any sound
    fold, right = np.tile(np.arange(20) % 5, 3), []
    for k in range(5):
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
        model.fit(features[fold != k], label[fold != k])
        right += list(model.predict(features[fold == k]) == label[fold == k])
    assert pretext.linear_accuracy(features, label) == pytest.approx(np.mean(right))
