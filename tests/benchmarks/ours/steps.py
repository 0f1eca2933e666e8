"""Steps to take apart: the networks by themselves, and a whole step of a recipe."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from asd_jax import models
from asd_jax.features.normalise import Normaliser
from asd_jax.models.attention import Attention
from asd_jax.models.classifiers import build_classifier
from asd_jax.recipes.ensemble import networks as ensemble
from asd_jax.recipes.ensemble import objectives
from asd_jax.runs import tunables
from asd_jax.train.optimizer import make_optimizer
from asd_jax.train.sharding import data_mesh
from asd_jax.train.state import TrainState, create_state
from asd_jax.train.step import Step, compile_step, make_step
from tests.benchmarks.ours.networks import PAPER, RATES, SHAPES, draw, loss_of
from tests.benchmarks.sounds import waves

BATCH = 16
MACHINES = 4


class Taken(NamedTuple):
    """A compiled step: `run()` does one, `text` is the program, `module` its name in a trace."""

    run: Callable[[], None]
    text: str
    module: str


def _taken(step: Step, state: TrainState, batch: dict[str, Any], size: int) -> Taken:
    compiled = compile_step(step, data_mesh(size)).lower(state, batch).compile()

    def run() -> None:
        nonlocal state
        state, metrics = compiled(state, batch)
        jax.block_until_ready((state.params, metrics))

    return Taken(run, compiled.as_text(), "jit_step")


def _network(name: str, size: int, attention: str = "se") -> Taken:
    if name == "efficientnetv2_s":
        net = build_classifier(name, input_size=224, attention=Attention(attention))
    else:
        net = models.backbone(name, SHAPES[name])
    optimizer = make_optimizer({"net": RATES}, 1000)
    start = {"net": net.init(jax.random.key(0))}
    state = jax.jit(lambda key: create_state(key, start, optimizer))(jax.random.key(1))
    return _taken(make_step(loss_of(net, name), optimizer), state, draw(name, size), size)


def _recipe(stage: str, names: tuple[str, ...], wave: np.ndarray) -> Taken:
    """A stage of the ensemble at the paper's size: waveforms, front end, augmentation and all.

    `wave` is a batch as the stage's loss takes it: clips, pairs of clips, or embeddings.
    """
    config = PAPER
    nets, spec = ensemble.build(config, MACHINES), ensemble.front_end(config)
    inputs = (config, nets, spec) if stage == "pretrain" else (config, nets)  # the others: waves
    loss = getattr(objectives, f"{stage}_loss")(*inputs)
    settings = getattr(config, stage)
    rates = dict.fromkeys(names, getattr(settings, "backbone", None) or settings.optimizer)
    optimizer = make_optimizer(rates, 1000)
    level = np.full((spec.n_mels, len(spec.channels)), -50.0, np.float32)
    frozen = {"normaliser": Normaliser(mean=level, scale=np.full_like(level, 0.1))}
    start = {name: getattr(nets, name).init(jax.random.key(0)) for name in names}
    scalars = tunables.collect(config)
    state = jax.jit(
        lambda key: create_state(key, start, optimizer, tunables=scalars, frozen=frozen)
    )(jax.random.key(1))
    label = np.arange(BATCH, dtype=np.int32) % MACHINES
    batch = jax.device_put({"wave": wave, "label": label})
    return _taken(make_step(loss, optimizer), state, batch, BATCH)


def _embeddings(dim: int) -> np.ndarray:
    """What the frozen encoders give: both embeddings side by side."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((BATCH, ensemble.temporal_dim(PAPER) + dim), np.float32)


STEPS_BY_NAME: dict[str, Callable[[], Taken]] = {
    "ghostnet": lambda: _network("ghostnetv2", 16),
    "efficientnet": lambda: _network("efficientnetv2_s", 8),
    "efficientnet-simam": lambda: _network("efficientnetv2_s", 8, "simam_cbam"),
    "temporal": lambda: _network("temporal", 16),
    "fusion": lambda: _recipe(
        "fusion", ("fusion", "fusion_identify"), _embeddings(PAPER.encoder.embed_dim)
    ),
    "pretrain": lambda: _recipe(
        "pretrain",
        ("encoder", "projector", "predictor", "identify"),
        waves(2 * BATCH).reshape(BATCH, 2, -1),
    ),
    "temporal-stage": lambda: _recipe("temporal", ("temporal", "temporal_identify"), waves(BATCH)),
}
