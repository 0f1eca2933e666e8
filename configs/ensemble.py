"""Contrastive ensemble for anomalous sound detection (Liao, Yang, Lu 2025, Appl. Sci. 15, 1624).

    python -m asd_jax.main --config=configs/ensemble.py

ARG is a comma list: a data set, and optionally `literal` (every number and formula as printed).

    quickstart    synthetic machines, written on first use; minutes on two CPU cores (the default)
    smoke         every stage for a step or two, under a minute: proves that all works, no more
    alike         the same with one machine type whose IDs are all the same machine
    ...,v2        one of these three on version 2 of the synthetic machines: three units a type
    mimii, dcase2020, mimii_due, dcase2021 ... dcase2025
                  the paper's full schedule; --config.data.root=DIR says where the data set lies
    folder        your own recordings; --config.data.root=DIR, anomalies not needed

Time: quickstart, see README. Full schedule on real data: not measured yet.
"""

import dataclasses

from asd_jax.errors import UserError
from asd_jax.recipes import settings

YEARS = tuple(f"dcase{year}" for year in range(2021, 2026))
DATA_SETS = ("mimii", "dcase2020", "mimii_due", *YEARS, "folder")


def get_config(arg: str = ""):
    """The settings of the run that `arg` names."""
    words = [word for word in (arg or "quickstart").split(",") if word]
    config = settings.as_config(settings.Ensemble())
    protocol = [word for word in words if word == "literal"]
    source = [word for word in words if word not in ("literal", "v2")] or ["quickstart"]
    if len(source) > 1:
        raise UserError(f"configs/ensemble.py takes one data set, not {', '.join(source)}.")
    if source[0] in ("quickstart", "alike", "smoke"):
        quickstart(config, alike=source[0] == "alike")
        if source[0] == "smoke":
            smoke(config)
    elif source[0] in DATA_SETS and "v2" not in words:
        config.data.layout = source[0]
    else:
        known = ", ".join(("quickstart", "alike", "smoke", "literal", *DATA_SETS))
        raise UserError(
            f"configs/ensemble.py:{','.join(words)} is not known; known are {known}; v2 may follow "
            "one of the first three."
        )
    if "v2" in words:
        config.synthetic.update(version=2, ids=("id_00", "id_02", "id_04"))
    if source[0] == "mimii":
        config.data.snr = ("0",)  # the headline; a MIMII number without its SNR means nothing
    if source[0] == "folder":
        folder(config)
    if protocol:
        literal(config)
    return config


def quickstart(config, *, alike: bool) -> None:
    """A short schedule and a narrow network, for minutes on two CPU cores."""
    config.data.clip_seconds = 4.0
    config.synthetic.seconds = 4.0
    if alike:
        config.synthetic.types = ("fan",)
        config.synthetic.ids = ("id_00", "id_02", "id_04")
        config.synthetic.alike = True
    config.features.n_mels = 64
    # The full schedule's margin and noise leave a network nothing to hold on to in so few steps,
    # and its SGD at 0.05 tells 20 to 90 % of the machines apart, as rounding will have it.
    config.arcface.margin = 0.2
    config.augment.update(
        mix_probability=0.25, semitones=(-1.0, 1.0), snr_db=(0.0, 20.0), probability=0.3
    )
    config.encoder.width = 0.5
    config.pretrain.update(epochs=8.0, batch_size=16)
    config.pretrain.backbone.update(kind="adamw", learning_rate=2e-3, weight_decay=0.01, warmup=0.1)
    config.finetune.update(epochs=2.0, batch_size=16)
    config.finetune.optimizer.learning_rate = 5e-4
    config.temporal.update(epochs=8.0, batch_size=16)
    config.fusion.update(epochs=10.0, batch_size=32)
    config.save_seconds = 20.0


def smoke(config) -> None:
    """Two machines, a few clips, a step or two of each stage."""
    config.synthetic.update(types=("fan", "valve"), normal=14, abnormal=4, seconds=2.0)
    config.data.clip_seconds = 2.0
    config.encoder.width = 0.35
    for stage in ("pretrain", "finetune", "temporal", "fusion"):
        config[stage].update(epochs=0.5, batch_size=8)
    config.scoring.bootstrap = 100


def folder(config) -> None:
    """Own recordings: fewer clips than a data set, so a smaller network, batches and schedule.

    On sixteen recordings of brushless motors the full-size network (224 bands, width 1) caught as
    many faults as this one; README has the figures of both.
    """
    config.data.long = "windows"
    config.features.n_mels = 64
    config.encoder.width = 0.5
    config.pretrain.update(epochs=30.0, batch_size=16)
    config.finetune.update(epochs=10.0, batch_size=16)
    config.temporal.update(epochs=50.0, batch_size=16)
    config.fusion.update(epochs=20.0, batch_size=32)


def literal(config) -> None:
    """The paper as printed, quirks included (the notes at the fields say which)."""
    config.protocol = "literal"
    config.data.classes = "machines"
    config.augment.semitones = (-20.0, -20.0)
    config.finetune.update(loss="literal", negatives="literal", identification=0.0)
    config.statistics.update(dataclasses.asdict(settings.Statistics("gwap", "linear")))
    config.scoring.update(
        branches=("fusion", "statistics"), scorer="gmm", rule="literal", weights=(0.9, 0.1)
    )
