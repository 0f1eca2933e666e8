"""The settings of the contrastive ensemble (Liao, Yang, Lu 2025). No jax here."""

import dataclasses
from typing import Annotated, Literal

from asd_jax.augment.settings import Augment
from asd_jax.bounds import (
    Among,
    Checked,
    Count,
    Epochs,
    Ratio,
    Seed,
    Weight,
    Width,
    Within,
    inside,
)
from asd_jax.data.synthetic.settings import SyntheticMachines
from asd_jax.errors import UserError
from asd_jax.features.settings import Normalisation, Spectrogram, TimePooling
from asd_jax.recipes.ensemble import backends
from asd_jax.recipes.ensemble.backends import BRANCHES
from asd_jax.runs.settings import Compute, Data, Optimizer, Schedule
from asd_jax.scoring.rules import RULES
from asd_jax.scoring.threshold import METHODS

Dim = Annotated[int, Within(1, 2**16)]


@dataclasses.dataclass(frozen=True)
class Features(Spectrogram):
    """The front end (Liao section 3.2) and how its output is normalised."""

    normalise: Normalisation = "per_bin"


@dataclasses.dataclass(frozen=True)
class Encoder(Checked):
    """The spectrogram network: GhostNetV2 without its classifier, or a small 'band_cnn'."""

    name: str = "ghostnetv2"
    width: Width = 1.0
    embed_dim: Dim = 512
    pool: str = "frequency"  # of ghostnetv2: over time alone, or 'global' as the reference
    embedding_norm: bool = True  # BatchNorm after the embedding, which the paper does not have
    members: Annotated[int, Within(1, 64)] = 1  # of band_cnn: networks that share out the embedding

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.embed_dim % self.members or (self.members > 1 and self.name != "band_cnn"):
            self.refuse(
                "members",
                f"is {self.members}; it must divide embed_dim, and be 1 for encoders other than "
                "'band_cnn'.",
            )


@dataclasses.dataclass(frozen=True)
class ArcFace(Checked):
    """The identification loss (Liao eq. 5)."""

    scale: Annotated[float, Within(0, 1000, above=True)] = 10.0
    # In radians; 0.7 collapses where classes are few or close.
    margin: Annotated[float, Within(0, 3.14)] = 0.0
    sub_centres: Annotated[int, Within(1, 1000)] = 1


@dataclasses.dataclass(frozen=True)
class Pretrain(Schedule):
    """Contrastive pre-training with identification (Liao section 2.4.1)."""

    backbone: Optimizer = Optimizer("adamw", 3e-3, 0.01, schedule="cosine", warmup=0.1)
    auxiliary: Optimizer = Optimizer("adamw", 3e-3, 0.01, schedule="cosine", warmup=0.1)
    predictor_hidden: Dim = 128
    pair: Literal["same_class", "same_clip"] = "same_class"
    identification: Weight = 1.0  # weight of the ArcFace loss beside the cosine loss
    similarity: Weight = 0.0  # weight of the cosine loss; 0: one view a clip, identification alone


@dataclasses.dataclass(frozen=True)
class Finetune(Schedule):
    """Fine-tuning on three clusters (Liao section 2.4.2, eq. 6); off unless it has epochs."""

    epochs: Epochs = 0.0
    batch_size: Count = 64
    optimizer: Optimizer = Optimizer("adamw", 1e-3, 5e-4)
    loss: Literal["recommended", "literal"] = "recommended"  # eq. 6
    negatives: Literal["recommended", "literal"] = "recommended"  # near-normal beside flip and plus
    margin: Weight = 0.05
    scale: Annotated[float, Within(0, 1000, above=True)] = 1.0
    alpha: Weight = 0.01
    beta: Weight = 0.005
    identification: Weight = 1.0  # weight of a continued ArcFace loss; 0 as printed


@dataclasses.dataclass(frozen=True)
class Temporal(Schedule):
    """The waveform network: of modulations, or Liao's Table 1."""

    name: Literal["modulation", "table1"] = "modulation"
    epochs: Epochs = 30.0
    optimizer: Optimizer = Optimizer("adamw", 3e-3, 0.01, schedule="cosine", warmup=0.1)
    embedding_norm: bool = True  # as the encoder's; Table 1 has none


@dataclasses.dataclass(frozen=True)
class Fusion(Schedule):
    """The squeeze-excite classifier over both frozen networks (Liao Table 2)."""

    epochs: Epochs = 20.0
    optimizer: Optimizer = Optimizer("sgd", 0.05, 0.005, 0.9)


@dataclasses.dataclass(frozen=True)
class Statistics(TimePooling):
    """The statistics branch (Liao eq. 7, 8); pool 'gwap' and scale 'linear' are as printed."""

    n_mels: Annotated[int, Within(0, 4096)] = 128  # bands; 0: those of the networks' front end


@dataclasses.dataclass(frozen=True)
class Scoring(backends.Backend):
    """From embeddings to scores, one weighted score, and a decision."""

    branches: tuple[Annotated[str, Among(tuple(BRANCHES))], ...] = (
        "spectral",
        "temporal",
        "statistics",
    )
    # Of the networks' branches; 'views' of the statistics beside it
    scorer: backends.Scorer = "embedding"
    per_branch: tuple[str, ...] = ()  # 'spectral:knn,neighbours=3': other scorers than `scorer`
    rule: Annotated[str, Among(RULES)] = "recommended"
    weights: tuple[Weight, ...] = (0.9, 0.1)  # of the branches, for 'literal' and 'fixed'
    # Parts of the held-out normals, to calibrate on all training normals
    folds: Annotated[int, Within(1, 1000)] = 5
    threshold: Annotated[str, Among(METHODS)] = "gamma"  # 'eer' is an oracle
    false_alarm_rate: Ratio = 0.1
    bootstrap: Count = 1000  # draws of the confidence intervals

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.branches:
            self.refuse("branches", f"is empty; it must name some of {', '.join(BRANCHES)}.")
        if self.rule in ("literal", "fixed"):
            if len(self.weights) != len(self.branches):
                self.refuse(
                    "weights",
                    f"has {len(self.weights)} numbers for {len(self.branches)} branches; give one "
                    "for each.",
                )
            if not any(self.weights):
                self.refuse("weights", f"is {self.weights}; one at least must be above 0.")
        backends.check(self)


@dataclasses.dataclass(frozen=True)
class Ensemble(Checked):
    """Everything that `recipes.ensemble` needs. The defaults are the paper's full schedule."""

    recipe: Literal["ensemble"] = "ensemble"
    protocol: Literal["recommended", "literal"] = "recommended"  # recorded with every result
    seed: Seed = 0
    # Runs of so many seeds, from `seed` on, trained side by side
    pack: Annotated[int, Within(1, 10**4)] = 1
    networks: Literal["auto", "always"] = "auto"  # train them where there is something to identify
    init_from: str = ""  # timm's weights for the encoder to start from: .safetensors file or name
    data: Data = Data()
    synthetic: SyntheticMachines = SyntheticMachines()
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
    eval_batch_size: Count = 32
    save_seconds: Annotated[float, Within(0, 1e7)] = 60.0  # between checkpoints inside a stage

    def __post_init__(self) -> None:
        super().__post_init__()
        with inside("Ensemble.features"):
            spec = self.features.at(self.data.sample_rate)
        with inside("Ensemble.statistics"):
            dataclasses.replace(spec, n_mels=self.statistics.n_mels or spec.n_mels)
        wanted = {
            "pretrain": ("fusion", "spectral", "early_layers"),
            "temporal": ("fusion", "temporal"),
        }
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
