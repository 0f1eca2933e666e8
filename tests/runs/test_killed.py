"""The public command, killed with SIGKILL at random moments and given again: the same scores.

Its networks are tiny, but with KILL_PROGRAM=asd_jax.main. KILL_SEED=N draws other moments.
"""

import dataclasses
import os
import shutil
import signal
import time

import numpy as np
import pytest

from asd_jax.report.files import read_scores
from tests.runs.killed import Moment, Runs, gone

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
DEVICES = 4  # of each of two processes
BATCHES = tuple(
    f"--config.{stage}.batch_size={2 * DEVICES}"
    for stage in ("pretrain", "finetune", "temporal", "fusion")
)
SYNTHETIC = ("--config=configs/ensemble.py:smoke", *SMALL)
ALONE = (
    Moment("at the start", "", 3.0),
    Moment("while recordings are written", "cache/asd_jax/synthetic/**/*.wav", 0.5),
    Moment("while recordings are decoded", "cache/asd_jax/waves/**/*.i16", 0.05),
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
# Process 0 works on alone after the stages, and process 1 waits for its end.
TOGETHER = (
    Moment("while recordings are decoded", "cache/asd_jax/waves/**/*.i16", 0.05, (0, 1)),
    Moment("in pretrain", "RUN/metrics.jsonl", 0.5, (1,)),
    Moment("in a save of pretrain", "RUN/checkpoints/pretrain/*tmp*", 0.02, (0,)),
    Moment("after pretrain", "RUN/checkpoints/pretrain/LAST_pretrain", 0.3, (0,)),
    Moment("in a save of finetune", "RUN/checkpoints/finetune/*tmp*", 0.02, (1,)),
    Moment("in temporal", "RUN/checkpoints/temporal/[0-9]*", 0.5, (0, 1)),
    Moment("after temporal", "RUN/checkpoints/temporal/LAST_temporal", 1.0, (1,)),
    Moment("while process 0 calibrates", "RUN/checkpoints/fusion/LAST_fusion", 1.0, (0,)),
    Moment("while process 0 evaluates", "RUN/scores.csv", 0.2, (0, 1)),
)
COMPILING = Moment("while the first step compiles", "RUN/checkpoints/fusion", 2.0)


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
    as_if_left_alone(alone)


def as_if_left_alone(runs):
    """`killed` has the scores of `whole`, no step logged twice, and no more checkpoints."""
    assert runs.scores("killed") == runs.scores("whole")
    steps = runs.logged("killed")
    assert len(set(steps)) == len(steps)
    assert runs.checkpoints("killed") == runs.checkpoints("whole")


def killed(runs, moment, rng):
    """Starts a run and kills it; False if it came to its end."""
    wait, process = rng.uniform(0, moment.longest), runs.start("killed")
    with gone(process):
        reached = process.reaches(runs.folder, runs.pattern(moment, "killed", "whole"))
        if reached and process.kill_after(wait):
            print(f"killed {moment.name}, {wait:.3f} s: {left(runs, 'killed')}", flush=True)
            return True
        assert process.end() == 0, process.shown()
    print(f"not killed {moment.name}: at its end", flush=True)
    return False


def left(runs, name):
    """What a run has left, in words."""
    folder = runs.folder / name
    found = runs.checkpoints(name)
    found += [p.name for p in sorted(folder.glob("*")) if p.is_file()]
    return ", ".join(found) or "nothing"


def test_begun_on_one_device_and_resumed_on_eight_the_scores_are_the_same(alone, rng):
    begun = alone.start("moved")
    with gone(begun):
        assert begun.reaches(alone.folder, "moved/checkpoints/finetune/[0-9]*"), begun.shown()
        assert begun.kill_after(rng.uniform(0, 0.3))
    print(f"killed on one device: {left(alone, 'moved')}", flush=True)
    resumed = alone.start("moved", devices=8)
    with gone(resumed):
        assert resumed.end() == 0, resumed.shown()
    near(alone.scores("moved"), alone.scores("whole"), alone.folder)


def near(one, other, folder, *, combined=1e-4):
    """Two tables of scores are the same but for rounding.

    The branches' within 1e-4 of their standard deviation, the final ones within `combined`.
    """
    tables = []
    for k, data in enumerate((one, other)):
        (folder / f"{k}.csv").write_bytes(data)
        tables.append(read_scores(folder / f"{k}.csv"))
    assert [row["path"] for row in tables[0]] == [row["path"] for row in tables[1]]
    for column in ("score", *(name for name in tables[0][0] if name.startswith("score_"))):
        found, expected = (np.array([row[column] for row in table]) for table in tables)
        far = np.abs(found - expected).max() / expected.std()
        print(f"{column}: differs by {far:.1e} standard deviations at most", flush=True)
        assert far < (combined if column == "score" else 1e-4), column


@pytest.fixture(scope="module")
def together(tmp_path_factory, real_recordings):
    """Runs on real recordings by two processes, and an uninterrupted one, `whole`."""
    root = real_recordings / "bldc_motors"
    source = ("--config=configs/ensemble.py:folder", f"--config.data.root={root}", *SMALL)
    runs = Runs(tmp_path_factory.mktemp("together"), (*source, "--config.data.long=cut", *BATCHES))
    whole = runs.start_two("whole", devices=DEVICES)
    with gone(*whole):
        assert [process.end() for process in whole] == [0, 0], [p.shown() for p in whole]
    # One process reports, and it leaves all that a run leaves.
    assert "report.html" in whole[0].shown() and "report.html" not in whole[1].shown()
    for path in ("report.html", "results.json", "detector/arrays.npz", "detector/detector.json"):
        assert (runs.folder / "whole" / path).stat().st_size > 0
    return runs


def test_the_scores_of_two_processes_are_those_of_one(together):
    whole = together.start("one")
    with gone(whole):
        assert whole.end() == 0, whole.shown()
    # The final score divides a branch's by its spread over the healthy clips of a machine, of which
    # there are five: 0.3 around 289 for a motor, so that rounding counts a thousand times.
    near(together.scores("whole"), together.scores("one"), together.folder, combined=1e-3)


@pytest.mark.parametrize("victim", [0, 1])
def test_killed_while_the_first_step_compiles_the_other_ends_with_a_sentence(together, rng, victim):
    moment = dataclasses.replace(COMPILING, victims=(victim,))
    assert killed_of_two(together, moment, "compiling", rng, compiled=False)
    shutil.rmtree(together.folder / "compiling")


def test_two_processes_killed_at_random_moments_the_scores_are_the_same_bytes(together, rng):
    together.forget("killed")
    for moment in TOGETHER:
        assert killed_of_two(together, moment, "killed", rng), moment.name
    last = together.start_two("killed", devices=DEVICES)
    with gone(*last):
        assert [process.end() for process in last] == [0, 0], [p.shown() for p in last]
    as_if_left_alone(together)


def killed_of_two(runs, moment, name, rng, *, compiled=True):
    """Kills one of two processes, or both; False if the run came to its end. The other says so."""
    wait, processes = (
        rng.uniform(0, moment.longest),
        runs.start_two(name, devices=DEVICES, compiled=compiled),
    )
    with gone(*processes):
        if not processes[0].reaches(runs.folder, runs.pattern(moment, name, "whole")):
            return False
        first, *more = (processes[k] for k in moment.victims)
        if not first.kill_after(wait, *more):
            return False
        print(
            f"{moment.victims} killed {moment.name}, {wait:.3f} s: {left(runs, name)}", flush=True
        )
        for other in set(processes) - {first, *more}:
            ends_with_a_sentence(other)
    return True


def ends_with_a_sentence(process):
    """Within a minute."""
    began = time.monotonic()
    code = process.end(90)
    took = time.monotonic() - began
    said = [line for line in process.shown().splitlines() if line.startswith("error: ")]
    print(f"the other ended {took:.1f} s later with {code}: {said}", flush=True)
    assert code != 0 and took < 60, process.shown()
    if code != -signal.SIGABRT:  # by JAX, with its own words, where only silence tells
        assert len(said) == 1 and "go on from the last save" in said[0], process.shown()
