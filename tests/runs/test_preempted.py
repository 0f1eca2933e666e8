"""Runs that are killed, or taken away and go on elsewhere, end in the scores of one left alone."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from asd_jax.report.files import read_scores
from asd_jax.train.metrics_log import MetricsLog

PROJECT = pathlib.Path(__file__).resolve().parents[2]
SECONDS = 300  # that a part of a run may take

# `python -m asd_jax.main` on tiny networks, each step at least 0.2 s long. KILL, such as
# "Checkpoints.save 2 0.01", has it killed 0.01 seconds after that function is called a second time.
PROGRAM = """
import contextlib, dataclasses, os, signal, sys, threading, time
from asd_jax import commands, main
from asd_jax.recipes.ensemble import recipe as ensemble
from asd_jax.runs import finish
from asd_jax.recipes.ensemble import networks
from asd_jax.runs.trainer import Trainer
from asd_jax.train import loop
from asd_jax.train.checkpoint import Checkpoints
from tests.recipes import tiny

def kill_in(place, name, number, delay):
    function, calls = getattr(place, name), []
    def wrapped(*arguments, **options):
        calls.append(name)
        if len(calls) == number:
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return function(*arguments, **options)
    setattr(place, name, wrapped)

if "KILL" in os.environ:
    where, number, delay = os.environ["KILL"].split()
    place, name = where.split(".")
    kill_in(globals()[place], name, int(number), float(delay))

def slowly(batches):
    for batch in batches:
        time.sleep(0.2)
        yield batch

def slow(stage, *arguments):
    @contextlib.contextmanager
    def batches(begin):
        with stage.batches(begin) as inner:
            yield slowly(inner)
    return run(dataclasses.replace(stage, batches=batches), *arguments)

networks.build, run, loop._run = tiny.build, loop._run, slow
commands.run(main.main)
"""


def start(folder, name, *flags, devices=1, kill=None):
    command = [sys.executable, "-c", PROGRAM, "--config=configs/ensemble.py:smoke"]
    command += [f"--workdir={folder / name}", "--config.save_seconds=0.5"]
    command += [f"--config.{stage}.epochs=2" for stage in ("pretrain", "finetune", "temporal")]
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        **({"KILL": kill} if kill else {}),
    }
    return subprocess.Popen(
        [*command, *flags],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def two(folder, name):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        where = f"--coordinator=127.0.0.1:{probe.getsockname()[1]}"
    flags = ["--processes=2", where]
    return [start(folder, name, *flags, f"--process={k}", devices=4) for k in range(2)]


def ended(*processes):
    shown = [process.communicate(timeout=SECONDS)[0] for process in processes]
    return [process.returncode for process in processes], shown


def until(folder, stage, process):
    """Waits for the first logged step of a stage."""
    book, end = MetricsLog(str(folder / "metrics.jsonl")), time.monotonic() + SECONDS
    while not any(event["stage"] == stage for event in book.read()):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.05)


def logged(folder):
    events = MetricsLog(str(folder / "metrics.jsonl")).read()
    return [(event["stage"], event["step"]) for event in events]


def same(one, other):
    one, other = (read_scores(folder / "scores.csv") for folder in (one, other))
    assert [row["path"] for row in one] == [row["path"] for row in other]
    for column in ("score", *(name for name in one[0] if name.startswith("score_"))):
        expected = np.array([row[column] for row in one])
        found = np.array([row[column] for row in other])
        far = np.abs(found - expected).max() / expected.std()
        print(f"{column}: differs by {far:.1e} standard deviations at most")
        assert far < 1e-2, column


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with an uninterrupted run on one device, `whole`."""
    folder = tmp_path_factory.mktemp("preempted")
    codes, shown = ended(start(folder, "whole"))
    assert codes == [0], shown
    return folder


# In a stage, in a save, right after one, between stages, and in all that is written at the end. The
# calls are counted from the last start; a call's name and number, and how long after it at most.
MOMENTS = (
    ("Checkpoints.save 1", 0.05),
    ("Checkpoints.save 2", 0.05),
    ("loop._run 2", 1.5),
    ("Trainer.train 2", 0.01),
    ("loop._run 1", 1.5),
    ("Checkpoints.save 1", 0.02),
    ("finish.write_scores 1", 0.01),
    ("finish.write_report 1", 0.1),
    ("finish.write_json 1", 0.0),
)


@pytest.mark.slow
def test_killed_at_any_moment_and_started_again_the_scores_are_the_same_bytes(place):
    rng = np.random.default_rng(int(os.environ.get("KILL_SEED", "0")))
    for where, longest in MOMENTS:
        process = start(place, "killed", kill=f"{where} {rng.uniform(0, longest):.4f}")
        codes, shown = ended(process)
        left = sorted(p.parent.name + "/" + p.name for p in place.glob("killed/checkpoints/*/*"))
        print(f"killed after {where}: {left}", flush=True)
        assert codes == [-signal.SIGKILL], (where, shown)
    codes, shown = ended(start(place, "killed"))
    assert codes == [0], shown
    whole, killed = (place / name / "scores.csv" for name in ("whole", "killed"))
    assert killed.read_bytes() == whole.read_bytes()
    steps = logged(place / "killed")
    assert len(set(steps)) == len(steps)


@pytest.mark.slow
def test_begun_on_one_device_and_resumed_on_eight_the_scores_are_the_same(place):
    process = start(place, "moved")
    until(place / "moved", "finetune", process)
    process.send_signal(signal.SIGTERM)
    codes, shown = ended(process)
    assert codes == [130] and "Stopped in stage finetune" in shown[0], shown
    codes, shown = ended(start(place, "moved", devices=8))
    assert codes == [0], shown
    same(place / "whole", place / "moved")


@pytest.mark.slow
def test_two_processes_that_are_stopped_and_killed_end_in_the_scores_of_one(place):
    processes = two(place, "many")
    until(place / "many", "pretrain", processes[0])
    processes[1].send_signal(signal.SIGTERM)  # the notice comes to one of two hosts
    codes, shown = ended(*processes)
    assert codes == [130, 130], shown
    stopped = {text.partition("after step ")[2].partition(";")[0] for text in shown}
    assert len(stopped) == 1, shown

    processes = two(place, "many")
    until(place / "many", "temporal", processes[0])
    processes[1].kill()
    began = time.monotonic()
    codes, shown = ended(*processes)
    print(f"process 0 ended {time.monotonic() - began:.0f} s after process 1")
    assert time.monotonic() - began < 60
    assert "has lost another one" in shown[0] or codes[0] == -signal.SIGABRT

    codes, shown = ended(*two(place, "many"))
    assert codes == [0, 0], shown
    assert "report.html" in shown[0] and "report.html" not in shown[1]  # one process reports
    same(place / "whole", place / "many")
    steps = logged(place / "many")
    assert len(set(steps)) == len(steps)
