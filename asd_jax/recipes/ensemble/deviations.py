"""Where a run departs from Liao et al. (2025), in sentences: `protocol.deviations`.

What the paper prints is in `PRINTED`, field by field; a field with another value is a deviation.
What it leaves open or contradicts itself in is a reading: `protocol.readings`. No jax here.
"""

import dataclasses
from typing import Any

from asd_jax.recipes.ensemble.settings import Ensemble
from asd_jax.runs.settings import flatten

# Sections 2.3 to 2.8, 3.2 and Tables 1 and 2. Two channels: "power" and "energy".
PRINTED: dict[str, Any] = {
    "data.sample_rate": 16000,
    "data.classes": "machines",
    "data.all_train": True,
    "features.n_mels": 224,
    "features.n_fft": 2048,
    "features.hop_length": 512,
    "features.channels": ("power", "magnitude"),
    "augment.transforms": ("time_shift", "pitch_shift", "fade", "white_noise"),
    "augment.shift_frames": 56.0,
    "augment.semitones": (-20.0, -20.0),
    "augment.pitch": "tempo",
    "augment.snr_db": (-10.0, 10.0),
    "augment.mix_probability": 1.0,
    "augment.splice": True,
    "augment.mix_ratio": 0.4,
    "augment.mix_beta": 0.0,
    "augment.mix_label": "ratio",
    "encoder.name": "ghostnetv2",
    "encoder.width": 1.0,
    "encoder.pool": "global",
    "encoder.embedding_norm": False,
    "encoder.members": 1,
    "arcface.sub_centres": 1,
    "pretrain.epochs": 50.0,
    "pretrain.batch_size": 128,
    "pretrain.updates": 0,
    "pretrain.ema": 0.0,
    "pretrain.pair": "same_class",
    "pretrain.similarity": 1.0,
    "pretrain.backbone.kind": "sgd",
    "pretrain.backbone.learning_rate": 0.05,
    "pretrain.backbone.weight_decay": 0.005,
    "pretrain.backbone.momentum": 0.9,
    "pretrain.backbone.schedule": "constant",
    "pretrain.backbone.warmup": 0.0,
    "pretrain.auxiliary.kind": "adamw",
    "pretrain.auxiliary.learning_rate": 0.01,
    "pretrain.auxiliary.weight_decay": 0.0,
    "pretrain.auxiliary.schedule": "cosine",
    "pretrain.auxiliary.warmup": 0.0,
    "finetune.epochs": 50.0,
    "finetune.batch_size": 64,
    "finetune.updates": 0,
    "finetune.ema": 0.0,
    "finetune.optimizer.kind": "adamw",
    "finetune.optimizer.learning_rate": 1e-3,
    "finetune.optimizer.weight_decay": 5e-4,
    "finetune.optimizer.schedule": "constant",
    "finetune.optimizer.warmup": 0.0,
    "finetune.loss": "literal",
    "finetune.negatives": "literal",
    "finetune.margin": 0.05,
    "finetune.scale": 1.0,
    "finetune.alpha": 0.01,
    "finetune.beta": 0.005,
    "finetune.identification": 0.0,
    "temporal.name": "table1",
    "temporal.epochs": 200.0,
    "temporal.batch_size": 128,
    "temporal.updates": 0,
    "temporal.ema": 0.0,
    "temporal.embedding_norm": False,
    "temporal.optimizer.kind": "adamw",
    "temporal.optimizer.learning_rate": 5e-3,
    "temporal.optimizer.weight_decay": 5e-4,
    "temporal.optimizer.schedule": "constant",
    "temporal.optimizer.warmup": 0.0,
    "fusion.epochs": 20.0,
    "fusion.batch_size": 128,
    "fusion.updates": 0,
    "fusion.ema": 0.0,
    "fusion.optimizer.kind": "sgd",
    "fusion.optimizer.learning_rate": 0.05,
    "fusion.optimizer.weight_decay": 0.005,
    "fusion.optimizer.momentum": 0.9,
    "fusion.optimizer.schedule": "constant",
    "fusion.optimizer.warmup": 0.0,
    "statistics.pool": "gwap",
    "statistics.n_mels": 0,
    "statistics.scale": "linear",
    "scoring.branches": ("fusion", "statistics"),
    "scoring.scorer": "gmm",
    "scoring.components": 1,
    "scoring.covariance": "literal",
    "scoring.per_branch": (),
    "scoring.l2": False,
    "scoring.shared": False,
    "scoring.domains": "pooled",
    "scoring.smote": 0.0,
    "scoring.rule": "literal",
    "scoring.weights": (0.9, 0.1),
    "compute.precision": "float32",
    "init_from": "",
}
# In words, where the field's name and value say too little.
_SENTENCES = {
    "data.all_train": "Networks are trained without the held-out normals; the paper trains on all.",
    "encoder.members": "Several small networks stand side by side where the paper has one.",
    "encoder.embedding_norm": "The spectrogram network's embedding has a BatchNorm that the paper "
    "does not mention.",
    "temporal.name": "The waveform network is given bands, levels and their modulation spectrum "
    "to learn from; Table 1 convolves the samples.",
    "temporal.embedding_norm": "The waveform network's embedding has a BatchNorm that Table 1 does "
    "not have.",
    **dict.fromkeys(
        (f"{stage}.updates" for stage in ("finetune", "temporal", "fusion")), ""
    ),  # of pretrain's sentence
    "pretrain.updates": "Where few clips train, batches are smaller than printed.",
    "augment.pitch": "A pitch shift changes the tempo with the pitch, as a machine's speed does; "
    "the paper's shifts the pitch alone.",
    "finetune.loss": "Eq. 6 is taken on embeddings of length 1, with a hinge on the distance and "
    "with D as the cosine similarity; as printed it has no lower bound, and the sign of eq. 3 "
    "pushes the positive away.",
    "finetune.negatives": "Near-normal pseudo-anomalies stand beside the paper's flip and plus.",
    "finetune.identification": "Fine-tuning goes on to identify; as printed it has eq. 6 alone.",
    "statistics.pool": "The statistics are not the weighted average of eq. 7 and 8.",
    "statistics.n_mels": "The statistics have bands of their own, other than the networks'.",
    "statistics.scale": "The statistics are averages of levels in dB; eq. 7 averages the spectrum "
    "as it is.",
    "scoring.scorer": "The scores are not those of Gaussian mixtures (eq. 9).",
    "scoring.rule": "Branches are calibrated and weighed by held-out normals; eq. 9 adds raw "
    "scores, 0.9 and 0.1 of them.",
    "scoring.weights": "",  # of the rule
    "scoring.components": "",
}
# What the paper leaves open. The first two contradict its numbers: its own lengths follow so.
_READINGS = (
    "Table 1's first convolution has stride 128 and padding 64: with the printed stride of 64 the "
    "table's lengths don't follow.",
    "Table 1's 512 channels come from a 1 x 1 convolution ahead of the pooling; the table goes "
    "from 256 to 512 without one.",
    "Each waveform transform is applied to half of the clips; the paper says 'randomly'.",
    "Spectrogram plus adds the powers of two or three clips; the paper does not say of how many.",
    "The power spectrogram and the magnitude spectrogram are the two channels; the paper calls "
    "the second one magnitude and energy.",
    "One Gaussian is fitted in closed form; the paper's 1000 iterations lead to it.",
)


