"""Windows of a stream are those of a recording, however the samples come."""

import numpy as np
import pytest

from asd_jax.data.cache import WaveSettings
from asd_jax.errors import UserError
from asd_jax.live.stream import Windows


def cut(wave, sizes, samples, hop):
    windows, found, at = Windows(samples, hop), [], 0
    rng = np.random.default_rng(1)
    while at < len(wave):
        size = int(rng.choice(sizes))
        found += windows.push(wave[at : at + size])
        at += size
    last = windows.finish()
    return found + ([last] if last else [])


@pytest.mark.parametrize("length", [50, 99, 100, 105, 115, 149, 150, 400, 555, 560, 1234])
@pytest.mark.parametrize("hop", [100, 50, 7])
@pytest.mark.parametrize("sizes", [[10_000], [1], [3, 40, 250]])
def test_the_windows_of_a_recording(length, hop, sizes):
    wave = np.arange(length).astype(np.int16)
    settings = WaveSettings(
        sample_rate=100, clip_seconds=1.0, long="windows", hop_seconds=hop / 100
    )
    found = cut(wave, sizes, 100, hop)
    np.testing.assert_array_equal([w for _, w in found], settings.rows(wave))
    assert [start for start, _ in found] == settings.starts(length)


def test_less_than_half_a_window_is_not_scored():
    assert cut(np.zeros(49, np.int16), [10], 100, 50) == []
    assert len(cut(np.zeros(50, np.int16), [10], 100, 50)) == 1


def test_no_window_spans_a_pause():
    windows = Windows(100, 50)
    before = windows.push(np.full(170, 1, np.int16))
    last = windows.finish()
    after = windows.push(np.full(120, 2, np.int16))
    assert [start for start, _ in before] == [0, 50]
    assert last[0] == 70 and (last[1] == 1).all() and len(last[1]) == 100
    assert [start for start, _ in after] == [170] and (after[0][1] == 2).all()
    assert windows.finish()[0] == 190  # 20 samples more than were scored


def test_memory_does_not_grow():
    windows = Windows(100, 50)
    for _ in range(1000):
        windows.push(np.zeros(33, np.int16))
    assert len(windows._held) <= 200 and windows.position == 33_000


@pytest.mark.parametrize("hop", [0, 101])
def test_a_hop_that_cannot_be(hop):
    with pytest.raises(UserError, match="--hop"):
        Windows(100, hop)
