"""The folder of a run: what made it, what is finished, and where things lie."""

import dataclasses
import json
import os
import shlex
import time
from collections.abc import Mapping
from typing import Any

from asd_jax.errors import UserError
from asd_jax.files import hold, plain, refuse_url, remove_leftovers, why, write_json
from asd_jax.naming import first_few, printable
from asd_jax.report.files import read_results
from asd_jax.report.learned import heard_sentences
from asd_jax.runs.settings import FREE, flatten, is_retired
from asd_jax.train.metrics_log import Loggers, MetricsLog, of
from asd_jax.train.processes import is_primary, primary_first


@dataclasses.dataclass(frozen=True)
class Workdir:
    """Paths of one run."""

    folder: str
    lock: Any = dataclasses.field(default=None, repr=False, compare=False)  # held while it lives

    @classmethod
    def open(
        cls,
        folder: str,
        config: Mapping[str, Any],
        defaults: Mapping[str, Any],
        *,
        begin: bool = True,
    ) -> "Workdir":
        """Makes the folder, or takes it up again if the same config made it.

        Args:
            folder: of the run.
            config: the resolved config, nested plain values.
            defaults: of the recipe, nested alike. A run that an earlier version began lacks the
                fields that were added since: each counts as its default there.
            begin: keep the config at once; else `begin` does, when the recordings have been read.

        Raises:
            UserError: another config made the folder, another process is at work in it, or it
                cannot be written.
        """
        refuse_url("--workdir", folder)
        workdir = cls(folder)
        try:
            with primary_first("workdir"):
                os.makedirs(folder, exist_ok=True)
                if is_primary() and not workdir.finished():
                    workdir = cls(folder, _alone_in(folder))
                if os.path.exists(workdir.path("config.json")):
                    _refuse_other(
                        workdir.path("config.json"),
                        flatten(plain(config)),
                        flatten(plain(defaults)),
                    )
                elif begin:
                    workdir.begin(config)
        except OSError as error:
            raise UserError(f"--workdir={folder} cannot be used: {why(error, folder)}.") from error
        return workdir

    def begin(self, config: Mapping[str, Any], recordings: Mapping[str, int] | None = None) -> None:
        """Keeps the config, and the sizes of the recordings that the run is of by their names.

        From here on the folder belongs to this config; before, a typo costs nothing.

        Raises:
            UserError: the folder cannot be used.
        """
        if not is_primary() or os.path.exists(self.path("config.json")):
            return
        try:
            os.makedirs(self.folder, exist_ok=True)
            write_json(self.path("recordings.json"), recordings or {}, indent=None)
            write_json(self.path("config.json"), config)
        except OSError as error:
            raise UserError(f"--workdir={self.folder} cannot be used: {error.strerror}.") from error

    def recordings(self) -> dict[str, int]:
        """The sizes that `begin` was given; {} of an older run."""
        try:
            return read_results(self.path("recordings.json"))
        except UserError:
            return {}

    def path(self, *names: str) -> str:
        """A path inside the folder."""
        return os.path.join(self.folder, *names)

    def config(self) -> dict[str, Any]:
        """The resolved config of the run."""
        return read_results(self.path("config.json"))

    def checkpoints(self, stage: str) -> str:
        """Returns the folder of a stage's checkpoints."""
        return self.path("checkpoints", stage)

    def metrics_log(self) -> MetricsLog:
        """The log of the run."""
        return MetricsLog(self.path("metrics.jsonl"), write=is_primary(), also=self.loggers())

    def loggers(self) -> Loggers | None:
        """Where its log goes, too; see `asd_jax.train.metrics_log`."""
        return of(self.folder, lambda: flatten(self.config())) if is_primary() else None

    def finished(self) -> bool:
        """Whether everything that a run leaves is there; results.json is written last."""
        return os.path.exists(self.path("results.json"))

    def say_result(self) -> None:
        """Prints what it has learned from, the outcome, where to look and what to do next."""
        results = read_results(self.path("results.json"))
        mean, learned = results["mean"], results.get("learned", {})
        for sentence in (*learned.get("sentences", ()), *heard_sentences(results)):
            print(printable(sentence))
        print(printable(results["verdict"]))
        if mean.get("auc") is not None:
            print(f"Mean AUC {mean['auc']:.4f}, mean pAUC {mean['pauc']:.4f}.")
        print(f"Open {self.path('report.html')}; the detector is {self.path('detector')}.")
        for what, command in learned.get("next", ()):
            command = printable(command.replace("RUN", shlex.quote(self.folder)))
            print(f"{printable(what)}:\n    {command}")


class Stopwatch:
    """Seconds that each part of a run took; one that was resumed counts from there."""

    def __init__(self, seconds: Mapping[str, float] | None = None) -> None:
        """Args: seconds of parts that were booked elsewhere."""
        self.seconds: dict[str, float] = dict(seconds or {})
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        """Books the time since the last lap under `name`."""
        now = time.monotonic()
        self.seconds[name] = round(now - self._last, 1)
        self._last = now


def _alone_in(folder: str) -> Any:
    """The lock of a run's folder, which ends with its owner; what a killed one has left goes."""
    import filelock

    try:
        lock = hold(os.path.join(folder, ".lock"))
    except filelock.Timeout as error:
        raise UserError(
            f"another run is at work in {folder}; wait for its end, or give another --workdir."
        ) from error
    for below in (folder, os.path.join(folder, "detector")):
        remove_leftovers(below)
    return lock


def _refuse_other(path: str, config: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    try:
        with open(path, encoding="utf-8") as file:
            before = flatten(json.load(file))
    except ValueError as error:
        raise UserError(f"{path} is damaged; delete its folder or choose another.") from error
    added = {name: value for name, value in defaults.items() if name not in before}
    before |= added
    differ = sorted(
        name
        for name in before.keys() | config.keys()
        if name not in FREE
        and before.get(name) != config.get(name)
        and not is_retired(f"config.{name}", before.get(name))
    )
    if differ:
        version = " by default, being of an earlier version"
        shown = [
            f"{n}: {before.get(n)} there{version if n in added else ''}, {config.get(n)} now"
            for n in differ
        ]
        raise UserError(
            f"{os.path.dirname(path)} holds a run of another config ({first_few(shown, 5)}); "
            "give another --workdir, or delete that one."
        )
