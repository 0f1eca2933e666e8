"""MixUp: eq. 3 and 4 pair by pair, its shares' distribution; label smoothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from asd_jax.augment.mixup import mixup, smooth_labels


def test_inputs_and_labels_mix_with_the_same_partner_and_share():
    size = 64
    x = jnp.eye(size).reshape(size, 8, 8)  # each example can be told from all others
    target = jnp.arange(size, dtype=jnp.float32)
    mixed, labels = mixup(jax.random.key(0), x, target, alpha=1.0)
    weights = np.asarray(mixed).reshape(size, size)  # row i: how much of each example is in it
    np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-6)
    assert (np.count_nonzero(weights, axis=1) <= 2).all()
    np.testing.assert_allclose(weights @ np.asarray(target), labels, rtol=1e-5)
    partners = weights - np.diag(np.diag(weights))
    assert np.count_nonzero(partners.sum(0)) > size - 5  # a permutation: everyone is a partner


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_shares_follow_beta(alpha):
    x = jnp.zeros((4096, 1))
    target = jnp.where(jnp.arange(4096) % 2 == 0, 1.0, 0.0)
    _, labels = mixup(jax.random.key(1), x, target, alpha=alpha)
    mixed = np.asarray(labels)
    mixed = mixed[(mixed > 1e-4) & (mixed < 1 - 1e-4)]  # pairs of both classes
    grid = np.linspace(0.05, 0.95, 10)
    beta = stats.beta(alpha, alpha)
    inside = beta.cdf(1 - 1e-4) - beta.cdf(1e-4)
    expected = (beta.cdf(grid) - beta.cdf(1e-4)) / inside
    observed = (mixed[:, None] <= grid).mean(0)
    np.testing.assert_allclose(observed, expected, atol=0.04)


def test_no_alpha_no_mixing():
    x, target = jnp.ones((3, 2)), jnp.ones(3)
    mixed, labels = mixup(jax.random.key(0), x, target, alpha=0.0)
    assert mixed is x and labels is target


def test_smoothing_keeps_one_half_and_moves_both_ends_alike():
    np.testing.assert_allclose(
        smooth_labels(jnp.array([0.0, 0.5, 1.0]), epsilon=0.1), [0.05, 0.5, 0.95], rtol=1e-6
    )
