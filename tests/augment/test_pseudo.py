"""Pseudo-anomalies: each kind against its definition, then the draw between them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.augment import pseudo
from asd_jax.augment.pseudo import pseudo_anomaly, pseudo_batch
from asd_jax.errors import UserError

MELS, FRAMES = 40, 30
MEL_HZ = jnp.linspace(50.0, 7900.0, MELS)
KEYS = jax.random.split(jax.random.key(5), 60)


def clips(count: int, seed: int = 0) -> np.ndarray:
    levels = np.random.default_rng(seed).normal(-50.0, 6.0, size=(count, MELS, FRAMES, 2))
    return levels.astype(np.float32)


def change(maker) -> np.ndarray:
    """What a kind adds to one clip in dB under many keys, `[keys, mels, frames, channels]`."""
    x = jnp.asarray(clips(1)[0])
    return np.asarray(jax.jit(jax.vmap(lambda key: maker(key, x)))(KEYS) - x)


def test_flip_reverses_the_mel_axis_alone():
    x = clips(1)[0]
    np.testing.assert_array_equal(pseudo.flip(jnp.asarray(x)), x[::-1])


@pytest.mark.parametrize("size", [2, 3])
def test_plus_adds_powers(size):
    x, others = clips(1)[0], clips(2, seed=1)
    expected = 10 * np.log10(10 ** (x / 10) + (10 ** (others[: size - 1] / 10)).sum(axis=0))
    stacked = pseudo.plus(KEYS[0], jnp.asarray(x), jnp.asarray(others), sizes=(size, size))
    np.testing.assert_allclose(stacked, expected, atol=1e-3)


def test_plus_draws_both_sizes():
    added = change(lambda key, x: pseudo.plus(key, x, x[None].repeat(2, 0)))
    found = np.round(10 ** (added[:, 0, 0, 0] / 10)).astype(int)
    assert set(found) == {2, 3}


def test_band_gain_is_one_smooth_steady_band_the_same_in_both_channels():
    added = change(pseudo.band_gain)
    np.testing.assert_allclose(added[..., 0], added[..., 1], atol=1e-4)
    np.testing.assert_allclose(added, added[:, :, :1].repeat(FRAMES, axis=2), atol=1e-4)
    band = added[:, :, 0, 0]
    peak = np.abs(band).max(axis=1)
    assert (peak >= 0.5 - 1e-3).all() and (peak <= 3.0 + 1e-3).all()
    assert 0.2 < (band.sum(axis=1) > 0).mean() < 0.8
    touched = (np.abs(band) > 1e-3).sum(axis=1)
    assert touched.min() >= 1 and touched.max() <= MELS // 3 + 1


def test_tone_comb_fills_a_few_bins_all_the_time():
    added = change(lambda key, x: pseudo.tone_comb(key, x, MEL_HZ, level_db=(0.0, 0.0)))
    assert (added >= -1e-3).all()
    x = clips(1)[0]
    power = 10 ** (x / 10)
    # A line in the middle of a bin adds that bin's own mean power, at every moment.
    full = 10 * np.log10(power + power.mean(axis=1, keepdims=True)) - x
    assert (added <= full + 1e-3).all()
    touched = (added > 1e-3).all(axis=(2, 3)).sum(axis=1)
    assert touched.min() >= 1 and touched.max() <= 32
    quiet = x[..., 0] < np.median(x[..., 0])
    assert added[..., 0][:, quiet].mean() > added[..., 0][:, ~quiet].mean()


def test_tone_comb_lies_on_multiples_of_its_spacing():
    x = jnp.full((400, 3, 1), -50.0)
    hz = np.linspace(0.0, 7980.0, 400)
    draw = functools.partial(pseudo.tone_comb, x=x, mel_hz=jnp.asarray(hz), level_db=(0.0, 0.0))
    compared = 0
    for found in np.asarray(jax.jit(jax.vmap(draw))(KEYS) - x)[:, :, 0, 0]:
        bins = np.flatnonzero(found > 0.01)
        groups = np.split(bins, 1 + np.flatnonzero(np.diff(bins) > 1))
        weight = 10 ** (found / 10) - 1
        lines = np.array([np.average(hz[group], weights=weight[group]) for group in groups])
        if len(lines) > 2 and max(map(len, groups)) <= 2:  # no two lines run into each other
            ratio = lines / lines[0]
            np.testing.assert_allclose(ratio, np.round(ratio), atol=0.02 * ratio.max())
            compared += 1
    assert compared > 10


def test_transients_are_few_loud_frames():
    added = change(pseudo.transient)
    np.testing.assert_allclose(added[..., 0], added[..., 1], atol=1e-4)
    assert (added >= -1e-4).all() and added.max() <= 12.0 + 1e-3
    assert (added.max(axis=(1, 2, 3)) > 1.5).all()
    loud = (added > 1.0).any(axis=(1, 3)).sum(axis=1)
    assert loud.min() >= 1 and loud.max() <= 4 * 7
    # That is what makes them hard for an average over time.
    assert added.mean(axis=2).max(axis=(1, 2)).mean() < 0.3 * added.max(axis=(1, 2, 3)).mean()


# --- the draw --------------------------------------------------------------------------------


def test_literal_draws_flips_and_pluses_equally():
    x, others = clips(1)[0], clips(2, seed=1)
    draw = jax.jit(
        jax.vmap(
            lambda key: pseudo_anomaly(
                key, jnp.asarray(x), jnp.asarray(others), shares=pseudo.LITERAL
            )
        )
    )
    made = np.asarray(draw(jax.random.split(jax.random.key(0), 400)))
    flips = (made == x[::-1]).all(axis=(1, 2, 3))
    assert 150 < flips.sum() < 250
    assert (made[~flips] > x - 1e-3).all()


def test_shares_are_kept():
    shares = {"flip": 0.2, "band_gain": 0.8}
    x = jnp.asarray(clips(1)[0])
    draw = jax.jit(jax.vmap(lambda key: pseudo_anomaly(key, x, x[None][:0], shares=shares)))
    made = draw(jax.random.split(jax.random.key(0), 500))
    flips = int((made == x[::-1]).all(axis=(1, 2, 3)).sum())
    assert 60 < flips < 140


def test_recommended_batch_differs_from_every_clip_and_is_finite():
    x = jnp.asarray(clips(8))
    make = jax.jit(lambda key: pseudo_batch(key, x, shares=pseudo.RECOMMENDED, mel_hz=MEL_HZ))
    made = make(jax.random.key(0))
    assert made.shape == x.shape and np.isfinite(made).all()
    assert (np.abs(made - x).max(axis=(1, 2, 3)) > 0.1).all()
    np.testing.assert_array_equal(made, make(jax.random.key(0)))
    assert (made != make(jax.random.key(1))).any()


def test_plus_stacks_other_clips_never_itself():
    # Clip i has power 4^i: the sum then spells out which clips it holds.
    batch = 6
    power = np.broadcast_to(4.0 ** np.arange(batch)[:, None, None, None], (batch, 4, 4, 1))
    x = jnp.asarray(10 * np.log10(power), jnp.float32)
    make = jax.jit(functools.partial(pseudo_batch, shares={"plus": 1.0}))
    for seed in range(5):
        made = make(jax.random.key(seed), x)
        total = np.round(10 ** (np.asarray(made)[:, 0, 0, 0] / 10), 1)
        for i, value in enumerate(total):
            digits = np.base_repr(round(float(value)), 4)[::-1].ljust(batch, "0")
            assert digits[i] == "1" and digits.count("1") in (2, 3)
            assert set(digits) <= {"0", "1"}


@pytest.mark.parametrize("batch", [1, 2])
def test_tiny_batches_work(batch):
    make = jax.jit(functools.partial(pseudo_batch, shares=pseudo.LITERAL))
    assert np.isfinite(make(jax.random.key(0), jnp.asarray(clips(batch)))).all()


def test_without_plus_a_clip_does_not_depend_on_its_neighbours():
    shares = {"flip": 0.2, "band_gain": 0.3, "tone_comb": 0.3, "transient": 0.2}
    x = clips(4)
    make = jax.jit(lambda x: pseudo_batch(jax.random.key(2), x, shares=shares, mel_hz=MEL_HZ))
    before = make(jnp.asarray(x))
    x[[0, 1, 3]] += 20.0
    np.testing.assert_array_equal(before[2], make(jnp.asarray(x))[2])


@pytest.mark.parametrize(
    ("shares", "word"),
    [({"plus": 1.0}, "other"), ({"tone_comb": 1.0}, "mel_hz")],
)
def test_what_a_kind_lacks_is_named(shares, word):
    x = jnp.asarray(clips(1)[0])
    with pytest.raises(UserError, match=word):
        pseudo_anomaly(jax.random.key(0), x, x[None][:0], shares=shares)
