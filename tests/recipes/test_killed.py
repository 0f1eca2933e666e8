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

# What a run is killed by: the first appearance of a file, of the run's or of its cache's, or, for a
# number, a random moment of that share of an uninterrupted run.
MOMENTS = (
    "cache/synthetic/**/*.wav",  # while the machines are written
    "run/checkpoints/pretrain/*tmp*",  # in a save
    0.5,
    "run/checkpoints/finetune/*/_CHECKPOINT_METADATA",  # just after one
    "run/checkpoints/temporal",  # between stages
    1.0,
    "run/checkpoints/fusion/*tmp*",
    0.9,
    "run/detector/arrays.npz.tmp",
    "run/scores.csv",  # before the report
)


class Place:
    """A run with a cache of its own."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder, self.run = folder, folder / "run"

    def start(self) -> subprocess.Popen:
        """The command of the run, saving after each step."""
        command = [sys.executable, "-m", "asd_jax.main", "--config=configs/ensemble.py:smoke"]
        command += [f"--workdir={self.run}", "--config.save_seconds=0"]
        environment = {**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache"), "XLA_FLAGS": ""}
        with open(self.folder.with_suffix(".log"), "ab") as log:
            return subprocess.Popen(
                command, cwd=PROJECT, env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def finish(self) -> None:
        """The same command, to its end."""
        process = self.start()
        assert process.wait(SECONDS) == 0, self.folder.with_suffix(".log").read_text()[-3000:]

    def kill(self, moment: str | float, whole: float, rng: np.random.Generator) -> bool:
        """The same command, killed; False if it has ended before the moment came."""
        process, began = self.start(), time.monotonic()
        wait = rng.uniform(0, moment * whole) if isinstance(moment, float) else rng.uniform(0, 0.02)
        while isinstance(moment, str) and process.poll() is None and not self._has(moment):
            assert time.monotonic() - began < SECONDS
            time.sleep(0.002)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL

    def _has(self, pattern: str) -> bool:
        return next(self.folder.glob(pattern), None) is not None

    def scores(self) -> str:
        """scores.csv, its paths as seen from the cache."""
        return (self.run / "scores.csv").read_text().replace(str(self.folder), "")

    def steps(self) -> list:
        """Which steps of which stages are logged, in order."""
        return [(e["stage"], e["step"]) for e in Logbook(str(self.run / "metrics.jsonl")).read()]


@pytest.mark.slow
def test_killed_at_any_moment_and_started_again_the_scores_are_the_same_bytes(tmp_path):
    seed = int(os.environ.get("KILL_SEED", "0"))
    rng = np.random.default_rng(seed)
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole, killed = Place(tmp_path / "whole"), Place(tmp_path / "killed")
    began = time.monotonic()
    whole.finish()
    seconds = time.monotonic() - began
    hits = [moment for moment in MOMENTS if killed.kill(moment, seconds, rng)]
    print(f"an uninterrupted run: {seconds:.0f} s; killed at {hits}")
    assert len(hits) >= 8  # a late random moment may come after the end
    killed.finish()
    assert killed.scores() == whole.scores()
    assert sorted(killed.steps()) == sorted(whole.steps())
    assert len(set(killed.steps())) == len(killed.steps())
