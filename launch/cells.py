"""Which runs of a sweep are done, where their files lie, and which of them one process makes."""

import argparse
import collections
import json
import os
import sys
from collections.abc import Sequence

from asd_jax.errors import UserError
from asd_jax.runs.tunables import may_differ
from launch.sweep_file import Sweep, SweepRun

PackedRuns = tuple[SweepRun, ...]


def is_done(folder: str, run: SweepRun) -> bool:
    """Whether a run has left its last file."""
    return os.path.exists(file_of(folder, run, "results.json"))


def file_of(folder: str, run: SweepRun, name: str) -> str:
    """A file that a run leaves in its own folder."""
    return os.path.join(folder, run.name, name)


def log_path(folder: str, run: SweepRun) -> str:
    """Returns the path of a run's output."""
    return os.path.join(folder, "logs", f"{run.name}.txt")


def lock_path(folder: str, run: SweepRun) -> str:
    """Returns the path of the lock that a run's process holds while it lives."""
    return os.path.join(folder, "locks", f"{run.name}.lock")


def last_line(path: str) -> str:
    """Returns the last line of a log, to show why a run failed."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return "".join(collections.deque((line for line in file if line.strip()), 1)).strip()


def group_cells(runs: Sequence[SweepRun], pack: int = 1) -> list[PackedRuns]:
    """The runs that one process trains as one program.

    Those are runs that differ only in settings that leave shapes alone, such as their seeds.

    Args:
        runs: of a sweep.
        pack: the most of them in a group.
    """
    if pack == 1:
        return [(run,) for run in runs]
    alike: dict[str, list[SweepRun]] = {}
    for run in runs:
        fixed = {k: v for k, v in run.overrides.items() if not may_differ(k)}
        # Where one run leaves to the config what another sets, they are alike only by chance.
        names = sorted(set(run.overrides) - set(fixed))
        alike.setdefault(repr((sorted(fixed.items()), names)), []).append(run)
    return [tuple(part) for found in alike.values() for part in chunks(found, pack)]


def command_of(group: PackedRuns, config: str, folder: str, extra: Sequence[str] = ()) -> list[str]:
    """The public command that makes a group."""
    first, *others = group
    if not others:
        return first.command(config, os.path.join(folder, first.name), extra)
    fields = json.dumps({run.name: dict(run.overrides) for run in group})
    program = [sys.executable, "-m", "asd_jax.main", f"--config={config}"]
    return [*program, f"--workdir={folder}", f"--cells={fields}", *extra]


def chosen(sweep: Sweep, names: Sequence[str]) -> list[SweepRun]:
    """The runs of these names, all where no name is given.

    Raises:
        UserError: the sweep has no run of a name.
    """
    known = {run.name: run for run in sweep.runs}
    for name in names:
        if name not in known:
            raise UserError(
                f"--cell={name} is not a cell of {sweep.name}; --on=print shows them all, as the "
                "folders of their --workdir."
            )
    return [run for name, run in known.items() if not names or name in names]


def chunks(runs: Sequence[SweepRun], size: int) -> list[list[SweepRun]]:
    """The runs in lists of `size`, in their order."""
    return [list(runs[k : k + size]) for k in range(0, len(runs), size)]


def job_command(
    path: str, runs: Sequence[SweepRun], options: argparse.Namespace, extra: Sequence[str]
) -> list[str]:
    """The arguments of `python` that make these runs, on whatever machine it is."""
    words = ["-m", "launch.sweep", f"--sweep={path}", "--on=local"]
    words += [f"--config={options.config}", f"--out={options.out}"]
    for name in ("workers", "devices", "retries", "backoff", "pack"):
        words.append(f"--{name}={getattr(options, name):g}")
    return [*words, *(f"--cell={run.name}" for run in runs), *extra]
