"""Scorers: how far a clip's features lie from those of normal clips. Higher is more anomalous.

`fit(kind, features, **options)` runs on the host, in float64 where that is cheap. A scorer is a
tuple of plain arrays, so it can be stacked, moved, saved and closed over; `score` is a pure
function of it that may stand inside `jax.jit`.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float

from asd_jax.errors import UserError
from asd_jax.scoring.scorers import gaussian, mixture, neighbours


class Kind(NamedTuple):
    """One way to score: its arrays, how to fit them, how to score with them."""

    arrays: type
    fit: Callable[..., Any]
    score: Callable[..., Array]


SCORERS: dict[str, Kind] = {
    "gaussian": Kind(gaussian.Gaussian, gaussian.fit_gaussian, gaussian.score_gaussian),
    "gmm": Kind(mixture.Mixture, mixture.fit_gmm, mixture.score_gmm),
    "mahalanobis": Kind(gaussian.Mahalanobis, gaussian.fit_mahalanobis, gaussian.score_mahalanobis),
    "knn": Kind(neighbours.Neighbours, neighbours.fit_knn, neighbours.score_knn),
    "kmeans": Kind(neighbours.Centres, neighbours.fit_kmeans, neighbours.score_kmeans),
    "lof": Kind(neighbours.Outlier, neighbours.fit_lof, neighbours.score_lof),
}


def _kind(name: str) -> Kind:
    if name not in SCORERS:
        raise UserError(f"scorer is {name!r}; known are {', '.join(SCORERS)}.")
    return SCORERS[name]


def fit(kind: str, features: Float[Array | np.ndarray, "clips dim"], **options: Any) -> Any:
    """Fits the scorer named `kind` to normal clips; its options are those of its `fit` function."""
    return _kind(kind).fit(features, **options)


def score(scorer: Any, features: Float[Array | np.ndarray, "clips dim"]) -> Float[Array, "clips"]:
    """Anomaly scores of clips, by whichever scorer; a pure function, float32."""
    return _kind(kind_of(scorer)).score(scorer, features)


def kind_of(scorer: Any) -> str:
    """The name in `SCORERS` of a fitted scorer."""
    for name, kind in SCORERS.items():
        if isinstance(scorer, kind.arrays):
            return name
    raise UserError(f"A {type(scorer).__name__} is no scorer; known are {', '.join(SCORERS)}.")


def fit_groups(
    kind: str,
    features: Float[Array | np.ndarray, "clips dim"],
    groups: Sequence[Hashable],
    *,
    shared_covariance: bool = False,
    **options: Any,
) -> dict[Hashable, Any]:
    """One scorer per group of clips.

    Args:
        kind: a name in `SCORERS`.
        features: normal clips of all groups.
        groups: of each clip, in any hashable form, say (machine_type, machine_id).
        shared_covariance: take the covariance from all groups' clips about their own means
            ('gaussian' only).
        **options: of the scorer.
    """
    if shared_covariance:
        if kind != "gaussian":
            raise UserError(f"shared_covariance is for scorer 'gaussian', not {kind!r}.")
        plain = {name: options[name] for name in ("l2", "name") if name in options}
        options["residuals"] = gaussian.group_residuals(features, groups, **plain)
    members: dict[Hashable, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    features = np.asarray(features)
    return {group: fit(kind, features[rows], **options) for group, rows in members.items()}


def to_arrays(scorer: Any) -> dict[str, np.ndarray]:
    """A scorer as named arrays, for an .npz file."""
    kind_of(scorer)
    return {name: np.asarray(value) for name, value in scorer._asdict().items()}


def from_arrays(kind: str, arrays: Mapping[str, np.ndarray]) -> Any:
    """The scorer of the given kind from its named arrays; raises UserError when one is missing."""
    fields = _kind(kind).arrays._fields
    missing = [name for name in fields if name not in arrays]
    if missing:
        raise UserError(f"A stored scorer {kind!r} lacks {', '.join(missing)}; train it again.")
    return _kind(kind).arrays(*(np.asarray(arrays[name]) for name in fields))
