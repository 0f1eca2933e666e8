"""How a recording becomes rows."""

import dataclasses

import numpy as np
import pytest

from tests.data.test_cache import ONE_SECOND, noise


@pytest.mark.parametrize("hop", [0.0, 0.3, 1.0, 2.5])
@pytest.mark.parametrize("long", ["cut", "windows"])
def test_windows_of_blocks_are_those_of_the_whole(long, hop):
    settings = dataclasses.replace(ONE_SECOND, long=long, hop_seconds=hop)
    for samples in (1, 400, 1000, 1090, 1101, 2000, 2099, 2101, 3300, 7777):
        wave = noise(samples, samples)
        for size in (1, 90, 1000, 5000):
            blocks = (wave[k : k + size] for k in range(0, samples, size))
            found = list(settings.windows(blocks))
            assert [start for start, _, _ in found] == settings.starts(samples)
            assert all(several == (len(found) > 1) for _, _, several in found)
            np.testing.assert_array_equal(
                np.stack([row for _, row, _ in found]), settings.rows(wave)
            )
