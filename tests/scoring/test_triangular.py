"""Triangular inverses by products against LAPACK's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg

from asd_jax.scoring.scorers.triangular import inverse_lower, whitening


def covariances(dim: int, noise: float) -> np.ndarray:
    """Two covariances, each of three strong directions in noise of this variance."""
    rng = np.random.default_rng(dim)
    draw, strong = rng.normal(size=(2, dim, 2 * dim)), rng.normal(size=(dim, 3))
    return noise * draw @ draw.swapaxes(1, 2) / (2 * dim) + strong @ strong.T


def lowers(dim: int, noise: float) -> np.ndarray:
    """Their Cholesky factors."""
    return np.linalg.cholesky(covariances(dim, noise)).astype(np.float32)


@pytest.mark.parametrize("dim", [1, 2, 3, 16, 100, 128])
@pytest.mark.parametrize("noise", [1.0, 1e-3])
def test_inverse_is_as_exact_as_substitution(dim, noise):
    lower = lowers(dim, noise)
    exact = np.linalg.inv(lower.astype(np.float64))
    ours = np.asarray(jax.jit(inverse_lower)(lower))
    identity = np.eye(dim, dtype=np.float32)
    theirs = [linalg.solve_triangular(one, identity, lower=True) for one in lower]
    largest = np.abs(exact).max()
    assert ours.shape == lower.shape
    assert np.abs(ours - exact).max() < 3 * np.abs(theirs - exact).max() + 1e-7 * largest
    np.testing.assert_array_equal(ours, np.tril(ours))


def test_inverse_of_one_matrix_and_of_many():
    lower = jnp.asarray(lowers(6, 1.0))
    many = inverse_lower(jnp.stack([lower, 2.0 * lower]))
    np.testing.assert_allclose(many[1, 0], inverse_lower(2.0 * lower[0]), rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(inverse_lower)(lower), inverse_lower(lower), rtol=1e-6)


@pytest.mark.parametrize("dim", [5, 65, 128, 200])
@pytest.mark.parametrize("noise", [1.0, 1e-3])
def test_whitening_is_as_exact_as_lapack(dim, noise):
    covariance = covariances(dim, noise).astype(np.float32)
    exact = np.linalg.inv(np.linalg.cholesky(covariance.astype(np.float64)))
    ours = np.asarray(jax.jit(whitening)(covariance))
    # SciPy's LAPACK, which is JAX's too: NumPy brings another, more exact on some processors.
    identity = np.eye(dim, dtype=np.float32)
    factors = [linalg.cholesky(one, lower=True) for one in covariance]
    theirs = np.stack([linalg.solve_triangular(one, identity, lower=True) for one in factors])
    largest = np.abs(exact).max()
    assert np.abs(ours - exact).max() < 3 * np.abs(theirs - exact).max() + 1e-6 * largest
    np.testing.assert_array_equal(ours, np.tril(ours))


def test_whitening_of_what_is_no_covariance_is_not_a_number():
    covariance = covariances(100, 1.0).astype(np.float32)
    covariance[1, 80, 80] = -1.0
    ours = np.asarray(whitening(jnp.asarray(covariance)))
    assert np.isfinite(ours[0]).all() and np.isnan(ours[1]).any()
