"""What training carries from step to step, as one pytree."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from asd_jax.types import Tree


class TrainState(NamedTuple):
    """The state of a stage.

    Networks are addressed by name: `params["encoder"]`, `stats["encoder"]`, ...
    """

    step: Int[Array, "*runs"]  # updates made so far
    key: Array  # the run's root key; a step folds its number into it
    params: dict[str, Tree]  # of the networks that learn
    stats: dict[str, Tree]  # their BatchNorm statistics
    opt_state: Tree
    tunables: dict[str, Float[Array, "*runs"]]  # scalars that leave shapes alone
    frozen: dict[str, Tree]  # variables of fixed networks, normaliser
    average: dict[str, Tree]  # exponential moving average of params; {} when off


class TunableOptimizer(NamedTuple):
    """An optimizer over several named networks whose rates are read from the state's tunables."""

    init: Callable[[dict[str, Tree]], Tree]
    update: Callable[..., tuple[dict[str, Tree], Tree]]
    tunables: dict[str, float]
    # of a step and the tunables the learning rate of each network, for the log
    rates: Callable[..., dict[str, Array]] = lambda step, tunables: {}


def create_state(
    key: Array,
    variables: Mapping[str, Mapping[str, Tree]],
    optimizer: TunableOptimizer,
    *,
    tunables: Mapping[str, float] | None = None,
    frozen: Mapping[str, Tree] | None = None,
    average: bool = False,
) -> TrainState:
    """The state before the first step.

    Args:
        key: the run's root key.
        variables: `{"params", "batch_stats"}` of each network that learns, by name.
        optimizer: see `asd_jax.train.optimizer.make_optimizer`.
        tunables: scalars of the loss; the optimizer's are added.
        frozen: whatever the loss needs besides, not learned.
        average: keep an exponential moving average of the parameters.
    """
    params = {name: tree["params"] for name, tree in variables.items()}
    scalars = {**optimizer.tunables, **(tunables or {})}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        params=params,
        stats={name: tree.get("batch_stats", {}) for name, tree in variables.items()},
        opt_state=optimizer.init(params),
        tunables={name: jnp.asarray(value, jnp.float32) for name, value in scalars.items()},
        frozen=dict(frozen or {}),
        average=jax.tree.map(jnp.array, params) if average else {},
    )


def own(tree: Tree) -> Tree:
    """Copies on the host, for a state to begin with.

    Steps are given their state's memory, and with it that of whatever was placed without a copy.
    """
    return jax.tree.map(np.array, tree)


def zeros(shapes: Tree) -> Tree:
    """Zeros on the host, of such shapes and dtypes.

    A program that makes a thousand arrays of zeros would take seconds to compile.
    """
    return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)


def final_variables(state: TrainState) -> dict[str, dict[str, Tree]]:
    """The variables of each network to use after the stage: the averaged ones if there are any."""
    params = state.average or state.params
    return {
        name: {"params": tree, "batch_stats": state.stats[name]} for name, tree in params.items()
    }
