"""SGD and AdamW over named networks, their rates read from the state rather than baked in.

Rates that are arrays let one compiled step serve many runs: a sweep over learning rates needs no
second compilation and can be vmapped.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from asd_jax.train.state import TunableOptimizer, zeros
from asd_jax.types import Tree


def _moments(settings: Any) -> optax.GradientTransformation:
    if settings.kind == "sgd":
        return optax.trace(decay=settings.momentum)
    return optax.scale_by_adam()


def learning_rate(
    settings: Any, peak: Float[Array, ""], step: Array, total_steps: ArrayLike
) -> Float[Array, ""]:
    """The rate at `step`, a scalar: linear warm-up to `peak`, then constant, or a half cosine.

    The cosine ends at `settings.final` times the peak (0, or the `lrf` of Sun 2025).
    """
    warmup = jnp.round(settings.warmup * total_steps)
    rate = peak
    if settings.schedule == "cosine":
        done = (step - warmup) / jnp.maximum(total_steps - warmup, 1.0)
        share = 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(done, 0.0, 1.0)))
        rate = peak * (settings.final + (1.0 - settings.final) * share)
    if settings.warmup:
        rate = jnp.where(step < warmup, peak * (step + 1) / warmup, rate)
    return rate


def _updates(settings: Any, gradients: Tree, moments: Tree, params: Tree, decay: Array) -> tuple:
    """The direction of one network's update. SGD decays before, AdamW after the moments."""
    if settings.kind == "sgd":
        gradients = jax.tree.map(lambda g, p: g + decay * p, gradients, params)
    direction, moments = _moments(settings).update(gradients, moments, params)
    if settings.kind == "adamw":
        direction = jax.tree.map(lambda d, p: d + decay * p, direction, params)
    return direction, moments


def make_optimizer(by_network: Mapping[str, Any], total_steps: int) -> TunableOptimizer:
    """One optimizer for each named network.

    Args:
        by_network: `asd_jax.runs.settings.Optimizer` by the network's name.
        total_steps: length of the stage, for the schedules.
    """
    # Read from the state as well: stages and runs that differ in length share one compiled step.
    tunables = {"total_steps": float(total_steps)}
    for name, settings in by_network.items():
        tunables[f"learning_rate/{name}"] = settings.learning_rate
        tunables[f"weight_decay/{name}"] = settings.weight_decay

    def init(params: dict[str, Tree]) -> Tree:
        first = {name: _moments(by_network[name]).init for name in params}
        # All moments begin at zero.
        return zeros({name: jax.eval_shape(first[name], tree) for name, tree in params.items()})

    def rate_of(name: str, step: Array, rates: Mapping[str, Array]) -> Float[Array, ""]:
        peak, total = rates[f"learning_rate/{name}"], rates["total_steps"]
        return learning_rate(by_network[name], peak, step, total)

    def rates_of(step: Array, rates: Mapping[str, Array]) -> dict[str, Array]:
        return {f"learning_rate/{name}": rate_of(name, step, rates) for name in by_network}

    def update(
        gradients: dict[str, Tree], opt_state: Tree, params: dict[str, Tree], step: Array, rates
    ) -> tuple[dict[str, Tree], Tree]:
        new_params, new_state = {}, {}
        for name, settings in by_network.items():
            decay = rates[f"weight_decay/{name}"]
            rate = rate_of(name, step, rates)
            direction, new_state[name] = _updates(
                settings, gradients[name], opt_state[name], params[name], decay
            )
            new_params[name] = jax.tree.map(
                lambda p, d, rate=rate: p - rate * d, params[name], direction
            )
        return new_params, new_state

    return TunableOptimizer(init, update, tunables, rates_of)
