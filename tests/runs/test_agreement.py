"""What processes of one run compare: settings that count, recordings wherever they lie, classes."""

import dataclasses

import numpy as np

from asd_jax.data.cache import WaveCache
from asd_jax.data.clips import Clip
from asd_jax.recipes.pump_classifier.settings import PumpClassifier
from asd_jax.runs.recipe import _counting, _roles, _without_paths
from asd_jax.runs.settings import Data


def table(root, count=3):
    return [Clip(f"{root}/fan/{k}.wav", "fan", "00", "train", 0) for k in range(count)]


def test_recordings_are_the_same_wherever_they_lie():
    assert (
        _without_paths(table("/a"))
        == _without_paths(table("/mnt/b"))
        != _without_paths(table("/a", 2))
    )
    moved = [dataclasses.replace(clip, split="test") for clip in table("/a")]
    assert _without_paths(moved) != _without_paths(table("/a"))


def test_settings_that_change_nothing_may_differ():
    def counting(**data):
        return _counting(PumpClassifier(data=Data(**data)))

    assert counting(root="/a", cache="/b", read_threads=1) == counting(root="/c")
    assert counting(clip_seconds=2.0) != counting()
    assert _counting(PumpClassifier(seed=1)) != counting()


@dataclasses.dataclass
class Inner:
    label: np.ndarray
    centre: np.ndarray


@dataclasses.dataclass
class Corpus:
    waves: WaveCache
    classes: Inner
    fit: np.ndarray


def corpus(rows=(0, 1), label=(0, 1), centre=0.5, fit=(0,)):
    inner = Inner(np.array(label), np.array([centre]))
    return Corpus(WaveCache("x", np.array(rows), 4), inner, np.array(fit))


def test_roles_are_whole_numbers_and_not_places_in_a_cache():
    same = _roles(corpus())
    assert same == _roles(corpus(rows=(5, 3), centre=0.5000001))
    assert same != _roles(corpus(label=(1, 0))) and same != _roles(corpus(fit=(1,)))
