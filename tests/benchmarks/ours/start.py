"""What passes until the first training step is done."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

from tests.benchmarks.protocol import ROOT, Work

LIMIT = 300.0  # seconds


def build(variant: dict[str, Any], program: dict[str, Any]) -> Work:
    """The step of a network in this process, or the whole command of a user."""
    if "command" not in program:
        from tests.benchmarks.ours import networks

        return networks.build(variant, program)
    return Work(lambda: start(program["command"], whole=program.get("whole", False)))


def start(arguments: list[str], *, whole: bool) -> None:
    """Starts `asd_jax.main` in a new folder; unless it is to be whole, its first step ends it."""
    folder = tempfile.mkdtemp()
    command = [sys.executable, "-m", "asd_jax.main", *arguments, f"--workdir={folder}/run"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ)
    try:
        if not whole:
            _wait(pathlib.Path(folder) / "run" / "metrics.jsonl", process)
        elif process.wait():
            raise RuntimeError(f"the run ended with status {process.returncode}")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder)


def _wait(path: pathlib.Path, process: subprocess.Popen) -> None:
    """Returns when the file has a whole line."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        if path.exists() and path.read_text("utf-8").endswith("\n"):
            json.loads(path.read_text("utf-8").splitlines()[0])
            return
        if process.poll() is not None:
            raise RuntimeError(f"the run ended with status {process.returncode}")
        time.sleep(0.02)
    raise TimeoutError(f"no step within {LIMIT:g} s")
