"""Which healthy clip carries the made faults that are shown."""

import numpy as np

from asd_jax.recipes.ensemble import made


def test_the_clip_that_is_shown_is_heard_as_most_are():
    heard = np.array([[1, 1, 0, 1], [0, 0, 0, 1], [1, 1, 0, 1]], bool)
    assert made.typical(heard) in (0, 1)
