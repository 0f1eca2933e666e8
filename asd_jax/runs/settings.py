"""The settings of a run as frozen dataclasses that check themselves: what every recipe shares.

A config file builds a `ConfigDict` from these (`as_config`), flags override its fields, and a
recipe turns it back once, at the border (`from_config`). No jax here: `--help` and a wrong field
must not wait for it.
"""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from asd_jax.errors import UserError

# Fields that older versions wrote into detectors and runs, with the only value that worked.
RETIRED = {"config.statistics.weights": "clip"}


SMALLEST_BATCH = 16  # that `Schedule.updates` makes


# Fields that change where or how fast a run computes, not what: a resumed run may differ in them.
FREE = ("data.cache", "data.read_threads", "data.on_device", "save_seconds", "pack")


def from_config(cls: type, values: Mapping[str, Any], where: str = "config") -> Any:
    """Builds the dataclass `cls` from nested mappings; raises UserError naming a wrong field."""
    hints = typing.get_type_hints(cls)
    known = {field.name for field in dataclasses.fields(cls)}
    values = {k: v for k, v in values.items() if not is_retired(f"{where}.{k}", v)}
    for name in values:
        if name not in known:
            fields = ", ".join(sorted(known))
            raise UserError(f"{where}.{name} is no field; the fields are {fields}.")
    arguments = {}
    for name, value in values.items():
        if dataclasses.is_dataclass(hints[name]):
            arguments[name] = from_config(hints[name], value, f"{where}.{name}")
        else:
            arguments[name] = tuple(value) if isinstance(value, list) else value
    return cls(**arguments)


def is_retired(field: str, value: Any) -> bool:
    """Whether this field is of an older version, and means nothing now; see `RETIRED`."""
    return field in RETIRED and RETIRED[field] == value


def as_config(settings: Any) -> Any:
    """Turns a settings dataclass into an unlocked `ml_collections.ConfigDict`."""
    import ml_collections

    return ml_collections.ConfigDict(dataclasses.asdict(settings))


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def choose(field: str, value: Any, known: tuple) -> None:
    """Raises UserError unless `value` is one of `known`."""
    if value not in known:
        raise UserError(f"config.{field} is {value!r}; known are {', '.join(map(repr, known))}.")


def positive(field: str, value: float) -> None:
    """Raises UserError unless `value` is above zero."""
    if not value > 0:
        raise UserError(f"config.{field} is {value!r}; it must be above 0.")


@dataclasses.dataclass(frozen=True)
class Synthetic:
    """The synthetic machines that stand in for a data set (`data.layout` 'synthetic')."""

    types: tuple[str, ...] = ("fan", "pump", "slider", "valve")
    ids: tuple[str, ...] = ("id_00", "id_02")  # machines of each type
    normal: int = 90  # normal clips a machine; the split takes `abnormal` of them for the test
    abnormal: int = 30
    seconds: float = 10.0
    snr: tuple[int, ...] = (0,)  # dB, machine against factory background
    seed: int = 0
    alike: bool = False  # all IDs of a type are the same machine: identification teaches nothing
    version: int = 1  # of the physics: 2 has units of one model, bursts, sessions, severities


