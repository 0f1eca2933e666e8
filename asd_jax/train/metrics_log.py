"""metrics.jsonl, one JSON line a log event, and where a run's metrics go besides.

`enable` names CSV, TensorBoard, W&B and MLflow once for the process (`--log_to` of `asd_jax.main`);
`of` has those of a run.
"""

import csv
import functools
import importlib.util
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import logging

from asd_jax.errors import UserError, detail
from asd_jax.files import plain, write_bytes, writing

PROJECT = "asd_jax"  # the runs' project, or experiment, at W&B and MLflow


class Logger:
    """A place that figures go to."""

    def __init__(self, folder: str, config: Mapping[str, Any]) -> None:
        """Args: the run's folder, and its settings, flat."""

    def begin(self, stage: str, step: int) -> None:
        """A stage goes on after this step: what was logged of later ones comes again."""

    def log(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Figures of a stage after a step."""

    def close(self) -> None:
        """The run has come to its end."""


class Csv(Logger):
    """`metrics.csv` in long form: stage, step, name, value."""

    def __init__(self, folder: str, config: Mapping[str, Any]) -> None:
        self._path = os.path.join(folder, "metrics.csv")

    def begin(self, stage: str, step: int) -> None:
        """See `Logger`."""
        rows = []
        if os.path.exists(self._path):
            with open(self._path, encoding="utf-8", newline="") as file:
                rows = [r for r in csv.reader(file) if len(r) == 4 and r[1].isdigit()]
        kept = [r for r in rows if r[0] != stage or int(r[1]) <= step]
        lines = [",".join(row) + "\n" for row in [["stage", "step", "name", "value"], *kept]]
        write_bytes(self._path, "".join(lines).encode())

    def log(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """See `Logger`."""
        with open(self._path, "a", encoding="utf-8", newline="") as file:
            rows = ((stage, step, name, f"{value:.9g}") for name, value in values.items())
            csv.writer(file, lineterminator="\n").writerows(rows)


class TensorBoard(Logger):
    """Event files below `tensorboard`, a folder a stage; without TensorFlow."""

    def __init__(self, folder: str, config: Mapping[str, Any]) -> None:
        self._folder = os.path.join(folder, "tensorboard")
        self._writers: dict[str, Any] = {}

    def begin(self, stage: str, step: int) -> None:
        """See `Logger`."""
        from tensorboardX import SummaryWriter  # pyright: ignore[reportMissingImports]

        if stage in self._writers:
            self._writers[stage].close()
        folder = os.path.join(self._folder, stage)
        self._writers[stage] = SummaryWriter(
            folder, purge_step=step + 1, filename_suffix=f".{os.getpid()}.{step}"
        )  # the name has the second alone, and a file of that name would be written over

    def log(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """See `Logger`."""
        if stage not in self._writers:
            self.begin(stage, step - 1)
        for name, value in values.items():
            self._writers[stage].add_scalar(name, value, step)
        self._writers[stage].flush()

    def close(self) -> None:
        """See `Logger`."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


class Wandb(Logger):
    """Weights & Biases; WANDB_MODE=offline keeps the run in its folder."""

    def __init__(self, folder: str, config: Mapping[str, Any]) -> None:
        import wandb  # pyright: ignore[reportMissingImports]

        name = os.path.basename(os.path.realpath(folder))
        os.makedirs(folder, exist_ok=True)
        # Several runs side by side are several runs there, too.
        self._run = wandb.init(
            project=PROJECT, name=name, dir=folder, config=dict(config), reinit="create_new"
        )

    # Each stage counts its own steps, so steps are figures there.
    def log(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """See `Logger`."""
        own = {f"{stage}/{name}": value for name, value in values.items()}
        self._run.log({f"{stage}/step": step, **own})

    def close(self) -> None:
        """See `Logger`."""
        self._run.finish()


class Mlflow(Logger):
    """MLflow; MLFLOW_TRACKING_URI says where, as for any other program."""

    def __init__(self, folder: str, config: Mapping[str, Any]) -> None:
        from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]

        self._client = MlflowClient()
        found = self._client.get_experiment_by_name(PROJECT)
        experiment = found.experiment_id if found else self._client.create_experiment(PROJECT)
        name = os.path.basename(os.path.realpath(folder))
        self._run = self._client.create_run(experiment, run_name=name).info.run_id
        for field, value in config.items():
            self._client.log_param(self._run, field, value)

    # A figure of the same step again is one more value of that step.
    def log(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """See `Logger`."""
        for name, value in values.items():
            self._client.log_metric(self._run, f"{stage}/{name}", value, step=step)

    def close(self) -> None:
        """See `Logger`."""
        self._client.set_terminated(self._run)


# By name the logger, and the package and extra that it needs.
LOGGERS: dict[str, tuple[type[Logger], str]] = {
    "csv": (Csv, ""),
    "tensorboard": (TensorBoard, "tensorboardX"),
    "wandb": (Wandb, "wandb"),
    "mlflow": (Mlflow, "mlflow"),
}

_enabled: tuple[str, ...] = ()


def enable(names: Sequence[str]) -> None:
    """Has every run from here on log to these, too.

    Raises:
        UserError: a name that is none of `LOGGERS`, or its package is not installed.
    """
    global _enabled
    for name in names:
        if name not in LOGGERS:
            raise UserError(f"--log_to={name} is no logger; there are {', '.join(LOGGERS)}.")
        package = LOGGERS[name][1]
        if package and importlib.util.find_spec(package) is None:
            raise UserError(
                f"--log_to={name} needs the package {package}: pip install 'asd_jax[{name}]'."
            )
    _enabled = tuple(dict.fromkeys(names))
    _of.clear()


class Loggers:
    """All loggers of a run. One that fails is named and left out: it does not stop a training."""

    def __init__(self, folder: str, config: Callable[[], Mapping[str, Any]]) -> None:
        """Args: of the run, and what reads its settings, flat; asked when the first is opened."""
        self._open: dict[str, Logger] = {}

        def opened(name: str) -> None:
            self._open[name] = LOGGERS[name][0](folder, config())

        for name in _enabled:
            self._try(name, functools.partial(opened, name))

    def begin(self, stage: str, step: int) -> None:
        """See `Logger`."""
        self._each(lambda logger: logger.begin(stage, step))

    def log(self, stage: str, step: int, values: Mapping[str, Any]) -> None:
        """See `Logger`; what is no finite number is left out."""
        numbers = {
            name: float(value)
            for name, value in values.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
        self._each(lambda logger: logger.log(stage, step, numbers))

    def close(self) -> None:
        """See `Logger`."""
        self._each(lambda logger: logger.close())
        self._open = {}

    def _each(self, do: Callable[[Logger], None]) -> None:
        for name, logger in list(self._open.items()):
            self._try(name, functools.partial(do, logger))

    def _try(self, name: str, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:  # a service that is not there raises anything
            logging.warning("Nothing more goes to %s: %s", name, detail(error))
            self._open.pop(name, None)


_of: dict[str, Loggers] = {}


def of(folder: str, config: Callable[[], Mapping[str, Any]]) -> Loggers | None:
    """The loggers of the run in a folder, the same for all its stages; None where none is enabled.

    Args:
        folder: of the run.
        config: reads its settings, flat.
    """
    if not _enabled:
        return None
    if folder not in _of:
        _of[folder] = Loggers(folder, config)
    return _of[folder]


class MetricsLog:
    """Appends log events of a run to `metrics.jsonl`; only the first process writes."""

    def __init__(self, path: str, *, write: bool = True, also: Loggers | None = None) -> None:
        """Args: of the file, whether this process writes, and where all of it goes, too."""
        self._path = path
        self._write = write
        self._also = also if write else None

    def read(self) -> list[dict[str, Any]]:
        """All events so far, oldest first; a line cut short by a crash is left out."""
        if not os.path.exists(self._path):
            return []
        events = []
        with open(self._path, encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    events.append(json.loads(line))
                except (ValueError, RecursionError):
                    continue
        return [event for event in events if isinstance(event, dict)]

    def rewind(self, stage: str, step: int) -> None:
        """Drops the events of `stage` after `step`: a resumed stage writes them again."""
        if not self._write:
            return
        if self._also:
            self._also.begin(stage, step)
        kept = [e for e in self.read() if e.get("stage") != stage or e.get("step", 0) <= step]
        write_bytes(self._path, "".join(json.dumps(event) + "\n" for event in kept).encode())

    def log(self, stage: str, step: int, **values: Any) -> None:
        """Adds one event, at this time (s, Unix). NaN and infinity become null: strict JSON."""
        if not self._write:
            return
        values = plain(values)
        event = {"stage": stage, "step": step, "time": round(time.time(), 3), **values}
        line = json.dumps(event) + "\n"
        with (
            writing(self._path, "make room, and the same command goes on", needs=len(line)),
            open(self._path, "a", encoding="utf-8") as file,
        ):
            file.write(line)
        if self._also:
            self._also.log(stage, step, values)
