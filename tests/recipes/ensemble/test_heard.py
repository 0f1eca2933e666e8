"""What the branch that adds most has heard: a band, a view of it, a share of the score."""

import copy
import dataclasses

import jax
import numpy as np
import pytest

from asd_jax.features import host
from asd_jax.features.logmel import to_float
from asd_jax.features.views import clip_views
from asd_jax.live.recordings import ClipScorer, Piece
from tests.live import machine


def row_of(wave):
    clip_scorer = ClipScorer(machine.detector(), machine.GROUPS[0])
    return clip_scorer.rows([Piece("x.wav", wave, [0], 0.0)])[0]


def test_the_views_are_those_of_the_branch():
    wave, spec = machine.hum(seed=3), machine.detector().spec
    views = jax.jit(lambda wave: clip_views(to_float(wave), spec=spec))
    expected = views(wave[None])[0]
    np.testing.assert_allclose(host.clip_views(wave, spec), np.asarray(expected), atol=2e-2)


@pytest.mark.parametrize("hertz", [800, 3000])
def test_a_steady_tone_is_heard_in_its_band(hertz):
    wave = machine.with_tone(machine.hum(seed=90), start=0.0, end=1.0, hertz=hertz, height=400)
    detector = machine.detector()
    heard = detector.heard(wave, row_of(wave), 0)
    assert heard and heard.hertz
    assert heard.branch == "statistics of the spectrum" and heard.share == 1.0
    assert heard.hertz[0] <= hertz <= heard.hertz[1] < 1.5 * hertz
    assert "louder than normal at" in heard.what


def swinging(wave):
    """The sound with a level that swings four times a second."""
    time = np.arange(len(wave)) / machine.RATE
    return np.rint(wave * (1 + 0.2 * np.sin(2 * np.pi * 4 * time))).astype(np.int16)


def test_a_sound_that_comes_and_goes_is_told_from_a_steady_one():
    moving = swinging(machine.hum(seed=91))
    heard = machine.detector().heard(moving, row_of(moving), 0)
    assert heard and not heard.hertz
    much, often = heard.what.removeprefix("its level moves up and down by ").split(", ")
    assert float(much.split(" times as much as normal")[0]) > 2.0
    low, high = map(float, often.removesuffix(" times a second").split(" to "))
    assert low < 4.0 < high


def test_nothing_is_heard_where_nothing_is_above_normal():
    detector, wave = machine.detector(), machine.hum(seed=92)
    calm = {"score_statistics": float(detector.ensemble.mean[0, 0]) - 1.0}
    assert detector.heard(wave, calm, 0) is None


def test_the_waveform_network_is_put_in_terms_of_the_rhythm():
    moving, detector = swinging(machine.hum(seed=93)), copy.copy(machine.detector())
    alone = detector.ensemble
    both = dataclasses.replace(
        alone,
        branches=("temporal", "statistics"),
        mean=np.append([[0.0]], alone.mean[:1], axis=1),
        std=np.append([[1.0]], alone.std[:1], axis=1),
        mixing=np.array([[0.5, 0.5]]),
    )
    object.__setattr__(detector, "ensemble", both)
    row = {"score_temporal": 9.0, "score_statistics": float(alone.mean[0, 0])}
    heard = detector.heard(moving, row, 0)
    assert heard and heard.branch == "waveform network" and heard.share == 1.0
    assert heard.what.startswith("its level moves up and down by ")
