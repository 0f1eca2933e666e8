"""The settings of the contrastive ensemble (Liao, Yang, Lu 2025). No jax here."""

import dataclasses

from asd_jax.errors import UserError
from asd_jax.recipes.ensemble import backends
from asd_jax.recipes.ensemble.backends import BRANCHES
from asd_jax.runs.settings import Compute, Data, Optimizer, Schedule, Synthetic, choose

# Names of code whose import would bring JAX before the flags are read.
POOLS = ("views", "gwap", "mean", "max", "std", "gwrp", "quantile", "quiet_frames")
RULES = ("recommended", "discriminant", "literal", "fixed", "equal")
THRESHOLDS = ("gamma", "gamma_ml", "quantile", "mean_std", "eer")


@dataclasses.dataclass(frozen=True)
class Features:
    """The front end (Liao section 3.2) and how its output is normalised."""

    n_mels: int = 224
    n_fft: int = 2048
    hop_length: int = 512
    channels: tuple[str, ...] = ("power", "magnitude")
    normalise: str = "per_bin"  # 'per_bin', 'per_clip', 'whiten' or 'none'


@dataclasses.dataclass(frozen=True)
class Augment:
    """Waveform transforms (Liao section 2.4.1) and the spliced mixup (eq. 1, 2)."""

    transforms: tuple[str, ...] = ("time_shift",)  # noise, fades and other speeds imitate faults
    probability: float = 1.0  # of each waveform transform, for each clip
    shift_frames: float = 1000.0  # longest, around the loop that a clip is taken for
    semitones: tuple[float, float] = (-4.0, 4.0)  # the paper's single step is -20
    pitch: str = "speed"  # a pitch shift moves the tempo too; 'tempo' keeps it
    fade_share: float = 0.5  # longest fade, as a share of the clip
    snr_db: tuple[float, float] = (-10.0, 10.0)  # white noise
    mix_probability: float = 0.5  # of mixing a clip at all
    splice: bool = False  # cut and splice before the mixup (eq. 1)
    mix_ratio: float = 0.4  # share of the partner in eq. 2
    mix_beta: float = 0.4  # above 0: draw the ratio from Beta(a, a) instead
    mix_label: str = "ratio"  # or 'area_corrected', the partner's true share of the picture


@dataclasses.dataclass(frozen=True)
class Encoder:
    """The spectrogram network: GhostNetV2 without its classifier, or a small 'band_cnn'."""

    name: str = "ghostnetv2"
    width: float = 1.0
    embed_dim: int = 512
    pool: str = "frequency"  # of ghostnetv2: over time alone, or 'global' as the reference
    embedding_norm: bool = True  # BatchNorm after the embedding, which the paper does not have
    members: int = 1  # of band_cnn: so many networks share out the embedding; their mean scores

    def __post_init__(self) -> None:
        several = self.members > 1
        if (
            self.members < 1
            or self.embed_dim % self.members
            or (several and self.name != "band_cnn")
        ):
            raise UserError(
                f"config.encoder.members is {self.members!r}; it must be 1 or above, divide "
                "config.encoder.embed_dim, and be 1 for encoders other than 'band_cnn'."
            )


@dataclasses.dataclass(frozen=True)
class ArcFace:
    """The identification loss (Liao eq. 5)."""

    scale: float = 10.0
    margin: float = 0.0  # with 0.7 and few or close classes everything collapses into one direction
    sub_centres: int = 1


@dataclasses.dataclass(frozen=True)
class Pretrain(Schedule):
    """Contrastive pre-training with identification (Liao section 2.4.1)."""

    backbone: Optimizer = Optimizer("adamw", 3e-3, 0.01, schedule="cosine", warmup=0.1)
    auxiliary: Optimizer = Optimizer("adamw", 3e-3, 0.01, schedule="cosine", warmup=0.1)
    predictor_hidden: int = 128
    pair: str = "same_class"  # 'same_class' or 'same_clip'
    identification: float = 1.0  # weight of the ArcFace loss beside the cosine loss
    similarity: float = 0.0  # weight of the cosine loss; 0: one view a clip, identification alone

    def __post_init__(self) -> None:
        super().__post_init__()
        choose("pretrain.pair", self.pair, ("same_class", "same_clip"))


@dataclasses.dataclass(frozen=True)
class Finetune(Schedule):
    """Fine-tuning on three clusters (Liao section 2.4.2, eq. 6); off unless it has epochs."""

    epochs: float = 0.0
    batch_size: int = 64
    optimizer: Optimizer = Optimizer("adamw", 1e-3, 5e-4)
    loss: str = "recommended"  # eq. 6 'recommended' or 'literal'
    negatives: str = "recommended"  # near-normal ones beside flip and plus, or 'literal'
    margin: float = 0.05
    scale: float = 1.0
    alpha: float = 0.01
    beta: float = 0.005
    identification: float = 1.0  # weight of a continued ArcFace loss; 0 as printed

    def __post_init__(self) -> None:
        super().__post_init__()
        choose("finetune.loss", self.loss, ("recommended", "literal"))
        choose("finetune.negatives", self.negatives, ("recommended", "literal"))


