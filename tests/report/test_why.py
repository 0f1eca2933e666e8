"""The sentence on a clip: what its score has heard, how often it repeats, what is missing."""

import numpy as np
import pytest

from asd_jax.report import why
from asd_jax.report.contents import Heard
from asd_jax.report.region import Region
from tests.report.machines import make_example, make_rows
from tests.report.test_rhythm import strokes

ROW = make_rows()[0]


def test_what_the_winning_branch_heard_stands_where_no_spot_does():
    heard = Heard("statistics of the spectrum", 0.62, "its power is 3 dB louder", (800.0, 900.0))
    told = why.describe(make_example(ROW, heard=heard), None)
    assert told == (
        "Most (62%) of the score comes from the statistics of the spectrum: its power is 3 dB "
        "louder."
    )


@pytest.mark.parametrize(
    ("share", "said"),
    [(1.0, "The score comes"), (0.7, "Most (70%) of"), (0.4, "The largest part (40%) of")],
)
def test_how_much_of_the_score_it_is(share, said):
    assert why.describe(make_example(ROW, heard=Heard("x", share)), None).startswith(said)


def test_a_network_alone_adds_what_the_averages_say():
    normal = np.linspace(-30.0, -60.0, 32)
    level = np.repeat(normal[:, None], 63, axis=1)
    level[16:24] += 4.0
    heard = Heard("spectrogram network", 0.8)
    told = why.describe(make_example(ROW, spectrogram=level, normal_db=normal, heard=heard), None)
    assert "spectrogram network, to which the clip as a whole is unlike" in told
    assert "4 dB louder than normal at" in told
    told = why.describe(make_example(ROW, heard=heard), Region((10, 15), (20, 30), 5.0))
    assert told.startswith("Strongest deviation") and "on average" not in told


def test_the_rate_is_that_of_the_band_which_the_branch_scored():
    heard = Heard("x", 1.0, "it clicks", (2000.0, 4000.0))
    region = Region((0, 2), (0, 63), 5.0)  # 100 to 500 Hz, where nothing strikes
    example = make_example(ROW, audio=strokes(2.5, missing=(4, 9)), heard=heard)
    told = why.describe(example, region, start=60.0)
    assert "The sound at 2.0–4.0 kHz repeats 2.5 times a second." in told
    assert "2 of 20 strokes of that rhythm are missing, at 61.8, 63.8 s." in told
    assert "times a second" not in why.describe(make_example(ROW, heard=heard), region)
    slow = make_example(ROW, audio=strokes(0.6), heard=heard)
    assert "repeats every 1.7 s." in why.describe(slow, None)
