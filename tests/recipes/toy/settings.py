"""The settings of the toy recipe. No jax here."""

import dataclasses

from asd_jax.runs.settings import Compute, Data, Optimizer, Schedule, Synthetic, positive


@dataclasses.dataclass(frozen=True)
class Train(Schedule):
    """The one stage."""

    epochs: float = 20.0
    optimizer: Optimizer = Optimizer(learning_rate=1e-2)


@dataclasses.dataclass(frozen=True)
class MeanLevel:
    """Everything that the toy recipe needs."""

    recipe: str = "toy"
    protocol: str = "recommended"
    seed: int = 0
    pack: int = 1
    data: Data = Data()
    synthetic: Synthetic = Synthetic()
    train: Train = Train()
    compute: Compute = Compute()
    mels: int = 32
    false_alarm_rate: float = 0.1
    save_seconds: float = 60.0

    def __post_init__(self) -> None:
        positive("mels", self.mels)
