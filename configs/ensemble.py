"""Contrastive ensemble for anomalous sound detection (Liao, Yang, Lu 2025, Appl. Sci. 15, 1624).

    python -m asd_jax.main --config=configs/ensemble.py

ARG is a comma list: a data set, and optionally `literal` (every number and formula as printed) or
`statistics` (no network: trains and reports in seconds).

    quickstart    synthetic machines, written on first use; minutes on two CPU cores (the default)
    smoke         every stage for a step or two, under a minute: proves that all works, no more
    alike         the same with one machine type whose IDs are all the same machine
    ...,v2        one of these three on version 2 of the synthetic machines: three units a type
    mimii, dcase2020, mimii_due, dcase2021 ... dcase2025
                  the paper's full schedule; --config.data.root=DIR says where the data set lies
    folder        your own recordings; --config.data.root=DIR, anomalies not needed

Time: quickstart, see README. `folder` took 136 s on two quiet CPU cores (277 clips of 10 s),
`folder,statistics` 11 s on two with 100. The full schedule on those 277 clips takes an hour of one
core; on a data set it was not measured yet.
"""

import dataclasses

from asd_jax.errors import UserError
from asd_jax.recipes.ensemble import settings
from asd_jax.runs.settings import Optimizer, as_config

YEARS = tuple(f"dcase{year}" for year in range(2021, 2026))
DATA_SETS = ("mimii", "dcase2020", "mimii_due", *YEARS, "folder")


def get_config(arg: str = ""):
    """The settings of the run that `arg` names."""
    words = [word for word in (arg or "quickstart").split(",") if word]
    config = as_config(settings.Ensemble())
    changes = {"v2": version2, "literal": literal, "statistics": statistics}
    source = [word for word in words if word not in changes] or ["quickstart"]
    if len(source) > 1:
        raise UserError(f"configs/ensemble.py takes one data set, not {', '.join(source)}.")
    if source[0] in ("quickstart", "alike", "smoke"):
        quickstart(config, alike=source[0] == "alike")
        if source[0] == "smoke":
            smoke(config)
    elif source[0] in DATA_SETS and "v2" not in words:
        config.data.layout = source[0]
    else:
        known = ", ".join(("quickstart", "alike", "smoke", *changes, *DATA_SETS))
        raise UserError(
            f"configs/ensemble.py:{','.join(words)} is not known; known are {known}; v2 may follow "
            "one of the first three."
        )
    if source[0] == "mimii":
        config.data.snr = ("0",)  # the headline; a MIMII number without its SNR means nothing
    if source[0] == "folder":
        folder(config)
    for word in words:
        if word in changes:
            changes[word](config)
    return config


def quickstart(config, *, alike: bool) -> None:
    """Few clips of 4 s, for a minute or two on two CPU cores."""
    config.data.clip_seconds = 4.0
    config.synthetic.seconds = 4.0
    if alike:
        config.synthetic.types = ("fan",)
        config.synthetic.ids = ("id_00", "id_02", "id_04")
        config.synthetic.alike = True
    small(config)
    config.statistics.n_mels = 128 if alike else 64  # machines that sound alike share a covariance
    config.augment.mix_probability = 0.0  # these machines are told apart in a few steps,
    config.encoder.update(embed_dim=128, members=1)  # by one network as well as by two
    config.save_seconds = 20.0


def smoke(config) -> None:
    """Two machines, a few clips, a step or two of each stage."""
    config.synthetic.update(types=("fan", "valve"), normal=14, abnormal=4, seconds=2.0)
    config.data.clip_seconds = 2.0
    config.networks = "always"
    config.scoring.branches = tuple(settings.BRANCHES)
    for stage in ("pretrain", "finetune", "temporal", "fusion"):
        config[stage].update(epochs=0.5, batch_size=8)
    config.scoring.bootstrap = 100


def folder(config) -> None:
    """Own recordings: fewer clips than a data set has, so a smaller network and schedule."""
    config.data.long = "windows"
    small(config)


def small(config) -> None:
    """A network and a schedule that learn from a few hundred clips, in minutes on two CPU cores."""
    config.features.n_mels = 64
    config.encoder.update(name="band_cnn", width=0.5, embed_dim=256, members=2)
    config.pretrain.update(epochs=15.0, batch_size=16)
    config.temporal.batch_size = 16


def version2(config) -> None:
    """The second version of the synthetic machines: units of one model, sessions, bursts."""
    config.synthetic.update(version=2, ids=("id_00", "id_02", "id_04"))


def statistics(config) -> None:
    """The statistics of the spectrum alone."""
    config.scoring.branches = ("statistics",)


def literal(config) -> None:
    """The paper as printed, quirks included; only a short schedule stays as it was.

    What still departs from it stands in `protocol.deviations` of results.json, what the paper
    leaves open in `protocol.readings`.
    """
    config.protocol = "literal"
    short = config.encoder.name == "band_cnn"
    if short:
        config.finetune.update(epochs=2.0, batch_size=16)
        config.temporal.update(epochs=8.0, batch_size=16)
        config.fusion.update(epochs=10.0, batch_size=32)
    else:
        config.finetune.epochs = 50.0
        config.temporal.epochs = 200.0
    config.data.update(classes="machines", all_train=True)
    config.encoder.update(
        name="ghostnetv2", pool="global", embed_dim=512, embedding_norm=False, members=1
    )
    config.temporal.update(name="table1", embedding_norm=False)
    config.arcface.update(scale=30.0, margin=0.7, sub_centres=1)
    config.augment.update(dataclasses.asdict(settings.Augment()))
    config.augment.update(
        transforms=("time_shift", "pitch_shift", "fade", "white_noise"),
        probability=0.5,
        shift_frames=56.0,
        semitones=(-20.0, -20.0),
        pitch="tempo",
        snr_db=(-10.0, 10.0),
        mix_probability=1.0,
        splice=True,
        mix_ratio=0.4,
        mix_beta=0.0,
    )
    # Weight decay as printed, of the optimizer that it stands beside; cosine for the auxiliary one.
    optimizer = Optimizer
    config.pretrain.update(pair="same_class", similarity=1.0)
    config.pretrain.backbone.update(dataclasses.asdict(optimizer("sgd", 0.05, 0.005, 0.9)))
    auxiliary = optimizer("adamw", 0.01, 0.0, schedule="cosine")
    config.pretrain.auxiliary.update(dataclasses.asdict(auxiliary))
    config.finetune.optimizer.update(dataclasses.asdict(optimizer("adamw", 1e-3, 5e-4)))
    config.temporal.optimizer.update(dataclasses.asdict(optimizer("adamw", 5e-3, 5e-4)))
    config.fusion.optimizer.update(dataclasses.asdict(optimizer("sgd", 0.05, 0.005, 0.9)))
    config.finetune.update(loss="literal", negatives="literal", identification=0.0)
    for stage in ("pretrain", "finetune", "temporal", "fusion"):
        config[stage].updates = 0
    config.networks = "always"
    config.statistics.update(pool="gwap", scale="linear", n_mels=0)
    config.scoring.update(
        branches=("fusion", "statistics"),
        scorer="gmm",
        covariance="literal",
        rule="literal",
        weights=(0.9, 0.1),
    )
