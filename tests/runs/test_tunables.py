"""Numbers of a run come from its state, so that runs that differ in them share a program."""

import dataclasses

import jax
import numpy as np
import pytest

from asd_jax.features.normalise import Normaliser
from asd_jax.recipes.ensemble import objectives, settings
from asd_jax.runs import tunables
from asd_jax.runs.settings import Data, Optimizer
from asd_jax.train.optimizer import make_optimizer
from asd_jax.train.state import create_state
from tests.recipes import tiny

CONFIG = settings.Ensemble(
    data=Data(clip_seconds=1.0),
    features=settings.Features(n_mels=32),
    augment=settings.Augment(
        transforms=("time_shift", "pitch_shift", "fade", "white_noise"),
        probability=0.5,
        shift_frames=56.0,
        mix_probability=1.0,
        mix_beta=0.0,
    ),
    arcface=settings.ArcFace(scale=30.0, margin=0.7),
    pretrain=settings.Pretrain(similarity=1.0),
)
OTHER = {
    "arcface.scale": 12.0,
    "arcface.margin": 0.2,
    "augment.probability": 0.9,
    "augment.shift_frames": 9.0,
    "augment.semitones": (-1.0, 2.0),
    "augment.fade_share": 0.2,
    "augment.snr_db": (0.0, 5.0),
    "augment.mix_probability": 0.5,
    "augment.mix_ratio": 0.2,
    "pretrain.identification": 0.3,
    "finetune.margin": 0.5,
    "finetune.scale": 2.0,
    "finetune.alpha": 0.1,
    "finetune.beta": 0.5,
    "finetune.identification": 0.4,
}
NAMES = {
    "pretrain": ("encoder", "projector", "predictor", "identify"),
    "finetune": ("encoder", "identify"),
    "temporal": ("temporal", "temporal_identify"),
    "fusion": ("fusion", "fusion_identify"),
}


def changed(fields):
    config = CONFIG
    for field in fields:
        section, name = field.split(".")
        part = dataclasses.replace(getattr(config, section), **{name: OTHER[field]})
        config = dataclasses.replace(config, **{section: part})
    return config


def case(stage, config):
    """The loss of a stage as a function of the scalars, compiled from this config."""
    nets, names = tiny.build(config, 3), NAMES[stage]
    spec = (tiny.networks.front_end(config),) if stage in ("pretrain", "finetune") else ()
    loss = getattr(objectives, f"{stage}_loss")(config, nets, *spec)
    rng = np.random.default_rng(0)
    wave = rng.integers(-9000, 9000, (6, 16000), np.int16)
    if stage == "fusion":
        width = tiny.networks.temporal_dim(config) + config.encoder.embed_dim
        wave = rng.standard_normal((6, width)).astype(np.float32)
    batch = jax.device_put({"wave": wave, "label": np.arange(6, dtype=np.int32) % 3})
    optimizer = make_optimizer(dict.fromkeys(names, Optimizer()), 1)
    level = np.zeros((32, 2), np.float32)
    state = create_state(
        jax.random.key(0),
        {name: getattr(nets, name).init(jax.random.key(1)) for name in names},
        optimizer,
        frozen={"normaliser": Normaliser(mean=level, scale=level + 0.1)},
    )

    @jax.jit
    def value(scalars):
        return loss(state.params, state._replace(tunables=scalars), batch, jax.random.key(2))[0]

    return value


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in ("pretrain", "finetune")))
        for name in NAMES
    ],
)
def test_a_program_takes_the_numbers_of_any_run(stage):
    assert set(OTHER) == set(tunables.FIELDS)
    one, other = case(stage, CONFIG), case(stage, changed(OTHER))
    before, after = tunables.collect(CONFIG), tunables.collect(changed(OTHER))
    assert one(before) != one(after)
    np.testing.assert_allclose(one(after), other(after), rtol=1e-6)
    heard = {field for field in OTHER if one(tunables.collect(changed([field]))) != one(before)}
    everywhere = {"arcface.scale", "arcface.margin"}
    waves = {field for field in OTHER if field.startswith("augment.") and "mix" not in field}
    own = {field for field in OTHER if field.startswith(stage)}
    mixed = {"augment.mix_probability", "augment.mix_ratio"}
    wanted = {"pretrain": waves | mixed, "finetune": waves, "temporal": waves, "fusion": set()}
    assert heard == everywhere | own | wanted[stage]


@pytest.mark.parametrize(
    ("field", "shared"),
    [
        ("seed", True),
        ("pretrain.backbone.learning_rate", True),
        ("augment.snr_db", True),  # read from the state
        ("scoring.rule", True),  # after the stages
        ("scoring.branches", False),
        ("encoder.width", False),
        ("features.n_mels", False),
    ],
)
def test_seeds_and_rates_share_a_program_and_networks_do_not(field, shared):
    assert tunables.may_differ(field) == shared
