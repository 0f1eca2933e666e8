"""Which clips are trained on, held out and tested, and of which machine each is."""

import dataclasses

import numpy as np
import pytest

from asd_jax.data.cache import CachedClips, WaveCache
from asd_jax.data.clips import ANOMALY, NORMAL, Clip
from asd_jax.errors import UserError
from asd_jax.recipes.ensemble import clips
from asd_jax.recipes.ensemble.settings import Ensemble


def table(*rows):
    """Decoded clips of (machine, split, label, number)."""
    found = tuple(
        Clip(f"{machine}/{split}/{label}/{k}.wav", "pump", machine, split, label)
        for machine, split, label, number in rows
        for k in range(number)
    )
    return CachedClips(found, WaveCache("", np.arange(len(found)), 8), ())


def test_a_clip_has_one_role_and_a_machine_without_normals_none():
    opened = table(
        ("06", "train", NORMAL, 10),
        ("00", "train", NORMAL, 6),
        ("00", "test", NORMAL, 2),
        ("06", "test", ANOMALY, 3),
        ("07", "test", ANOMALY, 4),  # never heard healthy
    )
    corpus = clips.assemble(opened, 0.25, 0)
    assert corpus.groups == (("pump", "00"), ("pump", "06"))
    assert corpus.label.tolist() == [1] * 10 + [0] * 6 + [0] * 2 + [1] * 3 + [-1] * 4
    assert corpus.test.tolist() == list(range(16, 21))
    assert corpus.training.tolist() == list(range(16))
    assert not set(corpus.fit) & set(corpus.held_out) and len(corpus.held_out)
    roles = [*corpus.fit, *corpus.held_out, *corpus.test]
    assert corpus.names == [opened.clips[i].name for i in roles]


def test_without_a_normal_recording_that_trains_there_is_no_run():
    with pytest.raises(UserError, match="no readable normal recording"):
        clips.assemble(table(("00", "test", NORMAL, 3), ("00", "train", ANOMALY, 3)), 0.2, 0)


def test_a_corpus_is_imagined_without_a_clip():
    corpus = clips.imagined(Ensemble(), 3)
    assert len(corpus.groups) == len(corpus.pretext_labels.names) == 3
    assert len(corpus.clips) == len(corpus.training) == len(corpus.test) == 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # MIMII's split as published: as many normals are tested as there are abnormal clips.
        ({"layout": "mimii", "split": "hitachi", "hold_out": 0.1}, 720 + 90),
        ({"layout": "mimii", "split": "random", "hold_out": 0.1}, 630 + 126),
        ({"layout": "folder", "hold_out": 0.5}, 400 + 50),
    ],
)
def test_fitted_clips_are_counted_without_recordings(changes, expected):
    config = Ensemble()
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, **changes))
    assert clips.number_fitted(config, [(1000, 200), (200, 100)]) == expected
