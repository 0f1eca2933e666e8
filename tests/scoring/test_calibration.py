import functools

import numpy as np
import pytest

from asd_jax.errors import UserError
from asd_jax.scoring import scorers
from asd_jax.scoring.calibration import cross_fit_scores

gaussian = functools.partial(scorers.fit, "gaussian")


def features(seed, clips):
    return np.random.default_rng(seed).normal(size=(clips, 6))


def test_each_held_out_clip_is_scored_by_all_others():
    base, held = features(0, 20), features(1, 7)
    found = cross_fit_scores(gaussian, base, held, folds=7)
    for clip in range(7):
        rest = np.concatenate([base, np.delete(held, clip, axis=0)])
        expected = scorers.score(gaussian(rest), held[clip : clip + 1])[0]
        assert found.scores[clip] == pytest.approx(float(expected), rel=1e-5)


def test_folds_are_even_seeded_and_score_variants_alike():
    base, held = features(0, 20), features(1, 11)
    found = cross_fit_scores(gaussian, base, held, folds=4, seed=3)
    assert sorted(np.bincount(found.fold)) == [2, 3, 3, 3]
    np.testing.assert_array_equal(found.score(held), found.scores)
    changed = found.score(held + 1.0)
    clip = 5
    expected = scorers.score(found.scorers[found.fold[clip]], held[clip : clip + 1] + 1.0)[0]
    assert changed[clip] == pytest.approx(float(expected))
    again = cross_fit_scores(gaussian, base, held, folds=4, seed=3)
    np.testing.assert_array_equal(again.fold, found.fold)
    assert (cross_fit_scores(gaussian, base, held, folds=4, seed=4).fold != found.fold).any()


def test_out_of_fold_scores_look_like_those_of_new_clips():
    apart, inside, new = [], [], []
    for seed in range(40):
        base, held = features(3 * seed, 8), features(3 * seed + 1, 16)
        apart.append(cross_fit_scores(gaussian, base, held).scores.mean())
        final = gaussian(np.concatenate([base, held]))
        inside.append(np.mean(scorers.score(final, held)))
        new.append(np.mean(scorers.score(final, features(3 * seed + 2, 100))))
    assert abs(np.mean(apart) - np.mean(new)) < 0.4 * abs(np.mean(inside) - np.mean(new))


def test_without_training_clips_or_with_too_few():
    assert len(cross_fit_scores(gaussian, None, features(0, 4)).scorers) == 4
    for base, held in ((None, features(0, 1)), (features(0, 5), features(0, 0))):
        with pytest.raises(UserError, match="record more"):
            cross_fit_scores(gaussian, base, held)
    with pytest.raises(UserError, match="variants"):
        cross_fit_scores(gaussian, None, features(0, 4)).score(features(0, 3))
