"""The detector as one pure program: int16 waveforms in, every machine's scores out.

Each clip is scored as each machine at once. That costs next to nothing beside the networks, needs
no decision inside the program, and tells which machine explains a clip whose machine is unknown.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from asd_jax.features.logmel import LogMel, to_float
from asd_jax.recipes.ensemble import branches
from asd_jax.recipes.ensemble.networks import Networks
from asd_jax.recipes.ensemble.settings import Ensemble as Settings
from asd_jax.scoring import ensemble as ensembles
from asd_jax.scoring import scorers
from asd_jax.types import RawWaves, Tree

LEARNED = ("encoder", "temporal", "fusion")


class DetectorArrays(NamedTuple):
    """All arrays of a detector that its scores depend on: arguments, so that programs are shared.

    Attributes:
        variables: of the networks in their folded form, by name, and the normaliser.
        scorers: by branch, those of all machines: stacked where they are alike, else a tuple.
        mean, std, mixing: the ensemble's tables, `[groups, branches]`.
    """

    variables: Mapping[str, Tree]
    scorers: Mapping[str, Any]
    mean: Float[Array | np.ndarray, "groups branches"]
    std: Float[Array | np.ndarray, "groups branches"]
    mixing: Float[Array | np.ndarray, "groups branches"]


class Scores(NamedTuple):
    """Scores of each clip as each machine; higher is more anomalous.

    Attributes:
        score: the ensemble's.
        branches: raw scores by branch.
    """

    score: Float[Array, "batch groups"]
    branches: dict[str, Float[Array, "batch groups"]]


Inference = Callable[[DetectorArrays, RawWaves], Scores]


def detector_arrays(
    variables: Mapping[str, Tree],
    by_group: Mapping[str, Sequence[Any]],
    ensemble: ensembles.BranchWeights,
    groups: Sequence[tuple[str, str]],
) -> DetectorArrays:
    """Puts a detector's arrays into the form that `make_inference` takes, machines as in `groups`.

    The variables are folded ones, see `fold`.
    """
    rows = ensembles.group_index(ensemble, groups, len(groups))
    tables = (table[rows] for table in (ensemble.mean, ensemble.std, ensemble.mixing))
    return DetectorArrays(
        dict(variables),
        {name: _stacked(found) for name, found in by_group.items()},
        *(np.asarray(table, np.float32) for table in tables),
    )


def fold(nets: Networks, variables: Mapping[str, Tree]) -> dict[str, Tree]:
    """The variables with each network's BatchNorm in its filters; folded ones stay as they are."""
    return {
        name: getattr(nets, name).fold(tree) if name in LEARNED else tree
        for name, tree in variables.items()
    }


def is_folded(variables: Mapping[str, Tree]) -> bool:
    """Whether `fold` would change nothing."""
    return all("folded" in variables[name] for name in LEARNED if name in variables)


def make_scorer(
    ensemble: ensembles.BranchWeights,
) -> Callable[[DetectorArrays, Mapping[str, Array]], Scores]:
    """Returns `score(arrays, features) -> Scores`, pure: from the branches' features to scores."""

    def score(found: DetectorArrays, features: Mapping[str, Array]) -> Scores:
        raw = {
            name: _each(lambda scorer, x=features[name]: scorers.score(scorer, x), by_group)
            for name, by_group in found.scorers.items()
        }
        stacked = jnp.stack([raw[name] for name in ensemble.branches], axis=-1)
        tables = (table[:, None] for table in (found.mean, found.std, found.mixing))
        total = ensembles.weighted_sum(stacked, *tables, rule=ensemble.rule)
        return Scores(jnp.asarray(total).T, {name: values.T for name, values in raw.items()})

    return score


def make_inference(
    config: Settings, nets: Networks, spec: LogMel, ensemble: ensembles.BranchWeights
) -> Inference:
    """Returns `infer(arrays, wave) -> Scores`, pure: from waveforms (see `to_float`) to scores."""
    extract, score = branches.make_extractor(config, nets, spec), make_scorer(ensemble)
    return lambda found, wave: score(found, extract(found.variables, to_float(wave)))


def _each(function: Callable[[Any], Array], by_group: Any) -> Array:
    """The function of each machine's scorer, `[groups, batch]`."""
    if isinstance(by_group, tuple) and not hasattr(by_group, "_fields"):
        return jnp.stack([function(scorer) for scorer in by_group])
    return jax.vmap(function)(by_group)


def _stacked(found: Sequence[Any]) -> Any:
    """Scorers of one kind and one size as one with a leading axis; others as a tuple."""
    shapes = {
        (jax.tree.structure(s), tuple(np.shape(leaf) for leaf in jax.tree.leaves(s))) for s in found
    }
    if len(shapes) > 1:
        return tuple(found)
    return jax.tree.map(lambda *values: np.stack(values), *found)
