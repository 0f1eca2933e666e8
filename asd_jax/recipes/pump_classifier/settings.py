"""The settings of the supervised pump classifier (Sun 2025). No jax here."""

import dataclasses

from asd_jax.errors import UserError
from asd_jax.recipes.ensemble.settings import THRESHOLDS
from asd_jax.runs.settings import Compute, Data, Optimizer, Schedule, Synthetic, choose

# The defaults of the fields below are what is printed, or what older detectors were made with, so
# that their folders still mean the same; `configs/pump_classifier.py` has what is recommended.

# Section 3.2: 0.01, falling to a tenth of it. The kind is not printed; the schedule's names are
# those of a widely copied program that has SGD with momentum.
_SGD = Optimizer("sgd", 0.01, 1e-4, 0.9, "cosine", final=0.1)
_COMPUTE = Compute()
_PUMP = Data(machines=("pump",))
_PUMPS = Synthetic(types=("pump",), snr=(6, 0, -6))


@dataclasses.dataclass(frozen=True)
class Split:
    """Which clips train, validate and test (section 3.3); see `asd_jax.data.supervised`."""

    rule: str = "group_clip"  # 'sun_721' as printed, which leaks; or 'leave_one_id_out'
    draw: str = "all"  # 'balanced' or 'any': two readings of the printed 2700 clips
    total: int = 2700  # clips that 'balanced' and 'any' draw
    test_id: str = ""  # for 'leave_one_id_out'; '' means the last ID
    seed: int = 0  # of the draw, apart from the seed of the training
    shares: tuple[float, ...] = (0.7, 0.2, 0.1)  # train, validation, test

    def __post_init__(self) -> None:
        shares = self.shares
        if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
            raise UserError(
                f"config.split.shares is {tuple(shares)!r}; give three shares above 0 that sum to "
                "1: of training, validation and test."
            )


@dataclasses.dataclass(frozen=True)
class Features:
    """The spectrogram pictures (table 6, figure 4); see `asd_jax.features.pictures`."""

    kind: str = "spectrogram"  # or 'mel', 'log_frequency', 'linear_frequency'
    size: int = 224  # pixels
    render: str = "none"  # 'magma': the coloured picture of a plot
    normalise: str = "per_clip"  # levels as printed; 'per_bin': each frequency over all clips
    n_fft: int = 0  # 0 means the kind's own
    hop_length: int = 0
    n_mels: int = 128
    top_db: float = 80.0

    def __post_init__(self) -> None:
        choose("features.normalise", self.normalise, ("per_clip", "per_bin"))


@dataclasses.dataclass(frozen=True)
class Network:
    """The classifier (tables 2 to 5); see `asd_jax.models.classifiers`."""

    name: str = "efficientnetv2_s"
    attention: str = "simam_cbam"  # the improved CBAM; '' the network's own, which is 'se'
    attention_stages: tuple[int, ...] = ()  # () as table 3: 4 to 6; the text says 1 to 6
    simam: str = "official"  # 'sun' as printed in eq. 1 and 2
    width: float = 1.0  # of every layer
    depth: float = 1.0  # of every stage
    drop_path: float = -1.0  # stochastic depth; below 0 the network's own (0.2)
    head: str = "mean"  # over all positions; 'rows': and a regression on each frequency


@dataclasses.dataclass(frozen=True)
class Labels:
    """What is done to inputs and labels in training (section 2.2.4), and to their imbalance."""

    mixup: float = 0.2  # alpha of Beta(alpha, alpha); 0 mixes nothing; not printed
    smoothing: float = 0.1  # epsilon; not printed
    time_shift: bool = True  # turn each waveform round by a random time; not in the paper
    imbalance: str = "balanced"  # draw both classes alike; 'weighted' loss; 'none' as printed

    def __post_init__(self) -> None:
        choose("labels.imbalance", self.imbalance, ("none", "weighted", "balanced"))
        if self.mixup < 0 or not 0 <= self.smoothing < 1:
            raise UserError("config.labels.mixup must be at least 0, and smoothing in [0, 1).")


@dataclasses.dataclass(frozen=True)
class Train(Schedule):
    """Training (section 3.2)."""

    epochs: float = 200.0
    batch_size: int = 32
    optimizer: Optimizer = _SGD
    patience: float = 0.0  # epochs without a better validation loss that end fine-tuning; 0: never


@dataclasses.dataclass(frozen=True)
class Pretrain(Train):
    """Pre-training on one noise level (section 2.1). Its length is not printed."""

    epochs: float = 50.0
    snr: str = "-6"  # dB; no pre-training where the data has no such clips, or where this is ''
    clips: str = "train"  # or 'all': test clips too, as may be read; their labels then leak

    def __post_init__(self) -> None:
        super().__post_init__()
        choose("pretrain.clips", self.clips, ("train", "all"))


@dataclasses.dataclass(frozen=True)
class Decision:
    """From logits to the probability of an anomaly, and from that to a decision."""

    threshold: float = 0.5  # of the probability, where no false-alarm rate is wished
    false_alarm_rate: float = 0.0  # wished, by validation normals; 0 means `threshold`
    method: str = "gamma"  # of that; one of `settings.THRESHOLDS` but the oracle
    calibrate: str = "none"  # 'platt': probabilities by validation recordings
    bootstrap: int = 2000  # draws of the confidence intervals

    def __post_init__(self) -> None:
        choose("decision.calibrate", self.calibrate, ("none", "platt"))
        choose("decision.method", self.method, tuple(m for m in THRESHOLDS if m != "eer"))
        if not 0.0 <= self.false_alarm_rate < 1.0:
            raise UserError(
                f"config.decision.false_alarm_rate is {self.false_alarm_rate!r}; it must lie "
                "between 0 and 1, or be 0 for config.decision.threshold."
            )


@dataclasses.dataclass(frozen=True)
class PumpClassifier:
    """Everything that `recipes.pump_classifier` needs. The defaults are the full schedule."""

    recipe: str = "pump_classifier"
    protocol: str = "recommended"  # or 'literal'; recorded with every result
    seed: int = 0
    pack: int = 1  # runs of so many seeds, from `seed` on, trained side by side
    init_from: str = ""  # timm's weights to start from, a .safetensors file or a name; '' draws
    data: Data = _PUMP
    synthetic: Synthetic = _PUMPS
    split: Split = Split()
    features: Features = Features()
    network: Network = Network()
    labels: Labels = Labels()
    pretrain: Pretrain = Pretrain()
    finetune: Train = Train()
    decision: Decision = Decision()
    compute: Compute = _COMPUTE
    eval_batch_size: int = 32
    save_seconds: float = 60.0  # between checkpoints inside a stage

    def __post_init__(self) -> None:
        choose("protocol", self.protocol, ("recommended", "literal"))
