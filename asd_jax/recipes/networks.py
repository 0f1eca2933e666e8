"""The networks of the ensemble, built from its settings, and what they are fed."""

import dataclasses

from asd_jax.features.logmel import LogMel
from asd_jax.models.model import Model
from asd_jax.recipes import settings

PROJECTION = 512  # width of the SimSiam head and of both embeddings that are fused


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
    features = config.features
    return LogMel(
        sample_rate=config.data.sample_rate,
        n_mels=features.n_mels,
        n_fft=features.n_fft,
        hop_length=features.hop_length,
        channels=tuple(features.channels),
    )


def clip_samples(config: settings.Ensemble) -> int:
    """Samples of one clip."""
    return round(config.data.clip_seconds * config.data.sample_rate)
