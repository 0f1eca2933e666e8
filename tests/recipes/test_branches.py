"""The statistics that each machine asks for."""

import numpy as np

from asd_jax.recipes import branches


def features(skew):
    rng = np.random.default_rng(0)
    values = {"statistics": rng.normal(size=(4, 3)), "frame_loud": rng.normal(size=(4, 3))}
    return values | {"frame_skew": np.array(skew)[:, None]}


def test_an_even_machine_takes_the_mean_and_a_striking_one_its_loud_moments():
    group = np.array([0, 0, 1, 1])
    values = features([-0.4, 0.1, 0.7, 0.9])
    share = branches.loudness(values, group, 2)
    np.testing.assert_array_equal(share, [0.0, 1.0])
    blended = branches.blend(values, share[group])["statistics"]
    np.testing.assert_array_equal(blended[:2], values["statistics"][:2])
    np.testing.assert_allclose(blended[2:], values["frame_loud"][2:])


def test_between_them_it_is_a_blend():
    values = features([0.2, 0.2, 0.2, 0.2])
    share = branches.loudness(values, np.zeros(4, int), 1)
    np.testing.assert_allclose(share, [0.4])
    blended = branches.blend(values, np.repeat(share, 4))["statistics"]
    expected = 0.6 * values["statistics"] + 0.4 * values["frame_loud"]
    np.testing.assert_allclose(blended, expected)


def test_another_pooling_is_left_as_it_is():
    values = {"statistics": np.ones((2, 3))}
    share = branches.loudness(values, np.array([0, 1]), 2)
    np.testing.assert_array_equal(share, [0.0, 0.0])
    np.testing.assert_array_equal(branches.blend(values, share)["statistics"], np.ones((2, 3)))
