"""Runs a sweep: `python -m launch.sweep --sweep=configs/sweeps/sun_table5.py --on=local`.

Runs are made on this machine (--on=local, the default), on a SLURM cluster (slurm), on rented
machines through SkyPilot (sky), or by hand from printed lines (print). A run is the public command
in a process of its own. The same command again skips what is done and takes up what was stopped.
At the end of a local sweep, and with `python -m launch.collect`, the table is printed. More in
launch/README.md. Flags `--config.FIELD=VALUE` are handed to every run.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

if __name__ == "__main__" and not __package__:  # python launch/sweep.py: the project lies above
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from asd_jax.bounds import Within
from asd_jax.commands import STOPPED
from asd_jax.errors import Interrupted, UserError
from launch import cells, local, sky, slurm
from launch.collect import write_table
from launch.sweep_file import Sweep, SweepRun, add_file, file_given, read_sweep


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the sweep of a file; 0 if every run has finished, or was handed over."""
    options, extra = _parser().parse_known_args(argv)
    strange = [word for word in extra if not word.startswith("--config.")]
    if strange:
        raise UserError(f"{strange[0]} is not an option; see python -m launch.sweep --help.")
    _check(options)
    path = file_given(options)
    sweep = read_sweep(path)
    options.config = options.config or sweep.config
    options.out = options.out or os.path.join("runs", sweep.name)
    runs = cells.chosen(sweep, options.cell)
    # Those that can train as one program shall meet in one process, and in one job.
    runs = [run for group in cells.group_cells(runs, options.pack) for run in group]
    place = "print" if options.dry_run else options.on
    if place == "local":
        return _here(sweep, runs, options, extra)
    left = [run for run in runs if not cells.is_done(options.out, run)]
    if len(left) < len(runs):
        print(f"{len(runs) - len(left)} of {len(runs)} runs are there already.", file=sys.stderr)
    if place == "print":
        for group in cells.group_cells(left, options.pack):
            print(shlex.join(cells.command_of(group, options.config, options.out, extra)))
    elif place == "slurm":
        return slurm.submit(path, left, options, extra)
    else:
        sky.write(path, sweep, runs, options, extra)
    return 0


def _here(sweep: Sweep, runs: list[SweepRun], options: argparse.Namespace, extra: list[str]) -> int:
    """Makes the runs on this machine and, of a whole sweep, the table."""
    failed = local.run_all(runs, options, extra)
    if not options.cell:
        print(write_table(sweep, options.out))
    for run in failed:
        log = cells.log_path(options.out, run)
        print(f"failed: {run.name}; see {log}\n  {cells.last_line(log)}", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m launch.sweep",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_file(parser)
    parser.add_argument("--on", choices=("local", "slurm", "sky", "print"), default="local")
    parser.add_argument("--config", default="", help="another config than the sweep's")
    parser.add_argument("--dry_run", action="store_true", help="the same as --on=print")
    parser.add_argument(
        "--cell", action="append", default=[], help="only the run of this name; may be repeated"
    )
    group = parser.add_argument_group("the processes on a machine, this one or a rented one")
    group.add_argument("--workers", type=int, default=0, help="runs at a time; default 1")
    group.add_argument("--devices", type=int, default=0, help="accelerators, one for each worker")
    group.add_argument("--retries", type=int, default=2, help="of a run that died; default 2")
    group.add_argument("--backoff", type=float, default=10.0, help="seconds before the first retry")
    group.add_argument(
        "--pack", type=int, default=1, help="runs that train as one program, at most"
    )
    group = parser.add_argument_group("jobs of SLURM and SkyPilot")
    group.add_argument("--cells_per_job", type=int, default=1, help="runs a job; default 1")
    slurm.add_flags(parser.add_argument_group("SLURM"))
    sky.add_flags(parser.add_argument_group("SkyPilot"))
    return parser


def _check(options: argparse.Namespace) -> None:
    """Refuses numbers that make no sense."""
    least = {"workers": 0, "devices": 0, "retries": 0, "backoff": 0, "pack": 1, "cells_per_job": 1}
    least |= {
        "time": 1,
        "gpus": 0,
        "cpus": 1,
        "memory": 0,
        "parallel": 1,
        "grace": 1,
        "requeues": 0,
    }
    for name, bound in least.items():
        if must := Within(bound, 10**6).fault(float, getattr(options, name)):
            raise UserError(f"--{name} is {getattr(options, name)}; it must {must}.")
    if options.devices and options.workers > options.devices:
        raise UserError(
            f"--workers={options.workers} cannot have a device each of --devices="
            f"{options.devices}; leave one of the two out."
        )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except (Interrupted, KeyboardInterrupt):
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        sys.exit(STOPPED)
