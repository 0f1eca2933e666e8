"""Supervised pump classifier (Sun 2025): EfficientNetV2-S with the improved CBAM on spectrograms.

    python -m asd_jax.main --config=configs/pump_classifier.py

ARG is a comma list: a data set, and optionally `full` or `literal` (every choice as printed, leaks
included).

    quickstart    synthetic pumps at three noise levels, a small network; the default
    smoke         every stage for a step or two, under a minute: proves that all works, no more
    mimii         --config.data.root=DIR holds the pumps at one or more noise levels
    folder        your own labelled recordings; --config.data.root=DIR
    full          with mimii or folder: the paper's network, pictures and number of epochs

Without `full` and `literal`, mimii and folder train a network of half the width and a third of the
depth on pictures of 96 pixels, and stop when validation has not got better for 8 epochs. Weights
from timm (--config.init_from) fit the network of `full` alone.

Table 6 is one field: --config.features.kind=spectrogram (or log_frequency, linear_frequency).
Table 5 is one field: --config.network.attention=eca (or soca, simam, nam, cbam, se).

Time: quickstart 175 s on two quiet cores, recordings and compilation included. On fresh recordings
of its two pumps, mean of seeds 0 to 2: AUC 0.911, its network alone 0.889, logistic regression on
the same clips 0.889
(`python -m tests.benchmarks.classifier`). folder: 184 s for 145 real clips, on one core. MIMII: not
measured yet.
"""

from asd_jax.errors import UserError
from asd_jax.recipes.pump_classifier.settings import PumpClassifier
from asd_jax.runs.settings import as_config

SOURCES = ("quickstart", "smoke", "mimii", "folder")


def get_config(arg: str = ""):
    """The settings of the run that `arg` names."""
    words = [word for word in (arg or "quickstart").split(",") if word]
    sources = [word for word in words if word not in ("literal", "full")] or ["quickstart"]
    if len(sources) > 1:
        raise UserError(f"configs/pump_classifier.py takes one data set, not {', '.join(sources)}.")
    if sources[0] not in SOURCES:
        raise UserError(
            f"configs/pump_classifier.py:{sources[0]} is not known; known are "
            f"{', '.join(SOURCES)}, full, literal."
        )
    config = as_config(PumpClassifier())
    if sources[0] in ("mimii", "folder"):
        config.data.layout = sources[0]
    if sources[0] == "folder":
        config.data.update(machines=(), long="windows")
        config.pretrain.snr = ""
    if "literal" not in words:
        recommended(config)
        if "full" not in words:
            shorter(config)
    if sources[0] in ("quickstart", "smoke"):
        quickstart(config)
    if sources[0] == "smoke":
        smoke(config)
    if "literal" in words:
        literal(config)
    return config


def recommended(config) -> None:
    """What the paper does not have, and what makes the same network hear; see `rows.Rows`."""
    config.features.update(kind="mel", normalise="per_bin")
    config.network.head = "rows"
    config.decision.update(false_alarm_rate=0.1, calibrate="platt")
    for stage in ("pretrain", "finetune"):
        config[stage].optimizer.update(
            kind="adamw", learning_rate=3e-3, weight_decay=0.05, warmup=0.1, final=0.01
        )


def shorter(config) -> None:
    """A schedule and a size that two cores do overnight; early stopping ends it sooner.

    `full` has the paper's 224 pixels, whole network and 50 + 200 epochs.
    """
    config.features.update(size=96, n_mels=96)
    config.network.update(width=0.5, depth=0.34)
    config.pretrain.epochs = 5.0
    config.finetune.update(epochs=40.0, patience=8.0)


def quickstart(config) -> None:
    """Few clips, a narrow, shallow network and small pictures: three minutes on two cores."""
    config.data.clip_seconds = 4.0
    config.synthetic.update(ids=("id_00", "id_02"), normal=260, abnormal=160, seconds=4.0)
    config.split.shares = (0.65, 0.15, 0.2)
    config.features.update(size=64, n_mels=64)
    config.network.update(width=0.25, depth=0.2, drop_path=0.0)
    config.pretrain.snr = ""
    config.finetune.update(epochs=11.0, batch_size=32, patience=0.0)
    config.save_seconds = 20.0


def smoke(config) -> None:
    """A few short clips, a step or two of each stage."""
    config.data.clip_seconds = 1.0
    config.synthetic.update(normal=10, abnormal=6, seconds=1.0, snr=(0, -6))
    config.features.size = 32
    config.network.update(width=0.2, depth=0.1)
    config.pretrain.snr = "-6"
    for stage in ("pretrain", "finetune"):
        config[stage].update(epochs=0.5, batch_size=8)
    config.decision.bootstrap = 100


def literal(config) -> None:
    """The paper as printed: its split leaks, and so does its pre-training."""
    config.protocol = "literal"
    config.split.update(rule="sun_721", draw="balanced", shares=(0.7, 0.2, 0.1))
    config.network.drop_path = -1.0
    if config.data.layout != "folder":
        config.pretrain.snr = "-6"
    config.features.render = "magma"
    config.network.simam = "sun"
    config.labels.update(imbalance="none", time_shift=False)
    config.pretrain.clips = "all"
