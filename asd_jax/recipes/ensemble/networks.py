"""The networks of the ensemble, built from its settings, and what they are fed."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from asd_jax.features.logmel import LogMel, num_frames
from asd_jax.recipes.ensemble import settings
from asd_jax.runs.settings import Compute

PROJECTION = 512  # width of the SimSiam heads
TEMPORAL = {"modulation": 128, "table1": 512}  # width of the waveform network's embedding
FUSED = 128  # width of the fused embedding (Table 2, layer 5)

# `asd_jax.models.Model`. Flax comes with it, whose import a detector that is kept as traced need
# not wait for; so models are imported where networks are built.
Model = Any


@dataclasses.dataclass(frozen=True)
class Networks:
    """Every network of the recipe; their variables live in the states and in the detector."""

    encoder: Model
    projector: Model
    predictor: Model
    identify: Model  # class centres on the encoder's embedding
    temporal: Model
    temporal_identify: Model
    fusion: Model
    fusion_identify: Model


def front_end(config: settings.Ensemble) -> LogMel:
    """The log-mel settings of the run."""
    return config.features.at(config.data.sample_rate)


def clip_samples(config: settings.Ensemble) -> int:
    """Samples of one clip."""
    return config.data.samples


def members(config: settings.Ensemble, branch: str) -> int:
    """Counts the networks whose embeddings stand side by side in a branch."""
    return config.encoder.members if branch == "spectral" else 1


def temporal_dim(config: settings.Ensemble) -> int:
    """Width of the waveform network's embedding."""
    return TEMPORAL[config.temporal.name]


def build(config: settings.Ensemble, classes: int) -> Networks:
    """All networks of the run as they score, for so many machines to tell apart."""
    return build_for_training(dataclasses.replace(config, compute=Compute()), classes)


def build_for_training(config: settings.Ensemble, classes: int) -> Networks:
    """The same networks as `config.compute` has them train; the variables are the same."""
    from asd_jax import models

    compute = config.compute
    body: dict[str, Any] = {
        "dtype": jnp.dtype(compute.precision),
        "rematerialise": compute.rematerialise,
    }
    spec, encoder = front_end(config), config.encoder
    samples, dim, waveform = clip_samples(config), encoder.embed_dim, temporal_dim(config)
    shape = (spec.n_mels, num_frames(samples, spec), len(spec.channels))

    def centres(width: int) -> Model:
        return models.class_centres(classes, width, sub_centres=config.arcface.sub_centres)

    own: dict[str, Any] = {"embedding_norm": encoder.embedding_norm}
    if encoder.name == "ghostnetv2":
        own["pool"] = encoder.pool
    if encoder.name == "band_cnn":
        own["members"] = encoder.members
    return Networks(
        encoder=models.backbone(
            encoder.name, shape, width=encoder.width, embed_dim=dim, **own, **body
        ),
        projector=models.projector(dim, out=PROJECTION),
        predictor=models.predictor(PROJECTION, hidden=config.pretrain.predictor_hidden),
        identify=centres(dim),
        temporal=_waveform_network(config, samples, body),
        temporal_identify=centres(waveform),
        fusion=models.fusion((waveform, dim), embed_dim=FUSED),
        fusion_identify=centres(FUSED),
    )


def _waveform_network(config: settings.Ensemble, samples: int, body: dict[str, Any]) -> Model:
    from asd_jax import models

    own: dict[str, Any] = {"embedding_norm": config.temporal.embedding_norm}
    if config.temporal.name == "table1":
        return models.temporal((samples,), **own, **body)
    own |= {"sample_rate": config.data.sample_rate, "embed_dim": temporal_dim(config)}
    return models.modulation((samples,), **own)  # so small that it computes in float32
