"""A network that knows its rows: what its head sees, and that it survives folding."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.errors import UserError
from asd_jax.models.classifiers import build_classifier
from asd_jax.models.rows import body_of, row_statistics, with_body


def pictures(batch=4, height=32, width=16, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, height, width, 3)).astype(np.float32)


def small(size=32, **options):
    net = build_classifier("cnn", width=0.25, input_size=size, **options)
    return net, net.init(jax.random.key(0))


def applied(net, *, train):
    """Its `apply` as one program."""
    options = {"key": jax.random.key(1)} if train else {}
    return jax.jit(functools.partial(net.apply, train=train, **options))


def test_statistics_are_means_and_deviations_over_time():
    x = pictures()
    grey = x.mean(-1)
    want = np.concatenate([grey.mean(2), grey.std(2)], 1)
    np.testing.assert_allclose(row_statistics(jnp.asarray(x)), want, atol=1e-4)


def test_a_row_that_never_changes_has_a_finite_gradient():
    gradient = jax.jit(jax.grad(lambda x: row_statistics(x).sum()))(jnp.zeros((1, 4, 8, 3)))
    assert np.isfinite(gradient).all()


def test_rows_are_normalised_each_by_itself():
    net, variables = small(normalise_rows=True)
    x, apply = pictures(), applied(net, train=True)
    (outputs, _), stats = apply(variables, x)
    mean = np.asarray(stats["input"]["mean"])
    np.testing.assert_allclose(mean, 0.1 * x.mean((0, 2, 3)), atol=1e-5)
    # In training no row's level or spread reaches the network.
    louder = x * np.linspace(1, 9, 32)[None, :, None, None] + np.arange(32)[None, :, None, None]
    (same, _), _ = apply(variables, louder.astype(np.float32))
    np.testing.assert_allclose(same, outputs, atol=2e-3)


def test_the_head_adds_a_linear_function_of_the_rows():
    net, variables = small(normalise_rows=True, head="rows")
    x = jnp.asarray(pictures())
    params = dict(variables["params"])
    assert not np.any(params["wide"])  # until it is fitted
    params["wide"] = np.random.default_rng(0).normal(size=(64, 1)).astype(np.float32)
    apply = applied(net, train=False)
    (logits, intermediates), _ = apply({**variables, "params": params}, x)
    rows = np.asarray(row_statistics(x))  # as they come, not as the network sees them
    deep = np.asarray(intermediates["embedding"])[:, :-64]
    np.testing.assert_allclose(intermediates["embedding"][:, -64:], rows, atol=1e-6)
    last = params["classifier"]
    want = deep @ np.asarray(last["kernel"]) + np.asarray(last["bias"]) + rows @ params["wide"]
    np.testing.assert_allclose(logits, want, atol=1e-3)


def test_training_leaves_the_wide_part_alone():
    net, variables = small(head="rows")

    def loss(params):
        (logits, _), _ = applied(net, train=True)({**variables, "params": params}, pictures())
        return logits.sum()

    gradient = jax.jit(jax.grad(loss))(variables["params"])
    assert not np.any(gradient["wide"]) and np.any(gradient["classifier"]["kernel"])


def test_the_head_hears_where_the_mean_over_the_map_does_not():
    """One and the same pattern at another height: alike to a mean over positions."""
    net, variables = small(64, head="rows")
    low, high = np.zeros((2, 1, 64, 16, 3), np.float32)
    low[:, 16:24], high[:, 32:40] = 1.0, 1.0
    apply = applied(net, train=False)
    (_, first), _ = apply(variables, low)
    (_, second), _ = apply(variables, high)
    deep = first["embedding"].shape[1] - 2 * 64
    first, second = first["embedding"][0], second["embedding"][0]
    np.testing.assert_allclose(first[:deep], second[:deep], atol=1e-5)
    assert np.abs(first[deep:] - second[deep:]).max() > 0.5


def test_folded_variables_give_the_same_logits():
    net, variables = small(normalise_rows=True, head="rows")
    _, stats = applied(net, train=True)(variables, pictures())
    variables = {"params": variables["params"], "batch_stats": stats}
    x, apply = pictures(seed=1), applied(net, train=False)
    (plain, _), _ = apply(variables, x)
    (folded, _), _ = apply(net.fold(variables), x)
    np.testing.assert_allclose(plain, folded, atol=1e-4)


def test_without_options_nothing_is_around_the_network():
    _, plain = small()
    assert body_of(plain) is plain and "classifier" in plain["params"]
    _, whole = small(head="rows")
    body = body_of(whole)
    assert "stage1" in body["params"] and "classifier" not in body["params"]
    changed = jax.tree.map(lambda leaf: leaf + 1, body)
    again = body_of(with_body(whole, changed))
    jax.tree.map(np.testing.assert_array_equal, again, changed)
    assert with_body(plain, changed) is changed


def test_an_unknown_head_is_refused():
    with pytest.raises(UserError, match=r"network\.head is 'flat'; known are mean, rows"):
        small(head="flat")
