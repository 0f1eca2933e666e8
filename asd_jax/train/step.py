"""From a loss to `step(state, batch) -> (state, metrics)`, the one idea that the rest hangs on."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array

from asd_jax.train.sharding import replicated, sharded, traced_for
from asd_jax.train.state import Optimizer, TrainState

Tree = Any
Metrics = dict[str, Array]
# loss(params, state, batch, key) -> (scalar loss, (new BatchNorm statistics, metrics))
Loss = Callable[[dict[str, Tree], TrainState, dict[str, Array], Array], tuple]
Step = Callable[[TrainState, dict[str, Array]], tuple[TrainState, Metrics]]


def make_step(loss: Loss, optimizer: Optimizer, *, ema: float = 0.0) -> Step:
    """A pure training step; jit it with `compile_step`, or vmap it over a `runs` axis first.

    The key of step n is `fold_in(state.key, n)`, so a resumed run draws what it would have drawn.
    """

    def step(state: TrainState, batch: dict[str, Array]) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(state.key, state.step)
        gradient = jax.value_and_grad(loss, has_aux=True)
        (value, (stats, metrics)), gradients = gradient(state.params, state, batch, key)
        params, opt_state = optimizer.update(
            gradients, state.opt_state, state.params, state.step, state.tunables
        )
        average = state.average
        if ema:
            average = jax.tree.map(lambda a, p: ema * a + (1 - ema) * p, average, params)
        state = state._replace(
            step=state.step + 1,
            params=params,
            stats=stats,
            opt_state=opt_state,
            average=average,
        )
        return state, {"loss": value, **metrics}

    return step


def compile_step(step: Step, mesh: Mesh) -> Step:
    """Jits `step` over `mesh`: state replicated and donated, batch split over `data`."""
    same, split = replicated(mesh), sharded(mesh)

    @functools.wraps(step)
    def on_mesh(state: TrainState, batch: dict[str, Array]) -> tuple[TrainState, Metrics]:
        with traced_for(mesh):
            return step(state, batch)

    return jax.jit(
        on_mesh, in_shardings=(same, split), out_shardings=(same, same), donate_argnums=(0,)
    )


def mean_over_batch(values: Array) -> Array:
    """The mean in float32, whatever the network computed in."""
    return jnp.mean(values.astype(jnp.float32))
