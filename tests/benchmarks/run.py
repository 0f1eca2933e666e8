"""Measures: `python -m tests.benchmarks.run NAME... [--quick] [--rounds=7] [--json=FILE]`.

Prints a table a case, and writes every number to FILE. See README.md beside this file.
"""

import argparse
import importlib
import json
import os
import pathlib
import pkgutil
import signal
import subprocess
import sys
import time

from tests.benchmarks import cases, workers
from tests.benchmarks.harness import Settings, measure
from tests.benchmarks.text import render


def known() -> list[str]:
    """The names of all cases."""
    return sorted(module.name for module in pkgutil.iter_modules(cases.__path__))


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.run", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", help=f"all, or of {', '.join(known())}")
    parser.add_argument("--quick", action="store_true", help="few programs, three rounds")
    parser.add_argument("--rounds", type=int, help="default 7, or 3 with --quick")
    parser.add_argument("--json", help="file for every number")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", help="programs whose name contains this")
    parser.add_argument("--variants", default="", help="names of variants, separated by commas")
    parser.add_argument("--patience", type=float, help="seconds a turn waits for a quiet machine")
    parser.add_argument("--compile", action="store_true", help="torch.compile as well: minutes")
    parser.add_argument(
        "--torch_python",
        default=os.environ.get("TORCH_PYTHON", sys.executable),
        help="interpreter with torch and timm (the extra `bench`); '' leaves PyTorch out. "
        "Default $TORCH_PYTHON, or this one",
    )
    found = parser.parse_args(arguments)
    unknown = set(found.names) - {"all", *known()}
    if unknown:
        parser.error(f"no case is named {', '.join(sorted(unknown))}; known are {known()}")
    return found


def has_torch(python: str) -> bool:
    """Whether the interpreter can import torch and timm's files are there."""
    test = (
        "import importlib.util as u, sys; "
        "sys.exit(not (u.find_spec('torch') and u.find_spec('timm')))"
    )
    return subprocess.run([python, "-c", test], check=False).returncode == 0


def main(arguments: list[str]) -> int:
    """Runs the cases named; returns the exit status."""
    options = parse(arguments)
    workers.pin(options.threads)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the workers are ended
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begin:5.0f} s] {text}", file=sys.stderr, flush=True)

    patience = options.patience
    if patience is None:
        patience = 1.0 if options.quick else 20.0
    torch_python = options.torch_python
    if torch_python and not has_torch(torch_python):
        say(f"{torch_python} has no torch: PyTorch is left out; see --torch_python")
        torch_python = ""
    settings = Settings(
        torch_python=torch_python,
        rounds=options.rounds or (3 if options.quick else 7),
        threads=options.threads,
        quick=options.quick,
        patience=patience,
        flags=["compile"] if options.compile else [],
        only=options.only,
        variants=[name for name in options.variants.split(",") if name],
        say=say,
    )
    reports = {}
    for name in known() if "all" in options.names else options.names:
        case = importlib.import_module(f"tests.benchmarks.cases.{name}").CASE
        if not settings.chosen(case)[0]:
            continue
        reports[name] = measure(case, settings)
        print(render(reports[name]) + "\n", flush=True)
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps(reports, indent=1), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
