"""Runs that are killed without notice and given the same command again, on the real networks."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from asd_jax.train.logbook import Logbook

PROJECT = pathlib.Path(__file__).resolve().parents[2]
SECONDS = 600  # that a run may take

# The first run in its cache is killed when a file first appears there or in its own folder ...
FILES = (
    "cache/synthetic/**/*.wav",  # while the machines are written
    "run/checkpoints/pretrain/*tmp*",  # in a save
    "run/checkpoints/finetune/*/_CHECKPOINT_METADATA",  # just after one
    "run/checkpoints/temporal",  # between stages
    "run/checkpoints/fusion/*tmp*",
    "run/detector/arrays.npz.tmp",
    "run/scores.csv",  # before the report
)
# ... and this many later ones at random moments.
RANDOM = 6


class Place:
    """A run, and the cache of synthetic machines and programs that it uses."""

    def __init__(self, folder: pathlib.Path, name: str = "run") -> None:
        self.folder, self.run, self.log = folder, folder / name, folder / f"{name}.log"

    def start(self) -> subprocess.Popen:
        """The command of the run, saving after each step."""
        command = [sys.executable, "-m", "asd_jax.main", "--config=configs/ensemble.py:smoke"]
        command += [f"--workdir={self.run}", "--config.save_seconds=0"]
        environment = {**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache"), "XLA_FLAGS": ""}
        with open(self.log, "ab") as log:
            return subprocess.Popen(
                command, cwd=PROJECT, env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def finish(self) -> float:
        """The same command, to its end; the seconds that it took."""
        began = time.monotonic()
        assert self.start().wait(SECONDS) == 0, self.log.read_text()[-3000:]
        return time.monotonic() - began

    def kill_at(self, pattern: str) -> None:
        """The same command, killed when a file appears."""
        process = self.start()
        while process.poll() is None and not any(self.folder.glob(pattern)):
            time.sleep(0.002)
        process.kill()
        assert process.wait() == -signal.SIGKILL, f"it ended before {pattern} came"

    def kill_after(self, seconds: float) -> bool:
        """The same command, killed after some time; False if it has ended before."""
        process = self.start()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        return process.wait() == -signal.SIGKILL

    def left(self) -> tuple[str, set]:
        """scores.csv, its paths as seen from the cache, and which steps are logged, each once."""
        events = Logbook(str(self.run / "metrics.jsonl")).read()
        steps = [(event["stage"], event["step"]) for event in events]
        assert len(set(steps)) == len(steps)
        return (self.run / "scores.csv").read_text().replace(str(self.folder), ""), set(steps)


@pytest.mark.slow
def test_killed_at_any_moment_and_started_again_the_scores_are_the_same_bytes(tmp_path):
    rng = np.random.default_rng(int(os.environ.get("KILL_SEED", "0")))
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    whole, killed = Place(tmp_path / "one"), Place(tmp_path / "other")
    whole.finish()
    for pattern in FILES:
        killed.kill_at(pattern)
    killed.finish()
    assert killed.left() == whole.left()

    whole = Place(tmp_path / "other", "again")  # everything is compiled by now
    seconds = whole.finish()
    for number in range(RANDOM):
        killed, moment = Place(tmp_path / "other", f"random {number}"), rng.uniform(0, seconds)
        hit = killed.kill_after(moment)
        killed.finish()
        print(f"killed after {moment:.1f} s" if hit else "ended before", f"of {seconds:.1f} s")
        assert killed.left() == whole.left()
