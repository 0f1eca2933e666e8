"""The settings of a run as frozen dataclasses that check themselves: what every recipe shares.

A config file builds a `ConfigDict` from these (`as_config`), flags override its fields, and a
recipe turns it back once, at the border (`from_config`). No jax here: `--help` and a wrong field
must not wait for it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from asd_jax.bounds import (
    Among,
    BelowOne,
    Checked,
    Count,
    CountOrNone,
    Epochs,
    Ratio,
    Share,
    Within,
    inside,
    kinds,
)
from asd_jax.data.clips import LAYOUTS
from asd_jax.data.splits import SPLITS
from asd_jax.data.wave_settings import WaveSettings
from asd_jax.errors import UserError
from asd_jax.files import refuse_url

# Fields that older versions wrote into detectors and runs, with the only value that worked.
RETIRED = {
    "config.data.on_device": "auto",
    "config.fusion.layout": "24x24",
    "config.network.scan": False,
    "config.statistics.decay": 0.9,
    "config.statistics.quantile": 0.5,
    "config.statistics.weights": "clip",
}


SMALLEST_BATCH = 16  # that `Schedule.updates` makes


# Fields that change where or how fast a run computes, not what: a resumed run may differ in them.
FREE = ("data.cache", "data.read_threads", "save_seconds", "pack")


def from_config(cls: type, values: Mapping[str, Any], where: str = "config") -> Any:
    """Builds the dataclass `cls` from nested mappings; raises UserError naming a wrong field.

    Every value is checked here, before anything starts, against the bounds in its field's type.
    """
    known = kinds(cls)
    values = {k: v for k, v in values.items() if not is_retired(f"{where}.{k}", v)}
    arguments = {}
    for name, value in values.items():
        if name not in known:
            fields = ", ".join(sorted(known))
            raise UserError(f"{where}.{name} is not a field; the fields are {fields}.")
        if dataclasses.is_dataclass(known[name]) and isinstance(value, Mapping):
            arguments[name] = from_config(known[name], value, f"{where}.{name}")
        else:
            arguments[name] = tuple(value) if isinstance(value, list) else value
    with inside(where):
        return cls(**arguments)


def is_retired(field: str, value: Any) -> bool:
    """Whether this field is of an older version, and means nothing now; see `RETIRED`."""
    return field in RETIRED and RETIRED[field] == value


def as_config(settings: Any) -> Any:
    """Turns a settings dataclass into an unlocked `ml_collections.ConfigDict`."""
    import ml_collections

    return ml_collections.ConfigDict(dataclasses.asdict(settings))


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turns `{"a": {"b": 1}}` into `{"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


@dataclasses.dataclass(frozen=True)
class Data(WaveSettings):
    """Which recordings, and (`WaveSettings`) how each becomes one clip of fixed length."""

    layout: Annotated[str, Among(("synthetic", *LAYOUTS))] = "synthetic"
    root: str = ""
    machines: tuple[str, ...] = ()  # machine types; () means all
    snr: tuple[str, ...] = ()  # MIMII: '6', '0', '-6'; () means all that are there
    split: Annotated[str, Among(tuple(SPLITS))] = "hitachi"  # how MIMII's test clips are drawn
    use_additional: bool = False  # DCASE: train on the additional training data too
    # folder: more folder names, or words of file names, of healthy recordings; commas between
    normal: str = ""
    abnormal: str = ""  # the same of faulty ones
    hold_out: Ratio = 0.2  # share of training normals kept for calibration, by group
    all_train: bool = False  # the networks see these too, as printed: nothing is then held out
    classes: Literal["auto", "machines", "folders", "clusters"] = "auto"  # the ensemble tells apart
    clusters: Count = 3  # of each machine, for 'clusters'
    cache: str = ""  # decoded int16 audio; '' means the user's cache folder
    read_threads: Annotated[int, Within(0, 1024)] = 4  # 0: recordings are read as they are needed

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("root", "cache"):
            refuse_url(f"config.data.{field}", getattr(self, field))


@dataclasses.dataclass(frozen=True)
class Compute(Checked):
    """What training computes in, and how it fits into memory. Scores are always float32."""

    precision: Literal["float32", "bfloat16"] = "float32"  # of the networks' bodies in training
    rematerialise: bool = False  # compute each block's maps again in the backward pass
    accumulate: Count = 1  # parts of a batch that follow one another; BatchNorm sees a part

    @property
    def changes_networks(self) -> bool:
        """Whether the networks that train differ from those that score."""
        return self.precision != "float32" or self.rematerialise


@dataclasses.dataclass(frozen=True)
class Optimizer(Checked):
    """One network's optimizer."""

    kind: Literal["sgd", "adamw"] = "adamw"
    learning_rate: Annotated[float, Within(0, 1000, above=True)] = 1e-3
    weight_decay: Annotated[float, Within(0, 1000)] = 0.0
    momentum: BelowOne = 0.9  # sgd
    schedule: Literal["constant", "cosine"] = "constant"  # over the whole stage
    warmup: Share = 0.0  # share of the stage with a linearly rising rate
    final: Share = 0.0  # where a cosine ends, as a share of the learning rate


@dataclasses.dataclass(frozen=True)
class Schedule(Checked):
    """How long a stage trains, and on how many clips at a time."""

    epochs: Epochs = 50.0
    batch_size: Count = 128
    updates: CountOrNone = 16  # in an epoch, at least: few clips train in smaller batches; 0: never
    ema: BelowOne = 0.0  # decay of averaged parameters; 0 means the last ones

    def batch(self, clips: int) -> int:
        """Clips of a batch where so many train: no more than there are, nor than `updates` leave.

        A schedule in epochs makes few updates of few clips; smaller batches, down to
        `SMALLEST_BATCH`, make more of the same work.
        """
        size = min(self.batch_size, clips)
        return min(size, max(SMALLEST_BATCH, clips // self.updates)) if self.updates else size
