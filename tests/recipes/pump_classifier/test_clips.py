"""Which clips the classifier trains on, and of which machine each is."""

import dataclasses

import numpy as np
import pytest

from asd_jax.data.clips import Clip
from asd_jax.recipes.pump_classifier import clips
from asd_jax.recipes.pump_classifier.settings import PumpClassifier
from asd_jax.runs.settings import from_config
from tests.recipes import tiny


def settings(**changes):
    values = tiny.resolved("pump_classifier", "smoke", **changes)
    return from_config(PumpClassifier, values.to_dict())


def test_balanced_clips_repeat_the_rarer_class():
    label = np.array([0, 0, 0, 0, 0, 1, 1, -1])
    drawn = clips.balanced(np.arange(7), label)
    assert np.bincount(label[drawn]).tolist() == [5, 5]
    assert sorted(set(drawn)) == list(range(7))


def test_the_group_of_a_clip_is_that_of_its_machine_and_none_of_a_stranger():
    corpus = clips.imagined(settings(), 1)
    table = tuple(Clip("", "pump", number, "train", 0) for number in ("06", "00", "07"))
    corpus = dataclasses.replace(corpus, clips=table, groups=(("pump", "00"), ("pump", "06")))
    assert corpus.group(np.array([2, 0, 1, 0])).tolist() == [-1, 1, 0, 1]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # 100 + 60 clips, repeated until both classes are 100; 7 of 10 train, of one level in two.
        ({}, {"pretrain": 70, "finetune": 140}),
        ({"labels__imbalance": "none"}, {"pretrain": 56, "finetune": 112}),
        ({"pretrain__clips": "all"}, {"pretrain": 100, "finetune": 140}),
        ({"pretrain__snr": ""}, {"finetune": 140}),
        ({"split__draw": "balanced", "split__total": 80}, {"pretrain": 28, "finetune": 56}),
    ],
)
def test_clips_of_an_epoch_are_counted_without_recordings(changes, expected):
    config = settings(synthetic__snr=(0, -6), **changes)
    assert clips.counts(config, [(60, 20), (40, 40)]) == expected
