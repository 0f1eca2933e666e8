"""Made-up clips lie between a clip and one of its neighbours."""

import numpy as np
import pytest

from asd_jax.scoring.scorers.smote import NEIGHBOURS, oversample


def test_each_point_lies_on_a_line_to_a_near_neighbour():
    features = np.random.default_rng(0).normal(size=(20, 3))
    made = oversample(features, 50)
    assert made.shape == (50, 3)
    between = np.linalg.norm(features[:, None] - features[None], axis=2)
    np.fill_diagonal(between, np.inf)
    near = np.argsort(between, axis=1)[:, :NEIGHBOURS]
    for k, point in enumerate(made):
        base = features[k % 20]
        line = features[near[k % 20]] - base
        share = (line @ (point - base)) / np.sum(line**2, axis=1)
        away = np.linalg.norm(point - base - share[:, None] * line, axis=1)
        assert np.any((away < 1e-9) & (share >= 0) & (share <= 1))
    assert len(np.unique(made.round(9), axis=0)) == 50
    np.testing.assert_array_equal(made, oversample(features, 50))


@pytest.mark.parametrize(("clips", "number"), [(0, 5), (1, 5), (4, 0), (4, -3)])
def test_nothing_is_made_of_too_little(clips, number):
    assert oversample(np.ones((clips, 3)), number).shape == (0, 3)


def test_two_clips_have_one_neighbour_each():
    made = oversample(np.array([[0.0, 0.0], [2.0, 4.0]]), 7)
    np.testing.assert_allclose(made[:, 1], 2 * made[:, 0])
