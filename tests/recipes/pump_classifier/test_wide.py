"""The head's wide part: a regression, weighed by recordings that nothing was fitted to."""

import jax
import numpy as np
import pytest

from asd_jax.data.supervised import Parts
from asd_jax.recipes.pump_classifier import wide as classifier_wide
from asd_jax.recipes.pump_classifier.clips import LabelledCorpus
from asd_jax.recipes.pump_classifier.stages import ClassifierRun
from asd_jax.scoring.metrics import auc
from tests.recipes import tiny


def drawn(clips=600, seed=0):
    """Faults that a network and a regression each hear half of."""
    rng = np.random.default_rng(seed)
    label = np.tile([0, 1], clips // 2)
    deep = rng.normal(size=clips) + 1.2 * label
    wide = 7 + 30 * (rng.normal(size=clips) + 1.2 * label)
    return deep, wide, label


def test_both_together_hear_more_than_either():
    deep, wide, label = drawn()
    first, second, offset = classifier_wide.weigh(deep, wide, label, np.arange(600))
    assert first == pytest.approx(1.2, abs=0.3) and second == pytest.approx(1.2 / 30, abs=0.01)
    deep, wide, label = drawn(seed=1)
    both = first * deep + second * wide + offset
    assert auc(label, both) > max(auc(label, deep), auc(label, wide)) + 0.03
    assert both.mean() == pytest.approx(0, abs=0.3)


def test_a_part_that_hears_the_wrong_way_has_no_weight():
    deep, wide, label = drawn()
    first, second, _ = classifier_wide.weigh(-deep, wide, label, np.arange(600))
    assert first == 0.0 and second > 0
    first, second, _ = classifier_wide.weigh(deep, -wide, label, np.arange(600))
    assert first > 0 and second == 0.0


def test_versions_of_a_recording_weigh_once():
    deep, wide, label = drawn(60)
    often = np.repeat(np.arange(60), np.where(label == 1, 4, 1))
    again = classifier_wide.weigh(deep[often], wide[often], label[often], often)
    plain = classifier_wide.weigh(deep, wide, label, np.arange(60))
    # Only the spread that the penalty is relative to knows how many clips there are.
    np.testing.assert_allclose(again, plain, rtol=0.02, atol=0.02)


def test_one_class_leaves_the_network_as_it_is():
    deep, wide, _ = drawn()
    assert classifier_wide.weigh(deep, wide, np.zeros(600, int), np.arange(600)) == (1, 0, 0)


def test_a_regression_is_in_the_units_of_the_rows():
    rng = np.random.default_rng(0)
    label = np.tile([0, 1], 100)
    rows = -50 + 0.01 * rng.normal(size=(200, 4))
    rows[:, 1] += 0.02 * label
    found = classifier_wide.fit_rows(rows, label)
    assert auc(label, found(rows)) > 0.85 and abs(np.mean(found(rows))) < 1
    assert np.argmax(np.abs(found.weight)) == 1


def test_the_head_then_says_the_weighed_sum():
    """The variables that come back give the sum of both logits in a linear head."""
    rng = np.random.default_rng(0)
    label = np.tile([0, 1], 150)
    points = rng.normal(size=(300, 3)).astype(np.float32)
    points[:, 0] += label
    rows = rng.normal(size=(300, 4)).astype(np.float32)
    rows[:, 2] += label
    before = {
        "params": {
            "classifier": {"kernel": np.ones((3, 1), np.float32), "bias": np.zeros(1, np.float32)},
            "wide": np.zeros((4, 1), np.float32),
        },
        "batch_stats": {},
    }

    def read(variables, waves, clips):
        params = jax.device_get(variables["params"])
        logit = points @ params["classifier"]["kernel"] + params["classifier"]["bias"]
        logit = (logit + rows @ params["wide"])[clips, 0]
        return {"logit": logit, "embedding": np.concatenate([points, rows], 1)[clips]}

    parts = Parts(np.arange(100), np.arange(100, 200), np.arange(200, 300))
    recording = np.arange(300).astype(str)
    corpus = tiny.bare(LabelledCorpus, parts=parts, waves=None, label=label, recording=recording)
    run = tiny.bare(ClassifierRun, corpus=corpus, read=read)
    alone = read(before, None, parts.validation)["logit"]
    after = classifier_wide.with_wide(run, before, alone)
    score = read(after, None, parts.test)["logit"]
    assert auc(label[200:], score) > auc(label[200:], read(before, None, parts.test)["logit"])
    assert np.any(after["params"]["wide"]) and not np.any(before["params"]["wide"])
    found = classifier_wide.deep_part(after, read(after, None, parts.test)["embedding"])
    np.testing.assert_array_equal(found, points[200:])
