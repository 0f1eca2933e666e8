"""The public command, killed with SIGKILL at random moments and given again: the same scores.

Its networks are tiny, but with KILL_PROGRAM=asd_jax.main. KILL_SEED=N draws other moments.
"""

import os

import numpy as np
import pytest

from tests.recipes.killed import Moment, Runs, gone

pytestmark = pytest.mark.slow

SMALL = (
    "--config.data.clip_seconds=2.0",
    "--config.encoder.width=0.35",
    "--config.pretrain.epochs=6",
    "--config.finetune.epochs=4",
    "--config.temporal.epochs=6",
    "--config.fusion.epochs=4",
    "--config.save_seconds=0.3",
)
SYNTHETIC = ("--config=configs/ensemble.py:smoke", *SMALL)
ALONE = (
    Moment("at the start", "", 3.0),
    Moment("while recordings are written", "cache/asd_jax/synthetic/**/*.wav", 0.5),
    Moment("while recordings are decoded", "cache/asd_jax/waves/**/waves.i16", 0.05),
    Moment("in pretrain", "RUN/metrics.jsonl", 0.5),
    Moment("in a save of pretrain", "RUN/checkpoints/pretrain/*tmp*", 0.02),
    Moment("after pretrain", "RUN/checkpoints/pretrain/LAST_pretrain", 0.3),
    Moment("in a save of finetune", "RUN/checkpoints/finetune/*tmp*", 0.02),
    Moment("in temporal", "RUN/checkpoints/temporal/[0-9]*", 0.5),
    Moment("after temporal", "RUN/checkpoints/temporal/LAST_temporal", 2.0),
    Moment("while calibrating", "RUN/checkpoints/fusion/LAST_fusion", 2.0),
    Moment("while the detector is written", "RUN/detector", 0.05),
    Moment("while evaluating", "RUN/scores.csv", 0.5),
)


@pytest.fixture
def rng():
    return np.random.default_rng(int(os.environ.get("KILL_SEED", "0")))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Runs on synthetic machines, and an uninterrupted one, `whole`."""
    runs = Runs(tmp_path_factory.mktemp("alone"), SYNTHETIC)
    whole = runs.start("whole")
    assert whole.end() == 0, whole.shown()
    return runs


def test_killed_at_random_moments_the_scores_are_the_same_bytes(alone, rng):
    alone.forget("killed")
    for moment in ALONE:
        while not killed(alone, moment, rng):  # it had got further than that before
            assert alone.scores("killed") == alone.scores("whole")
            alone.forget("killed")
    last = alone.start("killed")
    assert last.end() == 0, last.shown()
    assert alone.scores("killed") == alone.scores("whole")
    steps = alone.logged("killed")
    assert len(set(steps)) == len(steps)


def killed(runs, moment, rng):
    """Starts a run and kills it; False if it came to its end."""
    wait, process = rng.uniform(0, moment.longest), runs.start("killed")
    with gone(process):
        if process.reaches(runs.folder, runs.pattern(moment, "killed", "whole")):
            if process.kill_after(wait):
                print(f"killed {moment.name}, {wait:.3f} s: {left(runs, 'killed')}", flush=True)
                return True
        assert process.end() == 0, process.shown()
    print(f"not killed {moment.name}: at its end", flush=True)
    return False


def left(runs, name):
    """What a run has left, in words."""
    folder = runs.folder / name
    found = [f"{p.parent.name}/{p.name}" for p in sorted(folder.glob("checkpoints/*/*"))]
    found += [p.name for p in sorted(folder.glob("*")) if p.is_file()]
    return ", ".join(found) or "nothing"
