"""Runs a sweep on this machine: `python -m launch.sweep configs/sweeps/sun_table5.py`.

    --workers=N       runs at a time; default 1
    --out=DIR         one folder a run; default runs/<sweep>
    --config=FILE     another config than the sweep's, for example another data set
    --dry_run         print the commands, run nothing
    --config.X=Y      handed to every run

A run is the public command in a process of its own. The same command again skips what is done and
takes up what was stopped. At the end, and with `python -m launch.collect`, the table is printed.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from asd_jax.errors import UserError
from launch.collect import write_table
from launch.sweep_file import Run, Sweep, read_sweep


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the sweep of a file; 0 if every run has finished."""
    options, extra = _parser().parse_known_args(argv)
    strange = [word for word in extra if not word.startswith("--config.")]
    if strange:
        raise UserError(f"{strange[0]} is no option; see python -m launch.sweep --help.")
    sweep = read_sweep(options.file)
    config = options.config or sweep.config
    folder = options.out or os.path.join("runs", sweep.name)
    if options.dry_run:
        for run in sweep.runs:
            print(shlex.join(run.command(config, os.path.join(folder, run.name), extra)))
        return 0
    failed = run_all(sweep, config, folder, workers=options.workers, extra=extra)
    print(write_table(sweep, folder))
    for run in failed:
        print(f"failed: {run.name}; see {log_path(folder, run)}", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m launch.sweep",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", help="a file of configs/sweeps")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", default="")
    parser.add_argument("--config", default="")
    parser.add_argument("--dry_run", action="store_true")
    return parser


def run_all(
    sweep: Sweep, config: str, folder: str, *, workers: int = 1, extra: Sequence[str] = ()
) -> list[Run]:
    """Makes every run that is not finished, `workers` at a time; returns those that failed.

    Raises:
        KeyboardInterrupt: on Ctrl-C, after the runs have saved what they did.
    """
    waiting = [run for run in sweep.runs if not is_done(folder, run)]
    total, done = len(sweep.runs), len(sweep.runs) - len(waiting)
    if done:
        print(f"{done} of {total} runs are there already.", flush=True)
    going: dict[subprocess.Popen, tuple[Run, float]] = {}
    failed: list[Run] = []
    try:
        while waiting or going:
            while waiting and len(going) < max(1, workers):
                run = waiting.pop(0)
                going[_start(run, config, folder, extra)] = (run, time.monotonic())
            for process in [p for p in going if p.poll() is not None]:
                run, began = going.pop(process)
                done += 1
                if process.returncode or not is_done(folder, run):
                    failed.append(run)
                word = "failed" if run in failed else "done"
                seconds = time.monotonic() - began
                print(f"[{done}/{total}] {word}: {run.name} ({seconds:.0f} s)", flush=True)
            time.sleep(0.2)
    except KeyboardInterrupt:
        for process in going:
            process.send_signal(signal.SIGINT)
        for process in going:
            process.wait()
        raise
    return failed


def is_done(folder: str, run: Run) -> bool:
    """Whether a run has left its last file."""
    return os.path.exists(os.path.join(folder, run.name, "results.json"))


def log_path(folder: str, run: Run) -> str:
    """Where the output of a run goes."""
    return os.path.join(folder, "logs", f"{run.name}.txt")


def _start(run: Run, config: str, folder: str, extra: Sequence[str]) -> subprocess.Popen:
    os.makedirs(os.path.join(folder, "logs"), exist_ok=True)
    command = run.command(config, os.path.join(folder, run.name), extra)
    with open(log_path(folder, run), "ab") as log:
        # In a group of its own: Ctrl-C reaches it once, from here, and not twice.
        return subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        sys.exit(130)
