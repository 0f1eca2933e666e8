"""The settings of the supervised pump classifier (Sun 2025). No jax here."""

import dataclasses
from typing import Annotated, Literal

from asd_jax.bounds import (
    Among,
    BelowOne,
    Checked,
    Count,
    Epochs,
    Seed,
    Share,
    Width,
    Within,
    inside,
)
from asd_jax.data.supervised import DRAWS, SPLITS
from asd_jax.data.synthetic.settings import SyntheticMachines
from asd_jax.features.settings import Pictures
from asd_jax.runs.settings import Compute, Data, Optimizer, Schedule
from asd_jax.scoring.threshold import METHODS, ORACLES

# The defaults of the fields below are what is printed, or what older detectors were made with, so
# that their folders still mean the same; `configs/pump_classifier.py` has what is recommended.

# Section 3.2: 0.01, falling to a tenth of it. The kind is not printed; the schedule's names are
# those of a widely copied program that has SGD with momentum.
_SGD = Optimizer("sgd", 0.01, 1e-4, 0.9, "cosine", final=0.1)
_COMPUTE = Compute()
_PUMP = Data(machines=("pump",))
_PUMPS = SyntheticMachines(types=("pump",), snr=(6, 0, -6))


_Part = Annotated[float, Within(0, 1, above=True)]


@dataclasses.dataclass(frozen=True)
class Split(Checked):
    """Which clips train, validate and test (section 3.3); see `asd_jax.data.supervised`."""

    rule: Annotated[str, Among(tuple(SPLITS))] = "group_clip"  # 'sun_721' as printed, which leaks
    draw: Annotated[str, Among(DRAWS)] = "all"  # the others: readings of the printed 2700 clips
    total: Count = 2700  # clips that 'balanced' and 'any' draw
    test_id: str = ""  # for 'leave_one_id_out'; '' means the last ID
    seed: Seed = 0  # of the draw, apart from the seed of the training
    shares: tuple[_Part, _Part, _Part] = (0.7, 0.2, 0.1)  # train, validation, test

    def __post_init__(self) -> None:
        super().__post_init__()
        if abs(sum(self.shares) - 1) > 1e-6:
            self.refuse("shares", f"is {self.shares}; training, validation and test must sum to 1.")


@dataclasses.dataclass(frozen=True)
class Network(Checked):
    """The classifier (tables 2 to 5); see `asd_jax.models.classifiers`."""

    name: str = "efficientnetv2_s"
    attention: str = "simam_cbam"  # the improved CBAM; '' the network's own, which is 'se'
    # () as table 3: 4 to 6; the text says 1 to 6.
    attention_stages: tuple[Annotated[int, Within(1, 100)], ...] = ()
    simam: str = "official"  # 'sun' as printed in eq. 1 and 2
    width: Width = 1.0  # of every layer
    depth: Width = 1.0  # of every stage
    # Stochastic depth; below 0 the network's own (0.2).
    drop_path: Annotated[float, Within(-1, 1, below=True)] = -1.0
    head: str = "mean"  # over all positions; 'rows': and a regression on each frequency


@dataclasses.dataclass(frozen=True)
class LabelSettings(Checked):
    """What is done to inputs and labels in training (section 2.2.4), and to their imbalance."""

    # Alpha of Beta(alpha, alpha); 0 mixes nothing; not printed
    mixup: Annotated[float, Within(0, 1000)] = 0.2
    smoothing: BelowOne = 0.1  # epsilon; not printed
    time_shift: bool = True  # turn each waveform round by a random time; not in the paper
    # 'balanced': draw both classes alike; 'weighted': the loss; 'none' as printed.
    imbalance: Literal["none", "weighted", "balanced"] = "balanced"


@dataclasses.dataclass(frozen=True)
class Train(Schedule):
    """Training (section 3.2)."""

    epochs: Epochs = 200.0
    batch_size: Count = 32
    optimizer: Optimizer = _SGD
    patience: Epochs = 0.0  # epochs without a better validation loss that end fine-tuning; 0: never


@dataclasses.dataclass(frozen=True)
class Pretrain(Train):
    """Pre-training on one noise level (section 2.1). Its length is not printed."""

    epochs: Epochs = 50.0
    snr: str = "-6"  # dB; no pre-training where the data has no such clips, or where this is ''
    clips: Literal["train", "all"] = "train"  # 'all': test clips too, as may be read; labels leak


@dataclasses.dataclass(frozen=True)
class Decision(Checked):
    """From logits to the probability of an anomaly, and from that to a decision."""

    threshold: Share = 0.5  # of the probability, where no false-alarm rate is wished
    false_alarm_rate: BelowOne = 0.0  # wished, by validation normals; 0 means `threshold`
    method: Annotated[str, Among(tuple(m for m in METHODS if m not in ORACLES))] = "gamma"
    calibrate: Literal["none", "platt"] = "none"  # 'platt': probabilities by validation recordings
    bootstrap: Count = 2000  # draws of the confidence intervals


@dataclasses.dataclass(frozen=True)
class PumpClassifier(Checked):
    """Everything that `recipes.pump_classifier` needs. The defaults are the full schedule."""

    recipe: Literal["pump_classifier"] = "pump_classifier"
    protocol: Literal["recommended", "literal"] = "recommended"  # recorded with every result
    seed: Seed = 0
    # Runs of so many seeds, from `seed` on, trained side by side
    pack: Annotated[int, Within(1, 10**4)] = 1
    init_from: str = ""  # timm's weights to start from, a .safetensors file or a name; '' draws
    data: Data = _PUMP
    synthetic: SyntheticMachines = _PUMPS
    split: Split = Split()
    features: Pictures = Pictures()
    network: Network = Network()
    labels: LabelSettings = LabelSettings()
    pretrain: Pretrain = Pretrain()
    finetune: Train = Train()
    decision: Decision = Decision()
    compute: Compute = _COMPUTE
    eval_batch_size: Count = 32
    save_seconds: Annotated[float, Within(0, 1e7)] = 60.0  # between checkpoints inside a stage

    def __post_init__(self) -> None:
        super().__post_init__()
        with inside("PumpClassifier.features"):
            self.features.at(self.data.sample_rate)
