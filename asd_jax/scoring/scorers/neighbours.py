"""Scorers that keep the normal clips: nearest neighbours, local outlier factor, and k centres."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from asd_jax.scoring.scorers.features import checked, prepare, squared_distances, unit_rows


class Neighbours(NamedTuple):
    """The normal clips, and how to judge a distance to one of them."""

    bank: Float[Array | np.ndarray, "normals dim"]
    weights: Float[Array | np.ndarray, "neighbours"]  # of the nearest, second nearest, ...
    density: Float[Array | np.ndarray, "normals"]  # distances are divided by it; all 1 when plain
    cosine: Float[Array | np.ndarray, ""]  # 1: cosine distance, 0: Euclidean
    l2: Float[Array | np.ndarray, ""]


class Outlier(NamedTuple):
    """The normal clips as the local outlier factor needs them."""

    bank: Float[Array | np.ndarray, "normals dim"]
    reach: Float[Array | np.ndarray, "normals"]  # distance to the k-th neighbour
    density: Float[Array | np.ndarray, "normals"]  # local reachability density
    weights: Float[Array | np.ndarray, "neighbours"]  # 1 / k each: its length is k
    l2: Float[Array | np.ndarray, ""]


class Centres(NamedTuple):
    """Centres of k-means."""

    centres: Float[Array | np.ndarray, "centres dim"]
    cosine: Float[Array | np.ndarray, ""]
    l2: Float[Array | np.ndarray, ""]


def fit_knn(
    features: Float[Array | np.ndarray, "clips dim"],
    *,
    neighbours: int = 1,
    metric: str = "cosine",
    rescale: int = 0,
    l2: bool = False,
    name: str = "features",
) -> Neighbours:
    """Keeps all clips.

    Args:
        features: normal clips.
        neighbours: k; the score is the mean distance to the k nearest. Fewer clips: all.
        metric: 'cosine' or 'euclidean'.
        rescale: above 0, the distance to a normal clip is divided by that clip's own mean
            distance to its `rescale` nearest neighbours, so that a sparse domain does not look
            anomalous (Wilkinghoff et al., "Local density-based anomaly score normalization for
            domain generalization", 2025; KnnRescale).
        l2: scale each clip to length 1 first (for 'euclidean').
        name: what to call the features in an error.
    """
    bank = checked(features, name)
    bank = unit_rows(bank) if l2 or metric == "cosine" else bank
    neighbours = max(1, min(neighbours, len(bank)))
    density = np.ones(len(bank))
    if rescale and len(bank) > 1:
        distances = _pairwise(bank)
        distances = 0.5 * distances**2 if metric == "cosine" else distances
        nearest = np.sort(distances, axis=1)[:, : min(rescale, len(bank) - 1)]
        density = np.maximum(nearest.mean(1), 1e-6 * max(float(nearest.mean()), 1e-6))
    weights = np.full(neighbours, 1.0 / neighbours)
    arrays = (bank, weights, density, metric == "cosine", l2)
    return Neighbours(*(np.asarray(v, np.float32) for v in arrays))


def score_knn(
    scorer: Neighbours, features: Float[Array | np.ndarray, "clips dim"]
) -> Float[Array, "clips"]:
    """Mean distance to the nearest normal clips, over their local density where asked."""
    features = prepare(features, jnp.maximum(scorer.l2, scorer.cosine))
    distances = _distances(features, scorer.bank, scorer.cosine) / scorer.density
    nearest = -jax.lax.top_k(-distances, scorer.weights.shape[0])[0]
    return jnp.sum(nearest * scorer.weights, axis=1)


def fit_lof(
    features: Float[Array | np.ndarray, "clips dim"],
    *,
    neighbours: int = 20,
    l2: bool = False,
    name: str = "features",
) -> Outlier:
    """Local outlier factor, Euclidean (Breunig et al., 2000).

    Equal to `sklearn.neighbors.LocalOutlierFactor(novelty=True)`. With one clip, distance alone.
    """
    bank = checked(features, name)
    bank = unit_rows(bank) if l2 else bank
    count = max(1, min(neighbours, len(bank) - 1))
    reach, density = np.zeros(len(bank)), np.ones(len(bank))
    if len(bank) > 1:
        distances = _pairwise(bank)
        order = np.argsort(distances, axis=1, kind="stable")[:, :count]
        nearest = np.take_along_axis(distances, order, 1)
        reach = nearest[:, -1]
        density = 1.0 / (np.maximum(nearest, reach[order]).mean(1) + 1e-10)
    weights = np.full(count, 1.0 / count)
    arrays = (bank, reach, density, weights, l2)
    return Outlier(*(np.asarray(v, np.float32) for v in arrays))


def score_lof(
    scorer: Outlier, features: Float[Array | np.ndarray, "clips dim"]
) -> Float[Array, "clips"]:
    """The neighbours' local density over the clip's own: about 1 for a normal clip."""
    features = prepare(features, scorer.l2)
    distances = jnp.sqrt(squared_distances(features, scorer.bank))
    nearest, index = jax.lax.top_k(-distances, scorer.weights.shape[0])
    reached = jnp.maximum(-nearest, jnp.asarray(scorer.reach)[index])
    around = jnp.mean(jnp.asarray(scorer.density)[index], axis=1)
    return around * (jnp.mean(reached, axis=1) + 1e-10)


def fit_kmeans(
    features: Float[Array | np.ndarray, "clips dim"],
    *,
    centres: int = 16,
    metric: str = "cosine",
    l2: bool = False,
    name: str = "features",
) -> Centres:
    """Centres by `sklearn.cluster.KMeans`; fewer clips than centres: a centre for each clip.

    With 'cosine' the clips are scaled to length 1 before clustering and the centres after it.
    """
    features = checked(features, name)
    features = unit_rows(features) if l2 or metric == "cosine" else features
    from sklearn.cluster import KMeans

    centres = min(centres, len(np.unique(features, axis=0)))
    found = KMeans(centres, n_init=1, random_state=0).fit(features).cluster_centers_  # pyright: ignore[reportArgumentType]
    found = unit_rows(found) if metric == "cosine" else found
    return Centres(*(np.asarray(v, np.float32) for v in (found, metric == "cosine", l2)))


def score_kmeans(
    scorer: Centres, features: Float[Array | np.ndarray, "clips dim"]
) -> Float[Array, "clips"]:
    """Distance to the nearest centre."""
    features = prepare(features, jnp.maximum(scorer.l2, scorer.cosine))
    return jnp.min(_distances(features, scorer.centres, scorer.cosine), axis=1)


def _distances(features: Array, bank: Array | np.ndarray, cosine: Array | np.ndarray) -> Array:
    """Euclidean distances, or cosine ones (half the square between rows of length 1)."""
    square = squared_distances(features, bank)
    return jnp.where(cosine > 0, 0.5 * square, jnp.sqrt(square))


def _pairwise(bank: np.ndarray) -> np.ndarray:
    """Euclidean distances between all clips, infinite to itself."""
    from scipy.spatial import distance

    distances = distance.squareform(distance.pdist(bank))
    np.fill_diagonal(distances, np.inf)
    return distances
