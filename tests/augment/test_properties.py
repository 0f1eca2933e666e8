"""Of any clips: each is changed by itself, stays a clip of its size, and has a label in bounds."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from asd_jax.augment.mixup import mixup, smooth_labels
from asd_jax.augment.waveform import WaveformAugment, augment_waveform

SEEDS = st.integers(0, 10**6)
SAMPLES = 2048


@jax.jit
def augmented(keys, waves):
    return jax.vmap(
        lambda k, x: augment_waveform(k, x, settings=WaveformAugment(), hop_length=512)
    )(keys, waves)


def clips(seed, count=3):
    rng = np.random.default_rng(seed)
    kinds = rng.normal(0, 0.1, SAMPLES), np.zeros(SAMPLES), np.ones(SAMPLES), rng.normal(size=1)
    rows = [np.broadcast_to(kinds[rng.integers(len(kinds))], SAMPLES) for _ in range(count)]
    return np.stack(rows).astype(np.float32)


@given(SEEDS, st.integers(0, 2))
def test_a_clip_is_augmented_by_itself(seed, changed):
    waves, keys = clips(seed), jax.random.split(jax.random.key(seed), 3)
    before = np.asarray(augmented(keys, waves))
    assert before.shape == waves.shape and np.isfinite(before).all()
    waves[changed] = clips(seed + 1)[0]
    after = np.asarray(augmented(keys, waves))
    others = [k for k in range(3) if k != changed]
    np.testing.assert_array_equal(after[others], before[others])


# Two sizes: the operations are compiled for each.
@given(SEEDS, st.sampled_from([2, 5]), st.floats(0.05, 5.0))
def test_mixed_labels_stay_in_bounds_and_clips_between_clips(seed, batch, alpha):
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.normal(size=(batch, 5)), jnp.float32)
    label = jnp.asarray(rng.integers(0, 2, batch), jnp.float32)
    mixed, target = mixup(jax.random.key(seed), x, smooth_labels(label), alpha=alpha)
    assert mixed.shape == x.shape and target.shape == label.shape
    assert float(target.min()) >= 0.05 - 1e-6 and float(target.max()) <= 0.95 + 1e-6
    assert np.all(np.asarray(mixed) <= np.asarray(x).max(0) + 1e-5)
    assert np.all(np.asarray(mixed) >= np.asarray(x).min(0) - 1e-5)
