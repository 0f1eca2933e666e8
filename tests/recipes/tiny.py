"""Networks of a few weights in place of the real ones, so that whole runs take seconds."""

import contextlib

import jax.numpy as jnp
import pytest
from flax import linen as nn

from asd_jax import models
from asd_jax.models.model import wrap
from asd_jax.recipes.ensemble import networks
from asd_jax.recipes.pump_classifier import network as classifier_network
from tests.runs.test_settings import get_config


class Encoder(nn.Module):
    dim: int = 512

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.Conv(4, (8, 8), (8, 8), use_bias=False)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
        return nn.Dense(self.dim)(x.mean((1, 2))), {"stage2": x}


class Waveform(nn.Module):
    dim: int

    @nn.compact
    def __call__(self, x, *, train):
        frames = x[:, : x.shape[1] // 256 * 256].reshape(x.shape[0], -1, 256)
        x = nn.relu(nn.Dense(8, use_bias=False)(frames))
        return nn.Dense(self.dim)(x.mean(1)), {}


class Fusion(nn.Module):
    @nn.compact
    def __call__(self, temporal, spectral, *, train):
        return nn.Dense(128)(jnp.concatenate([temporal, spectral], -1)), {}


class Classifier(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        x = nn.Conv(4, (8, 8), (8, 8), use_bias=False)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x)).mean((1, 2))
        return nn.Dense(1)(x), {"embedding": x}


def build_classifier(config):
    """Takes the place of `classifier_network.build`."""
    return wrap(Classifier(), (1, config.features.size, config.features.size, 3))


def bare(cls, **values):
    """An instance of a class with these attributes alone, unchecked."""
    made = object.__new__(cls)
    made.__dict__.update(values)
    return made


def build(config, classes):
    """Takes the place of `networks.build`."""
    spec, samples = networks.front_end(config), networks.clip_samples(config)
    frames, dim = networks.num_frames(samples, spec), config.encoder.embed_dim
    waveform = networks.temporal_dim(config)
    return networks.Networks(
        encoder=wrap(Encoder(dim), (1, spec.n_mels, frames, 2)),
        projector=models.projector(dim, out=512),
        predictor=models.predictor(512),
        identify=models.class_centres(classes, dim),
        temporal=wrap(Waveform(waveform), (1, samples)),
        temporal_identify=models.class_centres(classes, waveform),
        fusion=wrap(Fusion(), (1, waveform), (1, dim)),
        fusion_identify=models.class_centres(classes, 128),
    )


@contextlib.contextmanager
def in_place(tmp_path_factory):
    """Both recipes on these networks, with a cache folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "build", build)
        patch.setattr(classifier_network, "build", build_classifier)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        yield patch


def resolved(name="ensemble", argument="smoke", **changes):
    """A config file with changes such as `pretrain__epochs=0.5`."""
    values = get_config(name, argument)
    values.unlock()
    values.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
    return values
