"""The settings of the toy recipe. No jax here."""

import dataclasses
from typing import Annotated, Literal

from asd_jax.bounds import Checked, Count, Epochs, Ratio, Seed, Within
from asd_jax.data.synthetic.settings import SyntheticMachines
from asd_jax.runs.settings import Compute, Data, Optimizer, Schedule


@dataclasses.dataclass(frozen=True)
class Train(Schedule):
    """The one stage."""

    epochs: Epochs = 20.0
    optimizer: Optimizer = Optimizer(learning_rate=1e-2)


@dataclasses.dataclass(frozen=True)
class MeanLevel(Checked):
    """Everything that the toy recipe needs."""

    recipe: Literal["toy"] = "toy"
    protocol: Literal["recommended"] = "recommended"
    seed: Seed = 0
    pack: Annotated[int, Within(1, 10**4)] = 1
    data: Data = Data()
    synthetic: SyntheticMachines = SyntheticMachines()
    train: Train = Train()
    compute: Compute = Compute()
    mels: Count = 32
    false_alarm_rate: Ratio = 0.1
    save_seconds: Annotated[float, Within(0, 1e7)] = 60.0
