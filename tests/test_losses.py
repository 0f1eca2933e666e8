"""The losses against NumPy written from the paper, and their gradients where they may break."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.losses import (
    arcface_loss,
    bce_with_logits,
    class_cosines,
    cluster_loss,
    cosine,
    l2_normalise,
    simsiam_loss,
)


def rows(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def np_cosine(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


# --- SimSiam ---------------------------------------------------------------------------------


def test_simsiam_equals_equation_3():
    p1, z1, p2, z2 = (rows(5, 8, seed=seed) for seed in range(4))
    expected = -0.5 * np_cosine(p1, z2) - 0.5 * np_cosine(p2, z1)
    loss = simsiam_loss(*map(jnp.asarray, (p1, z1, p2, z2)))
    assert loss.shape == (5,) and loss.dtype == jnp.float32
    np.testing.assert_allclose(loss, expected, atol=1e-6)


def test_simsiam_stops_the_gradient_of_the_projections():
    inputs = [jnp.asarray(rows(5, 8, seed=seed)) for seed in range(4)]
    slopes = jax.grad(lambda *x: simsiam_loss(*x).sum(), argnums=(0, 1, 2, 3))(*inputs)
    for slope, flows in zip(slopes, (True, False, True, False), strict=True):
        assert bool((slope != 0).any()) is flows


def test_half_precision_is_raised_to_float32():
    a, b = jnp.asarray(rows(3, 8)), jnp.asarray(rows(3, 8, seed=1))
    low = cosine(a.astype(jnp.bfloat16), b.astype(jnp.bfloat16))
    assert low.dtype == jnp.float32
    np.testing.assert_allclose(low, np_cosine(a, b), atol=0.02)


def test_zero_vectors_have_finite_values_and_gradients():
    zero, other = jnp.zeros((2, 8)), jnp.asarray(rows(2, 8))
    assert np.isfinite(jax.grad(lambda x: cosine(x, other).sum())(zero)).all()
    np.testing.assert_array_equal(cosine(zero, other), 0.0)
    np.testing.assert_array_equal(l2_normalise(zero), 0.0)


# --- ArcFace ---------------------------------------------------------------------------------


def np_arcface(cosines, label, s, m):
    """Equation 5 with angles; beyond pi the logit continues as cos - m sin m."""
    losses = []
    for row, target in zip(np.asarray(cosines, np.float64), label, strict=True):
        theta = np.arccos(np.clip(row[target], -1, 1))
        moved = np.cos(theta + m) if theta + m < np.pi else row[target] - m * np.sin(m)
        others = sum(np.exp(s * row[k]) for k in range(len(row)) if k != target)
        losses.append(-np.log(np.exp(s * moved) / (np.exp(s * moved) + others)))
    return np.array(losses)


@pytest.mark.parametrize(("s", "m"), [(30.0, 0.7), (64.0, 0.5), (1.0, 0.0), (10.0, 1.4)])
def test_arcface_equals_equation_5(s, m):
    cosines = np.tanh(rows(40, 6))
    cosines[0, :] = -0.99  # beyond theta + m = pi for every margin here but 0
    label = np.arange(40) % 6
    loss = arcface_loss(jnp.asarray(cosines), jnp.asarray(label), scale=s, margin=m)
    assert loss.shape == (40,)
    np.testing.assert_allclose(loss, np_arcface(cosines, label, s, m), rtol=2e-4, atol=1e-5)


def test_without_margin_arcface_is_the_softmax_cross_entropy():
    cosines, label = jnp.asarray(np.tanh(rows(6, 4))), jnp.arange(6) % 4
    expected = -jax.nn.log_softmax(5.0 * cosines)[jnp.arange(6), label]
    np.testing.assert_allclose(
        arcface_loss(cosines, label, scale=5.0, margin=0.0), expected, atol=1e-5
    )


@pytest.mark.parametrize("value", [1.0, -1.0, 1.0000002, float(np.cos(np.pi - 0.7)), 0.0])
def test_arcface_gradient_is_finite_at_the_critical_cosines(value):
    cosines = jnp.full((1, 3), value, jnp.float32)
    loss, slope = jax.value_and_grad(lambda c: arcface_loss(c, jnp.array([1])).sum())(cosines)
    assert np.isfinite(loss) and np.isfinite(slope).all()


def test_arcface_falls_as_the_target_cosine_rises():
    target = jnp.linspace(-1.0, 1.0, 201)
    cosines = jnp.stack([target, jnp.zeros_like(target)], axis=1)
    loss = arcface_loss(cosines, jnp.zeros(201, jnp.int32), scale=5.0)
    assert (np.diff(loss) < 0).all()


def test_mixed_labels_are_weighed():
    cosines = jnp.asarray(np.tanh(rows(5, 4)))
    label, partner = jnp.arange(5) % 4, (jnp.arange(5) + 1) % 4
    weight = jnp.array([0.0, 0.25, 0.4, 0.5, 1.0])
    mixed = arcface_loss(cosines, label, partner=partner, weight=weight)
    own, other = arcface_loss(cosines, label), arcface_loss(cosines, partner)
    np.testing.assert_allclose(mixed, (1 - weight) * own + weight * other, rtol=1e-6)
    np.testing.assert_allclose(mixed[0], own[0])
    np.testing.assert_allclose(mixed[4], other[4])


def test_class_cosines_take_the_nearest_centre():
    embedding, prototypes = rows(5, 8), rows(4, 3, 8, seed=1)
    cosines = class_cosines(jnp.asarray(embedding), jnp.asarray(prototypes))
    expected = np.stack(
        [np_cosine(embedding[:, None], centres[None]).max(-1) for centres in prototypes], axis=1
    )
    np.testing.assert_allclose(cosines, expected, atol=1e-6)
    flat = class_cosines(jnp.asarray(embedding), jnp.asarray(prototypes[:, 0]))
    np.testing.assert_allclose(flat[:, 2], np_cosine(embedding, prototypes[2, 0]), atol=1e-6)


def test_class_cosines_of_networks_side_by_side_are_the_mean_of_each():
    embedding, prototypes = rows(5, 8), rows(4, 3, 8, seed=1)
    embedding, prototypes = jnp.asarray(embedding), jnp.asarray(prototypes)
    cosines = class_cosines(embedding, prototypes, members=2)
    each = [class_cosines(embedding[:, k], prototypes[..., k]) for k in (slice(4), slice(4, 8))]
    np.testing.assert_allclose(cosines, np.mean(each, axis=0), atol=1e-6)


# --- Equation 6 ------------------------------------------------------------------------------


@pytest.mark.parametrize("literal", [False, True])
def test_cluster_loss_equals_equation_6(literal):
    a, p, n = (rows(30, 4, seed=seed) for seed in range(3))
    sign = -1.0 if literal else 1.0  # D of eq. 3 is the negative cosine
    angle = sign * (np_cosine(a, n) - np_cosine(a, p))
    if not literal:
        a, p, n = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, p, n))
    distance = ((a - p) ** 2).sum(-1) - ((a - n) ** 2).sum(-1) + 0.05
    hinged = distance if literal else np.maximum(distance, 0)
    expected = (hinged + 0.01) * np.exp(1.0 * angle + 0.005)
    loss, active = cluster_loss(*map(jnp.asarray, (a, p, n)), literal=literal)
    assert loss.shape == active.shape == (30,)
    np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(active, distance > 0)


def test_recommended_distance_is_the_angle_and_is_bounded_below():
    a, p, n = (jnp.asarray(rows(50, 4, seed=seed)) for seed in range(3))
    loss, active = cluster_loss(a, p, n, alpha=0.0, beta=0.0)
    angle = cosine(a, n) - cosine(a, p)
    expected = jnp.maximum(2 * angle + 0.05, 0) * jnp.exp(angle)
    np.testing.assert_allclose(loss, expected, atol=1e-5)
    assert (cluster_loss(a, 1e3 * p, 1e3 * n)[0] >= 0).all()
    # The printed form has no such floor: a far negative sends it to minus infinity.
    assert cluster_loss(a, p, 1e3 * n, literal=True)[0].mean() < -1e4
    assert 0 < active.mean() < 1


def test_descent_pulls_the_positive_and_pushes_the_negative():
    a = jnp.array([[1.0, 0.0]])
    p, n = jnp.array([[0.0, 1.0]]), jnp.array([[0.8, 0.6]])
    slope_p, slope_n = jax.grad(lambda p, n: cluster_loss(a, p, n)[0].sum(), argnums=(0, 1))(p, n)
    assert cosine(a, p - 0.1 * slope_p)[0] > cosine(a, p)[0]
    assert cosine(a, n - 0.1 * slope_n)[0] < cosine(a, n)[0]


def test_the_printed_sign_of_equation_6_pushes_the_positive_away():
    a = jnp.array([[1.0, 0.0]])
    short = 0.01 * jnp.array([[0.95, 0.3]])  # so short that L_dis hardly depends on its direction

    def turned(literal):
        slope = jax.grad(lambda p: cluster_loss(a, p, a, literal=literal)[0].sum())(short)
        return float(cosine(a, short - 1e-6 * slope)[0] - cosine(a, short)[0])

    assert turned(literal=True) < 0.0 < turned(literal=False)


@pytest.mark.parametrize("literal", [False, True])
def test_cluster_loss_gradient_is_finite_at_zero_and_at_equal_embeddings(literal):
    for a in (jnp.zeros((2, 4)), jnp.ones((2, 4))):
        slopes = jax.grad(
            lambda a, p, n: cluster_loss(a, p, n, literal=literal)[0].sum(), argnums=(0, 1, 2)
        )(a, a, a)
        assert all(np.isfinite(slope).all() for slope in slopes)


def test_bce_equals_sklearn_and_stays_finite():
    from sklearn.metrics import log_loss

    logit = np.array([-3.0, -0.5, 0.0, 2.0], np.float32)
    label = np.array([0.0, 1.0, 1.0, 0.0], np.float32)
    weight = np.where(label == 1, 2.0, 0.5)
    loss = bce_with_logits(
        jnp.asarray(logit), jnp.asarray(label), positive_weight=2.0, negative_weight=0.5
    )
    probability = 1 / (1 + np.exp(-logit.astype(np.float64)))
    for k in range(4):
        one = log_loss([label[k]], [probability[k]], labels=[0, 1])
        np.testing.assert_allclose(loss[k], weight[k] * one, rtol=1e-5)
    far = bce_with_logits(jnp.array([200.0, -200.0]), jnp.array([0.0, 0.95]))
    np.testing.assert_allclose(far, [200.0, 190.0])


def test_bce_of_a_mixed_label_is_the_mix_of_both():
    logit = jnp.array([1.3])
    zero, one = (bce_with_logits(logit, jnp.array([y])) for y in (0.0, 1.0))
    mixed = bce_with_logits(logit, jnp.array([0.3]))
    np.testing.assert_allclose(mixed, 0.3 * one + 0.7 * zero, rtol=1e-6)
