"""Four runs of a stage at the quickstart's size: a step of each, side by side or in turn."""

import importlib.util
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from asd_jax.runs.recipe import programs
from asd_jax.train.pack import stacked, stacked_shapes
from asd_jax.train.sharding import data_mesh, runs_mesh
from asd_jax.train.step import compile_packed, compile_step
from tests.benchmarks.protocol import Work

RUNS = 4
CONFIG = pathlib.Path(__file__).resolve().parents[3] / "configs" / "ensemble.py"


def build(variant: dict[str, Any], program: dict[str, Any]) -> Work:
    """A step of each run; variant 'side by side' or 'in turn', program a stage."""
    spec = importlib.util.spec_from_file_location("ensemble_config", CONFIG)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    values = module.get_config("quickstart").to_dict()
    (stage,) = programs(values, {program["stage"]: 480}, 8).values()
    states = [_drawn(stage.state, seed) for seed in range(RUNS)]
    batches = [_drawn(dict(stage.batch), seed) for seed in range(RUNS)]
    if variant["form"] == "side by side":
        mesh = runs_mesh(RUNS)
        shapes = stacked_shapes((stage.state, dict(stage.batch)), RUNS)
        run = compile_packed(stage.step, mesh).lower(*shapes).compile()
        state, batch = stacked(states, mesh), stacked(batches, mesh)

        def together() -> None:
            nonlocal state
            state, metrics = run(state, batch)
            jax.block_until_ready((state.params, metrics))

        return Work(together)
    step = compile_step(stage.step, data_mesh(1))
    run = step.lower(stage.state, dict(stage.batch)).compile()
    placed = jax.device_put(batches)

    def in_turn() -> None:
        for place in range(RUNS):
            states[place], metrics = run(states[place], placed[place])
            jax.block_until_ready((states[place].params, metrics))

    return Work(in_turn)


def _drawn(shapes: Any, seed: int) -> Any:
    """Numbers of these shapes: a step takes as long with them as with those of a real run."""
    rng = np.random.default_rng(seed)

    def one(leaf: Any) -> Any:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.key(seed)
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            return jnp.asarray(0.1 * rng.random(leaf.shape), leaf.dtype)
        high = 1000 if leaf.dtype == jnp.int16 else 2
        return jnp.asarray(rng.integers(0, high, leaf.shape), leaf.dtype)

    return jax.tree.map(one, shapes)