@dataclasses.dataclass(frozen=True)
class Data:
    """Which recordings, and how each becomes one clip of fixed length."""

    layout: str = "synthetic"
    root: str = ""
    machines: tuple[str, ...] = ()  # machine types; () means all
    snr: tuple[str, ...] = ()  # MIMII: '6', '0', '-6'; () means all that are there
    split: str = "hitachi"  # MIMII's test clips: 'hitachi' or 'random'
    use_additional: bool = False  # DCASE: train on the additional training data too
    sample_rate: int = 16000  # Hz
    clip_seconds: float = 10.0
    channel: str = "0"  # of recordings with several: an index, or 'mean' of all
    long: str = "cut"  # recordings over clip_seconds: 'cut' or 'windows'
    hop_seconds: float = 0.0  # between windows; 0 means clip_seconds
    longest_hours: float = 48.0  # of a recording; longer ones are left out
    normal: str = ""  # folder: more folder names, or words of file names, of healthy recordings
    abnormal: str = ""  # the same of faulty ones; commas between several
    hold_out: float = 0.2  # share of training normals kept for calibration, by group
    all_train: bool = False  # the networks see these too, as printed: nothing is then held out
    classes: str = "auto"  # the ensemble tells apart 'machines', 'folders' or 'clusters'
    clusters: int = 3  # of each machine, for 'clusters'
    cache: str = ""  # decoded int16 audio; '' means the user's cache folder
    read_threads: int = 4
    on_device: str = "auto"  # clips that train lie on the devices: 'yes', 'no', 'auto' if they fit

    def __post_init__(self) -> None:
        choose("data.on_device", self.on_device, ("auto", "yes", "no"))
        choose("data.long", self.long, ("cut", "windows"))
        choose("data.classes", self.classes, ("auto", "machines", "folders", "clusters"))
        positive("data.clusters", self.clusters)
        positive("data.clip_seconds", self.clip_seconds)
        positive("data.longest_hours", self.longest_hours)
        positive("data.sample_rate", self.sample_rate)
        if not 0 < self.hold_out < 1:
            raise UserError(f"config.data.hold_out is {self.hold_out}; it must be in (0, 1).")
        if self.channel != "mean" and not str(self.channel).isdecimal():
            raise UserError(
                f"config.data.channel is {self.channel!r}; it must be 0, 1, ... or 'mean'."
            )

    @property
    def source_channel(self) -> int | str:
        """The channel as decoding takes it: an index or 'mean'."""
        return self.channel if self.channel == "mean" else int(self.channel)


@dataclasses.dataclass(frozen=True)
class Compute:
    """What training computes in, and how it fits into memory. Scores are always float32."""

    precision: str = "float32"  # of the networks' bodies in training; or 'bfloat16'
    rematerialise: bool = False  # compute each block's maps again in the backward pass
    accumulate: int = 1  # parts of a batch that follow one another; BatchNorm sees a part

    def __post_init__(self) -> None:
        choose("compute.precision", self.precision, ("float32", "bfloat16"))
        positive("compute.accumulate", self.accumulate)

    @property
    def changes_networks(self) -> bool:
        """Whether the networks that train differ from those that score."""
        return self.precision != "float32" or self.rematerialise


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """One network's optimizer."""

    kind: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.9  # sgd
    schedule: str = "constant"  # 'constant' or 'cosine', over the whole stage
    warmup: float = 0.0  # share of the stage with a linearly rising rate
    final: float = 0.0  # where a cosine ends, as a share of the learning rate

    def __post_init__(self) -> None:
        choose("optimizer.kind", self.kind, ("sgd", "adamw"))
        choose("optimizer.schedule", self.schedule, ("constant", "cosine"))


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long a stage trains, and on how many clips at a time."""

    epochs: float = 50.0
    batch_size: int = 128
    updates: int = 16  # in an epoch, at least: few clips train in smaller batches; 0 for never
    ema: float = 0.0  # decay of averaged parameters; 0 means the last ones

    def __post_init__(self) -> None:
        if not self.epochs >= 0:
            raise UserError(f"config.epochs is {self.epochs!r}; it must be 0 (off) or above.")
        positive("batch_size", self.batch_size)
        if self.updates < 0:
            raise UserError(f"config.updates is {self.updates!r}; it must be 0 (off) or above.")

    def batch(self, clips: int) -> int:
        """Clips of a batch where so many train: no more than there are, nor than `updates` leave.

        A schedule in epochs makes few updates of few clips; smaller batches, down to
        `SMALLEST_BATCH`, make more of the same work.
        """
        size = min(self.batch_size, clips)
        return min(size, max(SMALLEST_BATCH, clips // self.updates)) if self.updates else size
