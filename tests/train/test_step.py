import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.runs.settings import Optimizer
from asd_jax.train.optimizer import make_optimizer
from asd_jax.train.sharding import data_mesh
from asd_jax.train.state import create_state
from asd_jax.train.step import compile_step, make_step, parts_of

RATES = {"net": Optimizer("sgd", 0.1, 0.0, 0.9)}


def squares(params, state, batch, key):
    """Without BatchNorm, so that parts add up to the whole; the stats count the parts."""
    error = batch["x"] @ params["net"]["w"] - batch["y"]
    stats = {"net": {"calls": state.stats["net"]["calls"] + 1}}
    return jnp.square(error).mean(), (stats, {"size": jnp.abs(error).mean()})


def trained(accumulate, steps=3):
    rng = np.random.default_rng(0)
    optimizer = make_optimizer(RATES, 10)
    variables = {"params": {"w": jnp.ones(5)}, "batch_stats": {"calls": jnp.zeros(())}}
    state = create_state(jax.random.key(0), {"net": variables}, optimizer)
    batch = {
        "x": rng.standard_normal((12, 5)).astype(np.float32),
        "y": rng.standard_normal(12).astype(np.float32),
    }
    step = compile_step(make_step(squares, optimizer, accumulate=accumulate), data_mesh(1))
    for _ in range(steps):
        state, metrics = step(state, batch)
    return state, metrics


@pytest.mark.parametrize("parts", [2, 3, 12])
def test_parts_add_up_to_the_whole_batch(parts):
    whole, seen = trained(1)
    state, metrics = trained(parts)
    np.testing.assert_allclose(state.params["net"]["w"], whole.params["net"]["w"], rtol=1e-5)
    np.testing.assert_allclose(metrics["loss"], seen["loss"], rtol=1e-5)
    np.testing.assert_allclose(metrics["size"], seen["size"], rtol=1e-5)


def test_every_part_moves_the_averages():
    assert trained(3)[0].stats["net"]["calls"] == 9


def test_parts_are_of_equal_size():
    assert parts_of(12, 1) == 1
    assert parts_of(12, 5) == 6
    assert parts_of(12, 50) == 12
    assert parts_of(7, 2) == 7


def test_each_part_draws_its_own_numbers():
    def drawn(params, state, batch, key):
        value = jax.random.uniform(key) * params["net"]["w"].sum()
        return value, ({"net": {}}, {"square": jax.random.uniform(key) ** 2})

    optimizer = make_optimizer(RATES, 10)
    variables = {"params": {"w": jnp.ones(1)}, "batch_stats": {}}
    state = create_state(jax.random.key(0), {"net": variables}, optimizer)
    _, metrics = make_step(drawn, optimizer, accumulate=4)(state, {"x": jnp.zeros(8)})
    assert metrics["square"] > metrics["loss"] ** 2 + 1e-4  # equal if all drew the same
