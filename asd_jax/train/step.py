"""From a loss to `step(state, batch) -> (state, metrics)`, the one idea that the rest hangs on."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array

from asd_jax.train.sharding import by_run, replicated, sharded, traced_for
from asd_jax.train.state import TrainState, TunableOptimizer
from asd_jax.types import Tree

Metrics = dict[str, Array]
# loss(params, state, batch, key) -> (scalar loss, (new BatchNorm statistics, metrics))
Loss = Callable[[dict[str, Tree], TrainState, dict[str, Array], Array], tuple]
Step = Callable[[TrainState, dict[str, Array]], tuple[TrainState, Metrics]]


def make_step(
    loss: Loss, optimizer: TunableOptimizer, *, ema: float = 0.0, accumulate: int = 1
) -> Step:
    """A pure training step; jit it with `compile_step`, or vmap it over a `runs` axis first.

    The key of step n is `fold_in(state.key, n)`, so a resumed run draws what it would have drawn.

    Args:
        loss: what is minimised.
        optimizer: of all networks.
        ema: decay of the running average of the parameters; 0 for none.
        accumulate: parts of equal size that the batch is computed in, one after another, for a
            batch that does not fit into memory. The update is that of the mean gradient. It is not
            quite that of the whole batch: BatchNorm, and what pairs the clips of a batch, see a
            part.
    """
    gradient = jax.value_and_grad(loss, has_aux=True)
    if accumulate > 1:
        gradient = _in_parts(gradient, accumulate)

    def step(state: TrainState, batch: dict[str, Array]) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(state.key, state.step)
        (value, (stats, metrics)), gradients = gradient(state.params, state, batch, key)
        params, opt_state = optimizer.update(
            gradients, state.opt_state, state.params, state.step, state.tunables
        )
        # For the log: the rates are computed anyhow, and the norm reads the gradients once more.
        rates = optimizer.rates(state.step, state.tunables)
        told = {"gradient_norm": optax.global_norm(gradients), **rates}
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
        return state, {"loss": value, **metrics, **told}

    return step


def parts_of(batch_size: int, wished: int) -> int:
    """The fewest parts of equal size, at least `wished`, that a batch divides into."""
    return next(n for n in range(min(wished, batch_size), batch_size + 1) if batch_size % n == 0)


def _in_parts(gradient: Callable, parts: int) -> Callable:
    """`gradient` of the mean over `parts` of the batch.

    BatchNorm's averages go from one part to the next, as they would over as many steps.
    """

    def mean_gradient(params: Tree, state: TrainState, batch: Tree, key: Array) -> tuple:
        # Every parts-th clip: a device that holds a run of clips has as many of each part.
        split = jax.tree.map(lambda x: _every(x, parts), batch)
        first = jax.tree.map(lambda x: x[0], split)
        shapes = jax.eval_shape(gradient, params, state, first, key)
        (value, (_, metrics)), gradients = jax.tree.map(
            lambda x: jnp.zeros(x.shape, x.dtype), shapes
        )

        def add(carry: tuple, part: tuple) -> tuple:
            stats, total = carry
            number, clips = part
            (value, (stats, metrics)), gradients = gradient(
                params, state._replace(stats=stats), clips, jax.random.fold_in(key, number)
            )
            return (stats, jax.tree.map(jnp.add, total, (value, metrics, gradients))), None

        start = (state.stats, (value, metrics, gradients))
        (stats, total), _ = jax.lax.scan(add, start, (jnp.arange(parts), split))
        value, metrics, gradients = jax.tree.map(lambda x: x / parts, total)
        return (value, (stats, metrics)), gradients

    return mean_gradient


def _every(x: Array, parts: int) -> Array:
    """`[parts, batch / parts, ...]`: part i has the rows i, i + parts, ..."""
    return jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0)


def compile_step(step: Step, mesh: Mesh) -> jax.stages.Wrapped:
    """Jits `step` over `mesh`: state replicated and donated, batch split over `data`."""
    same, split = replicated(mesh), sharded(mesh)

    @functools.wraps(step)
    def on_mesh(state: TrainState, batch: dict[str, Array]) -> tuple[TrainState, Metrics]:
        with traced_for(mesh):
            return step(state, batch)

    return jax.jit(
        on_mesh, in_shardings=(same, split), out_shardings=(same, same), donate_argnums=(0,)
    )


def compile_packed(step: Step, mesh: Mesh) -> jax.stages.Wrapped:
    """Jits `step` for several runs side by side.

    State and batch have a leading axis of runs, split over `mesh` (`sharding.runs_mesh`). Each
    device has its runs whole: nothing crosses, and each run computes what it would alone. A run
    whose last step is done stays as it is while longer ones go on.
    """
    split, runs = by_run(mesh), PartitionSpec("runs")

    def until_done(state: TrainState, batch: dict[str, Array]) -> tuple[TrainState, Metrics]:
        after, metrics = step(state, batch)
        going = state.step < state.tunables["total_steps"]
        return jax.tree.map(lambda new, old: jnp.where(going, new, old), after, state), metrics

    together = jax.shard_map(
        jax.vmap(until_done), mesh=mesh, in_specs=runs, out_specs=runs, check_vma=False
    )
    return jax.jit(
        together, in_shardings=(split, split), out_shardings=(split, split), donate_argnums=(0,)
    )


def mean_over_batch(values: Array) -> Array:
    """The mean of `[batch]` values in float32, whatever the network computed in."""
    return jnp.mean(values.astype(jnp.float32))
