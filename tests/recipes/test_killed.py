"""The public command, killed with SIGKILL at random moments and given again: the same scores.

KILL_SEED=N draws other moments. With JAX_COMPILATION_CACHE_DIR the programs are kept between runs
of these tests.
"""

import os
import shutil
import time

import numpy as np
import pytest

from asd_jax.report.files import read_scores
from tests.recipes.killed import PROJECT, Moment, Runs, gone

REAL = PROJECT.parent / "shared" / "real"

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
BATCHES = tuple(
    f"--config.{stage}.batch_size=8" for stage in ("pretrain", "finetune", "temporal", "fusion")
)

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
TOGETHER = (
    Moment("in pretrain", "RUN/metrics.jsonl", 0.5),
    Moment("in a save of finetune", "RUN/checkpoints/finetune/*tmp*", 0.02),
    Moment("after temporal", "RUN/checkpoints/temporal/LAST_temporal", 1.0),
    # Process 0 alone works on then: it does not miss process 1, which waits for its end.
    Moment("while process 0 calibrates", "RUN/checkpoints/fusion/LAST_fusion", 1.0, victim=0),
)
COMPILING = Moment("while the first step compiles", "RUN/checkpoints/fusion", 6.0)


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


def test_begun_on_one_device_and_resumed_on_eight_the_scores_are_the_same(alone, rng):
    begun = alone.start("moved")
    with gone(begun):
        assert begun.reaches(alone.folder, "moved/checkpoints/finetune/[0-9]*"), begun.shown()
        begun.kill_after(rng.uniform(0, 0.3))
    resumed = alone.start("moved", devices=8)
    with gone(resumed):
        assert resumed.end() == 0, resumed.shown()
    near(alone.scores("moved"), alone.scores("whole"), alone.folder)


def near(one, other, folder):
    """Whether two tables of scores are the same but for rounding."""
    tables = []
    for k, data in enumerate((one, other)):
        (folder / f"{k}.csv").write_bytes(data)
        tables.append(read_scores(folder / f"{k}.csv"))
    assert [row["path"] for row in tables[0]] == [row["path"] for row in tables[1]]
    for column in ("score", *(name for name in tables[0][0] if name.startswith("score_"))):
        found, expected = (np.array([row[column] for row in table]) for table in tables)
        far = np.abs(found - expected).max() / expected.std()
        print(f"{column}: differs by {far:.1e} standard deviations at most", flush=True)
        assert far < 1e-4, column


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Runs on real recordings where there are any, and an uninterrupted one by two processes."""
    real = REAL / "bldc_motors"
    source = SYNTHETIC
    if real.is_dir():
        source = ("--config=configs/ensemble.py:folder", f"--config.data.root={real}", *SMALL)
        source += ("--config.data.long=cut", *BATCHES)
    runs = Runs(tmp_path_factory.mktemp("together"), source)
    whole = runs.start_two("whole", devices=2)
    with gone(*whole):
        assert [process.end() for process in whole] == [0, 0], [p.shown() for p in whole]
    # One process reports, and it leaves all that a run leaves.
    assert "report.html" in whole[0].shown() and "report.html" not in whole[1].shown()
    return runs


@pytest.mark.parametrize("victim", [0, 1])
def test_killed_while_the_first_step_compiles_the_other_ends_with_a_sentence(together, rng, victim):
    wait = rng.uniform(0, COMPILING.longest)
    assert one_killed(together, COMPILING, "compiling", victim, wait, compiled=False)
    shutil.rmtree(together.folder / "compiling")


def test_one_of_two_killed_at_random_moments_the_scores_are_the_same_bytes(together, rng):
    for moment in TOGETHER:
        victim = int(rng.integers(2)) if moment.victim is None else moment.victim
        wait = rng.uniform(0, moment.longest)
        assert one_killed(together, moment, "killed", victim, wait), moment.name
    last = together.start_two("killed", devices=2)
    with gone(*last):
        assert [process.end() for process in last] == [0, 0], [p.shown() for p in last]
    assert together.scores("killed") == together.scores("whole")
    steps = together.logged("killed")
    assert len(set(steps)) == len(steps)


def one_killed(runs, moment, name, victim, wait, *, compiled=True):
    """Kills one of two processes; False if the run came to its end. The other says so in time."""
    processes = runs.start_two(name, devices=2, compiled=compiled)
    other = processes[1 - victim]
    with gone(*processes):
        if not processes[0].reaches(runs.folder, runs.pattern(moment, name, "whole")):
            return False
        if not processes[victim].kill_after(wait):
            return False
        began = time.monotonic()
        code = other.end(90)
        took = time.monotonic() - began
        time.sleep(0.5)  # its witness has the last word
        said = [line for line in other.shown().splitlines() if line.startswith("error: ")]
        print(
            f"process {victim} killed {moment.name}, {wait:.3f} s; the other ended {took:.1f} s "
            f"later with {code}: {said}; {left(runs, name)}",
            flush=True,
        )
        assert code != 0 and took < 60, other.shown()
        assert len(said) == 1 and "go on from the last save" in said[0], other.shown()
    return True


def test_the_scores_of_two_processes_are_those_of_one(together):
    whole = together.start("one")
    with gone(whole):
        assert whole.end() == 0, whole.shown()
    for path in ("report.html", "results.json", "detector/arrays.npz", "detector/detector.json"):
        assert (together.folder / "whole" / path).stat().st_size > 0
    near(together.scores("whole"), together.scores("one"), together.folder)