def deviations(config: Ensemble) -> list[str]:
    """Returns a sentence for each deviation of these settings from what the paper prints."""
    ours = flatten(dataclasses.asdict(config))
    found = []
    for field, printed in PRINTED.items():
        if ours[field] == printed or (field in _SENTENCES and not _SENTENCES[field]):
            continue
        sentence = f"config.{field} is {_shown(ours[field])}; the paper has {_shown(printed)}."
        found.append(_SENTENCES.get(field, sentence))
    return found


def readings(config: Ensemble) -> list[str]:
    """A sentence for each place where the paper is silent or contradicts itself."""
    arc, scoring = config.arcface, config.scoring
    found = [
        *_READINGS,
        f"ArcFace's scale and margin are {arc.scale:g} and {arc.margin:g}; the paper gives none.",
        "The fused map is 24x24; the paper gives no size.",
        f"Thresholds: {scoring.threshold!r} for {scoring.false_alarm_rate:g} false alarms; the "
        "paper gives none.",
    ]
    if scoring.covariance == "literal":
        amount = scoring.reg_covar or 1e-3
        found.append(f"Covariances have {amount:g} added to their diagonal; the paper gives none.")
    return found


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value)) or "none"
    return repr(value) if isinstance(value, str | bool) else f"{value:g}"
