"""Waveforms to 16-bit samples."""

import numpy as np
import pytest

from asd_jax.data.samples import to_int16


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_are_rounded_to_even_and_clipped(dtype):
    steps = np.array([0.0, 0.5, 1.5, -0.5, -1.6, 32766.6, 32767.4, 32767.6, 4e4, -32768.4, -4e4])
    expected = [0, 0, 2, 0, -2, 32767, 32767, 32767, 32767, -32768, -32768]
    wave = (steps / 32768).astype(dtype)
    found = to_int16(wave)
    assert found.dtype == np.int16 and found.tolist() == expected


def test_16_bit_samples_survive_the_way_there_and_back():
    samples = np.arange(-32768, 32768).astype(np.int16).reshape(-1, 2)
    wave = samples.astype(np.float32) / 32768
    np.testing.assert_array_equal(to_int16(wave), samples)
