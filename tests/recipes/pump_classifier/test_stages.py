"""What the classifier's stages minimise, and by what they are validated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.recipes.pump_classifier import network, stages
from asd_jax.recipes.pump_classifier.settings import PumpClassifier
from asd_jax.runs.settings import from_config
from asd_jax.train.optimizer import make_optimizer
from asd_jax.train.state import create_state
from tests.recipes import tiny


def settings(**changes):
    values = tiny.resolved("pump_classifier", "smoke", **changes)
    return from_config(PumpClassifier, values.to_dict())


def test_weights_give_both_classes_the_same_share_of_the_loss():
    label = np.array([0] * 9 + [1])
    weighted = stages.loss_tunables(label, settings(labels__imbalance="weighted"))
    assert weighted["weight/normal"] * 9 == pytest.approx(weighted["weight/anomaly"] * 1)
    assert 9 * weighted["weight/normal"] + weighted["weight/anomaly"] == pytest.approx(10)
    printed = stages.loss_tunables(label, settings(labels__imbalance="none"))
    assert printed["weight/normal"] == printed["weight/anomaly"] == 1.0


def test_the_loss_without_mixing_is_that_of_the_smoothed_labels():
    plain = settings(labels__mixup=0.0, labels__time_shift=False)
    net = tiny.build_classifier(plain)
    variables = net.init(jax.random.key(0))
    wave = (np.random.default_rng(0).normal(size=(4, 16000)) * 3000).astype(np.int16)
    label = np.array([0, 1, 1, 0], np.int32)
    tunables = stages.loss_tunables(label, plain)
    optimizer = make_optimizer({"classifier": plain.finetune.optimizer}, 1)
    state = create_state(jax.random.key(0), {"classifier": variables}, optimizer, tunables=tunables)
    loss = stages.classifier_loss(plain, net)
    batch = {"wave": jnp.asarray(wave), "label": jnp.asarray(label)}
    value, _ = loss({"classifier": variables["params"]}, state, batch, jax.random.key(1))
    x = stages.picture(jnp.asarray(wave / 32768, jnp.float32), spec=network.front_end(plain))
    (logit, _), _ = net.apply(variables, x, train=True)
    logit, target = np.asarray(logit[:, 0], np.float64), np.where(label, 0.95, 0.05)
    expected = np.mean(np.logaddexp(0, logit) - target * logit)
    assert float(value) == pytest.approx(expected, abs=1e-4)


def test_waves_are_turned_round_each_by_its_own_time():
    wave = jnp.tile(jnp.arange(100.0), (6, 1))
    turned = np.asarray(stages.turn_round(jax.random.key(0), wave))
    for row in turned:
        np.testing.assert_array_equal(np.roll(row, -int(np.argmin(row))), np.arange(100.0))
    assert len({int(row[0]) for row in turned}) > 3


def test_mean_loss_by_class_does_not_mind_how_many_there_are():
    logit, label = np.array([-2.0, 1.0]), np.array([0, 1])
    many = np.repeat([0, 1], [9, 1])
    by_class = stages.mean_loss(logit[many], label[many], by_class=True)
    plain = stages.mean_loss(logit, label, by_class=False)
    assert by_class == pytest.approx(plain)
    expected = (np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-1.0))) / 2
    assert plain == pytest.approx(expected)
