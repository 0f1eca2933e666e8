"""Cut, splice and mixup, on pictures whose pixels tell where they come from."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.augment.settings import Mixing
from asd_jax.augment.spectrogram import mix_batch, mix_pair, splice_mask
from asd_jax.bounds import traced
from asd_jax.errors import UserError

MELS, FRAMES = 12, 17


@functools.cache
def masks() -> np.ndarray:
    """300 draws."""
    draw = jax.jit(jax.vmap(lambda key: splice_mask(key, mels=MELS, frames=FRAMES)))
    return np.asarray(draw(jax.random.split(jax.random.key(0), 300)))


def corner(mask: np.ndarray) -> tuple[int, int]:
    """The cutting point, read off the first column and the first row."""
    return int(mask[:, 0].sum()), int(mask[0].sum())


def test_the_splice_is_the_top_left_and_bottom_right_rectangle():
    for mask in masks():
        x, y = corner(mask)
        expected = np.zeros((MELS, FRAMES), bool)
        expected[:x, :y] = True
        expected[x:, y:] = True
        np.testing.assert_array_equal(mask, expected)


def test_every_row_and_column_holds_both_clips():
    for mask in masks():
        for axis in (0, 1):
            assert mask.any(axis=axis).all() and not mask.all(axis=axis).any()


def test_the_corner_fills_the_open_range_of_equation_1():
    corners = np.array([corner(mask) for mask in masks()])
    np.testing.assert_array_equal(np.unique(corners[:, 0]), np.arange(2, 9))  # 1 < x < 9
    np.testing.assert_array_equal(np.unique(corners[:, 1]), np.arange(2, 13))  # 1 < y < 12.75


def test_mix_pair_is_equation_2_on_the_two_spliced_pictures():
    rng = np.random.default_rng(0)
    own, other = rng.normal(size=(2, MELS, FRAMES, 2)).astype(np.float32)
    mask = masks()[0]
    first = np.where(mask[..., None], other, own)
    second = np.where(mask[..., None], own, other)
    mixed = mix_pair(jnp.asarray(own), jnp.asarray(other), jnp.asarray(mask), 0.4)
    np.testing.assert_allclose(mixed, 0.6 * first + 0.4 * second, atol=1e-6)


def identity_batch(batch: int = 6) -> jax.Array:
    """Clip i is an indicator of i: a mixed batch then shows each clip's share of each pixel."""
    eye = np.eye(batch, dtype=np.float32)
    return jnp.asarray(np.broadcast_to(eye[:, None, None], (batch, MELS, FRAMES, batch)))


@pytest.mark.parametrize(
    ("splice", "label_weight", "beta"),
    [
        (True, "ratio", 0.0),
        (True, "area_corrected", 0.0),
        (False, "ratio", 0.4),
        (True, "area_corrected", 0.4),
    ],
)
def test_labels_tell_what_was_mixed(splice, label_weight, beta):
    settings = Mixing(1.0, splice, mix_label=label_weight, mix_beta=beta)
    mixed, partner, weight = jax.jit(functools.partial(mix_batch, settings=settings))(
        jax.random.key(1), identity_batch()
    )
    partner, weight = np.asarray(partner), np.asarray(weight)
    assert sorted(partner) == list(range(6))
    shares = np.asarray(mixed).mean(axis=(1, 2))
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-5)
    apart = np.flatnonzero(partner != np.arange(6))
    assert apart.size > 0
    if label_weight == "area_corrected" or not splice:
        np.testing.assert_allclose(shares[apart, partner[apart]], weight[apart], atol=1e-5)
    if beta == 0 and label_weight == "ratio":
        np.testing.assert_allclose(weight, 0.4)
    if beta > 0:
        assert np.unique(weight).size > 3


def test_ratio_may_be_traced_and_0_without_splice_is_the_identity():
    def mixed(ratio):
        settings = traced(Mixing(1.0, mix_beta=0.0), mix_ratio=ratio)
        return mix_batch(jax.random.key(0), identity_batch(), settings=settings)

    mix = jax.jit(mixed)
    np.testing.assert_array_equal(mix(0.0)[0], identity_batch())
    np.testing.assert_allclose(mix(0.3)[2], 0.3)


def test_unmixed_clips_are_marked_by_weight_0():
    x = jnp.tile(identity_batch(4), (10, 1, 1, 1))
    mix = jax.jit(functools.partial(mix_batch, settings=Mixing(0.5, splice=True, mix_beta=0.0)))
    mixed, _, weight = mix(jax.random.key(0), x)
    kept = np.asarray(weight) == 0
    assert 5 < kept.sum() < 35
    np.testing.assert_array_equal(mixed[kept], x[kept])


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"mix_ratio": 1.4}, "mix_ratio"),
        ({"mix_beta": -1.0}, "mix_beta"),
        ({"mix_label": "area"}, "mix_label"),
        ({"mix_probability": -0.1}, "mix_probability"),
    ],
)
def test_impossible_settings_are_named(options, word):
    with pytest.raises(UserError, match=word):
        Mixing(**options)


def test_a_tiny_spectrogram_is_refused():
    with pytest.raises(UserError, match="too small"):
        splice_mask(jax.random.key(0), mels=3, frames=20)