@dataclasses.dataclass(frozen=True)
class Temporal(Schedule):
    """The waveform network (Liao Table 1)."""

    epochs: float = 200.0
    optimizer: Optimizer = Optimizer("adamw", 5e-3, 5e-4)
    embedding_norm: bool = True  # as the encoder's; Table 1 has none


@dataclasses.dataclass(frozen=True)
class Fusion(Schedule):
    """The squeeze-excite classifier over both frozen networks (Liao Table 2)."""

    epochs: float = 20.0
    optimizer: Optimizer = Optimizer("sgd", 0.05, 0.005, 0.9)
    layout: str = "24x24"  # '24x24', '16x32' or 'flat_1d'


@dataclasses.dataclass(frozen=True)
class Statistics:
    """The statistics branch (Liao eq. 7, 8); see `TimePooling` and, for 'views', `level_views`."""

    pool: str = "views"  # one of POOLS; 'gwap' as printed
    n_mels: int = 128  # bands of this branch; 0: those of the networks' front end
    scale: str = "db"  # 'linear' as printed
    decay: float = 0.9  # of 'gwrp': each rank weighs this times the louder one before
    quantile: float = 0.5  # of 'quantile' and 'quiet_frames'

    def __post_init__(self) -> None:
        choose("statistics.pool", self.pool, POOLS)
        choose("statistics.scale", self.scale, ("db", "linear"))
        for name in ("decay", "quantile"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UserError(
                    f"config.statistics.{name} is {getattr(self, name)!r}; it must lie in [0, 1]."
                )


@dataclasses.dataclass(frozen=True)
class Scoring(backends.Backend):
    """From embeddings to scores, one weighted score, and a decision."""

    branches: tuple[str, ...] = ("spectral", "statistics")
    scorer: str = "embedding"  # of the networks' branches; 'views' of the statistics beside it
    per_branch: tuple[str, ...] = ()  # 'spectral:knn,neighbours=3': other scorers than `scorer`
    rule: str = "recommended"  # one of RULES
    weights: tuple[float, ...] = (0.9, 0.1)  # of the branches, for 'literal' and 'fixed'
    folds: int = 5  # of the held-out normals, to calibrate on all training normals
    threshold: str = "gamma"  # one of THRESHOLDS; 'eer' is an oracle
    false_alarm_rate: float = 0.1
    bootstrap: int = 1000  # draws of the confidence intervals

    def __post_init__(self) -> None:
        for branch in self.branches:
            choose("scoring.branches", branch, BRANCHES)
        choose("scoring.rule", self.rule, RULES)
        choose("scoring.threshold", self.threshold, THRESHOLDS)
        if not 0.0 < self.false_alarm_rate < 1.0:
            raise UserError(
                f"config.scoring.false_alarm_rate is {self.false_alarm_rate!r}; it must lie "
                "between 0 and 1."
            )
        if self.rule in ("literal", "fixed") and len(self.weights) != len(self.branches):
            raise UserError(
                f"config.scoring.weights has {len(self.weights)} numbers for "
                f"{len(self.branches)} branches; give one for each."
            )
        backends.check(self)


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """Everything that `recipes.ensemble` needs. The defaults are the paper's full schedule."""

    recipe: str = "ensemble"
    protocol: str = "recommended"  # or 'literal'; recorded with every result
    seed: int = 0
    pack: int = 1  # runs of so many seeds, from `seed` on, trained side by side
    networks: str = "auto"  # train them where there is something to identify, or 'always'
    init_from: str = ""  # timm's weights for the encoder to start from: .safetensors file or name
    data: Data = Data()
    synthetic: Synthetic = Synthetic()
    features: Features = Features()
    augment: Augment = Augment()
    encoder: Encoder = Encoder()
    arcface: ArcFace = ArcFace()
    pretrain: Pretrain = Pretrain()
    finetune: Finetune = Finetune()
    temporal: Temporal = Temporal()
    fusion: Fusion = Fusion()
    statistics: Statistics = Statistics()
    scoring: Scoring = Scoring()
    compute: Compute = Compute()
    eval_batch_size: int = 32
    save_seconds: float = 60.0  # between checkpoints inside a stage

    def __post_init__(self) -> None:
        choose("protocol", self.protocol, ("recommended", "literal"))
        choose("networks", self.networks, ("auto", "always"))
        wanted = {"pretrain": ("fusion", "spectral", "tap"), "temporal": ("fusion", "temporal")}
        for stage, needing in (wanted | {"fusion": ("fusion",)}).items():
            asked = [name for name in needing if name in self.scoring.branches]
            if asked and not getattr(self, stage).epochs > 0:
                raise UserError(
                    f"config.{stage}.epochs is 0, but the branch {asked[0]!r} is made of what it "
                    "trains: leave the branch out of config.scoring.branches."
                )
        views = backends.backend_of(self.scoring, "statistics").scorer == "views"
        if "statistics" in self.scoring.branches and views and self.statistics.pool != "views":
            raise UserError(
                f"config.statistics.pool is {self.statistics.pool!r}, and the scorer 'views' reads "
                "the pool 'views': set config.scoring.per_branch=('statistics:gaussian',)."
            )
