"""Weights in fewer bits come back close to what they were, and the rest comes back as it was."""

import jax
import numpy as np
import pytest

from asd_jax.deploy import weights
from asd_jax.scoring import scorers

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("precision", "bits", "away"), [("float16", 16, 6e-4), ("int8", 8, 0.004)])
def test_kernels_are_stored_small_each_filter_on_its_own_scale(precision, bits, away):
    loud = np.geomspace(1e-4, 1e3, 8).astype(np.float32)
    kernel = (RNG.normal(size=(3, 3, 16, 8)) * (loud if precision == "int8" else 1e5)).astype("f4")
    tree = {"kernel": kernel, "bias": loud}
    packed = weights.Packing(precision).network(tree)
    assert packed["kernel"].values.dtype.itemsize * 8 == bits
    assert packed["bias"] is tree["bias"]
    back = jax.jit(weights.unpack)(packed)
    largest = np.abs(kernel).max(axis=(0, 1, 2))
    assert (np.abs(back["kernel"] - kernel).max(axis=(0, 1, 2)) <= away * largest).all()
    np.testing.assert_array_equal(back["bias"], loud)


def test_full_precision_and_small_arrays_stay():
    tree = {"kernel": np.ones((4, 4), np.float32), "large": np.ones((64, 64), np.float32)}
    assert weights.Packing("float32").network(tree)["large"] is tree["large"]
    assert isinstance(weights.Packing("int8").network(tree)["large"], weights.Packed)
    assert weights.Packing("int8").network(tree)["kernel"] is tree["kernel"]


@pytest.mark.parametrize("kind", ["gaussian", "mahalanobis", "knn", "gmm"])
def test_scorers_keep_their_scores(kind):
    features = RNG.normal(size=(60, 24)).astype(np.float32)
    scorer = scorers.fit(kind, features[:50])
    packed = weights.Packing("int8").scorers((scorer,))
    back = weights.unpack(packed)[0]
    assert isinstance(back, type(scorer))
    exact, found = (np.asarray(scorers.score(s, features)) for s in (scorer, back))
    assert packed[0] is not None and 0 < np.abs(found - exact).max() < 2e-3 * np.abs(exact).max()
