"""Optimizers against optax, schedules against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from asd_jax.runs.settings import Optimizer
from asd_jax.train.optimizer import learning_rate, make_optimizer


def references(kind):
    if kind == "sgd":
        return optax.chain(optax.add_decayed_weights(0.01), optax.sgd(0.1, momentum=0.9))
    return optax.adamw(0.1, weight_decay=0.01)


def gradient_like(params, step):
    return jax.tree.map(lambda p: jnp.sin(3 * p) + step, params)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_five_updates_equal_optax(kind):
    ours = make_optimizer({"net": Optimizer(kind, 0.1, 0.01)}, 5)
    theirs = references(kind)
    params = {"net": {"w": jnp.linspace(-1.0, 1.0, 7)}}
    expected, state = params["net"], theirs.init(params["net"])
    opt_state = ours.init(params)
    rates = {name: jnp.float32(value) for name, value in ours.tunables.items()}
    for step in range(5):
        gradients = {"net": gradient_like(params["net"], step)}
        updates, state = theirs.update(gradient_like(expected, step), state, expected)
        expected = optax.apply_updates(expected, updates)
        params, opt_state = ours.update(gradients, opt_state, params, jnp.int32(step), rates)
    np.testing.assert_allclose(params["net"]["w"], expected["w"], rtol=2e-6)


def test_networks_keep_their_own_rates():
    ours = make_optimizer({"a": Optimizer("sgd", 0.1), "b": Optimizer("sgd", 1e-30)}, 5)
    params = {"a": {"w": jnp.ones(2)}, "b": {"w": jnp.ones(2)}}
    rates = {name: jnp.float32(value) for name, value in ours.tunables.items()}
    new, _ = ours.update(params, ours.init(params), params, jnp.int32(0), rates)
    np.testing.assert_allclose(new["a"]["w"], 0.9, rtol=1e-6)
    np.testing.assert_allclose(new["b"]["w"], 1.0)


def test_cosine_with_warmup_equals_optax():
    settings = Optimizer("sgd", 0.5, schedule="cosine", warmup=0.2)
    cosine = optax.cosine_decay_schedule(0.5, 80)
    for step in (0, 10, 19, 20, 50, 99):
        expected = 0.5 * (step + 1) / 20 if step < 20 else cosine(step - 20)
        rate = learning_rate(settings, jnp.float32(0.5), jnp.int32(step), 100)
        np.testing.assert_allclose(rate, expected, rtol=1e-5, atol=1e-8)


def test_cosine_ends_at_its_final_share():
    settings = Optimizer("sgd", 0.01, schedule="cosine", final=0.1)
    cosine = optax.cosine_decay_schedule(0.01, 200, alpha=0.1)
    for step in (0, 50, 199, 200, 300):
        rate = learning_rate(settings, jnp.float32(0.01), jnp.int32(step), 200)
        np.testing.assert_allclose(rate, cosine(step), rtol=1e-5)


def test_stages_of_different_length_are_one_program():
    def program(total):
        ours = make_optimizer({"net": Optimizer("sgd", 0.1, schedule="cosine", warmup=0.1)}, total)
        params = {"net": {"w": jnp.ones(3)}}
        rates = {name: jnp.float32(value) for name, value in ours.tunables.items()}
        arguments = (params, ours.init(params), params, jnp.int32(0), rates)
        return str(jax.make_jaxpr(ours.update)(*arguments))

    assert program(5) == program(500)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_the_moments_begin_as_optax_begins_them(kind):
    params = {"net": {"w": jnp.ones((2, 3)), "b": jnp.ones(3, jnp.bfloat16)}}
    optimizer = make_optimizer({"net": Optimizer(kind, 0.1)}, 10)
    theirs = optax.trace(0.9) if kind == "sgd" else optax.scale_by_adam()
    want = {"net": theirs.init(params["net"])}
    got = optimizer.init(params)
    assert jax.tree.structure(got) == jax.tree.structure(want)
    jax.tree.map(np.testing.assert_array_equal, got, want)
    assert [x.dtype for x in jax.tree.leaves(got)] == [x.dtype for x in jax.tree.leaves(want)]
