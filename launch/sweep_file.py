"""What a sweep file says: which runs there are, what each is called, and what was published.

A sweep file is Python with these names:

    CONFIG      the config of every run, as after `--config=`
    TITLE       of the table
    METRICS     column titles by the dotted path of a number in results.json; rows are compared by
                the first: an AUC by ranks (launch.collect says which), all else by decisions
    PAPER       for some rows, the published figures by column title, as printed
    REFERENCE   the row that the others are compared with; optional
    PUBLISHED   `(row, other row, clips of the test)`: a published difference to judge; optional
    sweep()     yields flat overrides such as {"row": "ECA", "network.attention": "eca", "seed": 1};
                `row` names the line of the table, runs of one row differ in their seeds
"""

import argparse
import dataclasses
import hashlib
import os
import re
import runpy
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from asd_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class SweepRun:
    """One run of a sweep."""

    row: str
    overrides: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of its folder, from its overrides alone."""
        text = ",".join(f"{key}={value}" for key, value in sorted(self.overrides.items()))
        short = re.sub(r"[^\w.,=-]+", "_", text)
        if len(short) <= 120:
            return short
        return short[:100] + "-" + hashlib.sha256(text.encode()).hexdigest()[:12]

    def command(self, config: str, workdir: str, extra: Sequence[str] = ()) -> list[str]:
        """The public command that makes it."""
        fields = [f"--config.{key}={_flag(value)}" for key, value in self.overrides.items()]
        program = [sys.executable, "-m", "asd_jax.main"]
        return [*program, f"--config={config}", f"--workdir={workdir}", *fields, *extra]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A sweep file, read."""

    name: str
    title: str
    config: str
    runs: tuple[SweepRun, ...]
    metrics: Mapping[str, str]
    paper: Mapping[str, Mapping[str, str]]
    reference: str = ""
    published: tuple[str, str, int] | None = None

    @property
    def rows(self) -> tuple[str, ...]:
        """The lines of the table, in order."""
        return tuple(dict.fromkeys(run.row for run in self.runs))

    @property
    def headline(self) -> str:
        """The title of the first metric, by which rows are compared."""
        return next(iter(self.metrics))


def read_sweep(path: str) -> Sweep:
    """Reads a sweep file.

    Raises:
        UserError: it is not there, or lacks a name that it must have.
    """
    if not os.path.isfile(path):
        raise UserError(f"{path} is not a sweep file; they lie in configs/sweeps.")
    names = runpy.run_path(path)
    missing = [name for name in ("CONFIG", "TITLE", "METRICS", "sweep") if name not in names]
    if missing:
        raise UserError(f"{path} has no {missing[0]}.")
    runs = []
    for given in names["sweep"]():
        overrides = dict(given)
        runs.append(SweepRun(str(overrides.pop("row", "")), overrides))
    if len({run.name for run in runs}) < len(runs):
        raise UserError(f"{path} yields the same run twice.")
    return Sweep(
        name=os.path.splitext(os.path.basename(path))[0],
        title=names["TITLE"],
        config=names["CONFIG"],
        runs=tuple(runs),
        metrics=names["METRICS"],
        paper=names.get("PAPER", {}),
        reference=names.get("REFERENCE", ""),
        published=names.get("PUBLISHED"),
    )


def add_file(parser: argparse.ArgumentParser) -> None:
    """The flags of every command that reads a sweep: FILE or --sweep=FILE, and --out."""
    parser.add_argument("file", nargs="?", default="", help="the same as --sweep=FILE")
    parser.add_argument("--sweep", default="", metavar="FILE", help="a file of configs/sweeps")
    parser.add_argument("--out", default="", help="one folder a run; default runs/<sweep>")


def file_given(options: argparse.Namespace) -> str:
    """The sweep file that the flags name; raises UserError where there is none."""
    if bool(options.file) == bool(options.sweep):
        raise UserError("give one sweep file, for example --sweep=configs/sweeps/sun_table5.py.")
    return options.file or options.sweep


def _flag(value: Any) -> str:
    """A value as a `--config.` flag takes it."""
    if isinstance(value, list | tuple):
        return "(" + "".join(f"{item!r}," for item in value) + ")"
    return str(value)
