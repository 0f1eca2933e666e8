"""Scorers: how far a clip's features lie from those of normal clips. Higher is more anomalous.

`fit(kind, features, **options)` runs on the host, in float64 where that is cheap. A scorer is a
tuple of plain arrays, so it can be stacked, moved, saved and closed over; `score` is a pure
function of it that may stand inside `jax.jit`.
"""

import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from asd_jax.errors import UserError
from asd_jax.scoring.scorers import embedding, gaussian, mixture, neighbours, prototypes, views


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
    "embedding": Kind(embedding.Embedding, embedding.fit_embedding, embedding.score_embedding),
    "views": Kind(views.Views, views.fit_views, views.score_views),
    "arcface": Kind(prototypes.Prototypes, prototypes.fit_arcface, prototypes.score_arcface),
}
NEAREST = "nearest:"  # before the kind of the parts of a `Nearest`
MEAN = "mean:"  # the same of a `Mean`


class Nearest(NamedTuple):
    """Scorers of one kind, each of a domain of normal clips: the lowest score counts."""

    parts: tuple[Any, ...]


class Mean(NamedTuple):
    """Scorers of one kind, each of its own part of the features: the mean score counts."""

    parts: tuple[Any, ...]


def _kind(name: str) -> Kind:
    if name not in SCORERS:
        raise UserError(f"scorer is {name!r}; known are {', '.join(SCORERS)}.")
    return SCORERS[name]


def fit(kind: str, features: Float[Array | np.ndarray, "clips dim"], **options: Any) -> Any:
    """Fits the scorer named `kind` to normal clips; its options are those of its `fit` function."""
    return _kind(kind).fit(features, **options)


def score(scorer: Any, features: Float[Array | np.ndarray, "clips dim"]) -> Float[Array, "clips"]:
    """Anomaly scores of clips, by whichever scorer; a pure function, float32."""
    if isinstance(scorer, Nearest):
        return jnp.min(jnp.stack([score(part, features) for part in scorer.parts]), axis=0)
    if isinstance(scorer, Mean):
        own = jnp.split(jnp.asarray(features), len(scorer.parts), axis=-1)
        return jnp.stack([score(p, x) for p, x in zip(scorer.parts, own, strict=True)]).mean(axis=0)
    return _kind(kind_of(scorer)).score(scorer, features)


def kind_of(scorer: Any) -> str:
    """The name in `SCORERS` of a fitted scorer; of a `Nearest` or `Mean` that of its parts.

    Raises:
        UserError: it is not a scorer.
    """
    for made, prefix in ((Nearest, NEAREST), (Mean, MEAN)):
        if isinstance(scorer, made):
            return prefix + kind_of(scorer.parts[0])
    for name, kind in SCORERS.items():
        if isinstance(scorer, kind.arrays):
            return name
    raise UserError(f"A {type(scorer).__name__} is not a scorer; known are {', '.join(SCORERS)}.")


def to_arrays(scorer: Any) -> dict[str, np.ndarray]:
    """A scorer as named arrays, for an .npz file."""
    kind_of(scorer)
    if isinstance(scorer, Nearest | Mean):
        parts = enumerate(map(to_arrays, scorer.parts))
        return {f"{k}/{name}": value for k, part in parts for name, value in part.items()}
    return {name: np.asarray(value) for name, value in scorer._asdict().items()}


def from_arrays(kind: str, arrays: Mapping[str, np.ndarray]) -> Any:
    """The scorer of the given kind from its named arrays; raises UserError when one is missing."""
    for made, prefix in ((Nearest, NEAREST), (Mean, MEAN)):
        if kind.startswith(prefix):
            return made(_parts(kind.removeprefix(prefix), arrays))
    fields = _kind(kind).arrays._fields
    missing = [name for name in fields if name not in arrays]
    if missing:
        raise UserError(f"A stored scorer {kind!r} lacks {', '.join(missing)}; train it again.")
    return _kind(kind).arrays(*(np.asarray(arrays[name]) for name in fields))


def check(branch: str, by_group: Sequence[Any], groups: int) -> None:
    """Holds the scorers of a branch against what their fields are declared to be.

    Raises:
        ValueError: there is not one for each of so many groups, an array has another shape or no
            numbers, or the scorers are of features of different sizes.
    """
    if len(by_group) != groups:
        raise ValueError(f"{len(by_group)} scorers of {branch} for {groups} machines")
    sizes: set[int] = set()
    for scorer in by_group:
        for part in scorer.parts if isinstance(scorer, Nearest | Mean) else (scorer,):
            sizes.add(_checked(branch, part))
    if len(sizes) > 1:
        raise ValueError(f"the scorers of {branch} are of features of different sizes")


def _checked(branch: str, scorer: Any) -> int:
    """The size of the features that a scorer is of, by the names of its arrays' axes."""
    found: dict[str, int] = {}
    for name, hint in typing.get_type_hints(type(scorer)).items():
        value = getattr(scorer, name)
        axes = typing.get_args(hint)[0].dim_str.split()
        sizes = [int(axis) if axis.isdecimal() else axis for axis in axes]
        numbers = value.dtype.kind in "fiub" and not np.isnan(value).any()
        fits = len(sizes) == value.ndim and all(
            size == (axis if isinstance(axis, int) else found.setdefault(axis, size))
            for axis, size in zip(sizes, value.shape, strict=True)
        )
        if not fits or not numbers:
            raise ValueError(
                f"{name} of a scorer of {branch} is {value.dtype} {value.shape}, not numbers "
                f"({', '.join(axes)})"
            )
    return found.get("dim", 0)


def _parts(kind: str, arrays: Mapping[str, np.ndarray]) -> tuple[Any, ...]:
    found: dict[str, dict[str, np.ndarray]] = {}
    for name in arrays:
        number, _, field = name.partition("/")
        found.setdefault(number, {})[field] = arrays[name]
    return tuple(from_arrays(kind, found[number]) for number in sorted(found, key=int))
