"""One device and eight give the same training: statistics and draws belong to the whole batch."""

import dataclasses

import jax
import numpy as np
import pytest

from asd_jax.recipes import networks, objectives, settings
from asd_jax.train.optimizer import make_optimizer
from asd_jax.train.sharding import data_mesh, replicated, sharded
from asd_jax.train.state import create_state
from asd_jax.train.step import compile_step, make_step
from tests.recipes import tiny

STEPS, CLASSES = 20, 3
STAGES = {
    "pretrain": ("encoder", "projector", "predictor", "identify"),
    "finetune": ("encoder", "identify"),
}


def small_config():
    config = settings.Ensemble()
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, clip_seconds=1.0),
        features=dataclasses.replace(config.features, n_mels=64),
    )


def losses(stage, devices):
    config = small_config()
    nets, spec = tiny.build(config, CLASSES), networks.front_end(config)
    loss = getattr(objectives, f"{stage}_loss")(config, nets, spec)
    names = STAGES[stage]
    # A low rate: at a high one rounding grows from step to step, as in any chaotic system.
    rate = settings.Optimizer("sgd", 3e-4, 5e-4, 0.9, "cosine")
    optimizer = make_optimizer(dict.fromkeys(names, rate), STEPS)
    variables = {
        n: getattr(nets, n).init(jax.random.fold_in(jax.random.key(0), i))
        for i, n in enumerate(names)
    }
    from asd_jax.features.normalise import Normaliser

    frozen = {"normaliser": Normaliser(mean=np.full((64, 2), -40.0, "f4"))}
    state = create_state(jax.random.key(7), variables, optimizer, frozen=frozen)
    mesh = data_mesh(devices)
    state = jax.device_put(state, replicated(mesh))
    step, values = compile_step(make_step(loss, optimizer), mesh), []
    rng = np.random.default_rng(0)
    shape = (8, 2, 16000) if stage == "pretrain" else (8, 16000)
    for _ in range(STEPS):
        batch = {
            "wave": rng.integers(-3000, 3000, shape).astype(np.int16),
            "label": rng.integers(0, CLASSES, 8).astype(np.int32),
        }
        state, metrics = step(state, jax.device_put(batch, sharded(mesh)))
        values.append(float(metrics["loss"]))
    return np.array(values)


@pytest.mark.parametrize("stage", list(STAGES))
def test_eight_devices_give_the_losses_of_one(stage):
    one, eight = losses(stage, 1), losses(stage, 8)
    assert len(set(np.round(one, 6))) > 10  # it does learn something
    np.testing.assert_allclose(one, eight, rtol=1e-4)
