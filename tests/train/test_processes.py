"""Two processes make one run: they save and stop at the same step, and die together."""

import contextlib
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from asd_jax.errors import UserError
from asd_jax.train import processes
from asd_jax.train.metrics_log import MetricsLog
from tests.train.test_loop import STEPS, run, weights

PROJECT = pathlib.Path(__file__).resolve().parents[2]

# The stage of test_loop, its batches cut in two; `pause` seconds before each.
PROGRAM = """
import contextlib, os, sys, time
address, process, folder, pause, save_seconds = sys.argv[1:]
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
from asd_jax import commands
from asd_jax.train import processes
import jax, numpy as np
from asd_jax.train import loop
from asd_jax.train.sharding import data_mesh, sharded
from tests.train import test_loop

whole = test_loop.batches

@contextlib.contextmanager
def batches(*arguments):
    with whole(*arguments) as inner:
        def generate():
            for batch in inner:
                time.sleep(float(pause) * (1 + int(process)))
                yield {n: jax.make_array_from_callback(
                    v.shape, sharded(data_mesh(8)), lambda i, v=v: v[i]) for n, v in batch.items()}
        yield generate()

def train(*arguments, **options):
    return loop.train(*arguments, **(options | {"save_seconds": float(save_seconds)}))

test_loop.batches, test_loop.train = batches, train
test_loop.MetricsLog = lambda path: loop.MetricsLog(path, write=processes.is_primary())

def main(argv):
    processes.start("2", int(process), address)
    state = test_loop.run(folder, devices=8)
    print("WEIGHTS", test_loop.weights(state).tobytes().hex(), flush=True)

sys.argv = sys.argv[:1]
commands.run(main)
"""


@contextlib.contextmanager
def two(folder, *, pause=0.0, save_seconds=60.0):
    """Both processes of a run; they are gone when the block is left."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-c", PROGRAM, address]
    more = [str(folder), str(pause), str(save_seconds)]
    started = [
        subprocess.Popen(
            [*command, str(number), *more],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(2)
    ]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def until_step(folder, number):
    """Waits for a step to be logged; test_loop logs every third, one event late."""
    book, end = MetricsLog(str(folder / "metrics.jsonl")), time.monotonic() + 300
    while not any(event["step"] >= number for event in book.read()):
        assert time.monotonic() < end, "no step in five minutes"
        time.sleep(0.02)


def ends(started, seconds=300):
    shown = [process.communicate(timeout=seconds)[0] for process in started]
    return shown, [process.returncode for process in started]


def test_a_signal_to_one_stops_all_at_the_same_step_and_another_number_of_devices_goes_on(
    tmp_path,
):
    whole = weights(run(tmp_path / "whole"))
    with two(tmp_path, pause=0.1, save_seconds=0.15) as started:
        until_step(tmp_path, 1)
        started[1].send_signal(signal.SIGTERM)
        shown, codes = ends(started)
    assert codes == [130, 130], shown
    steps = {text.partition("toy after step ")[2].partition(";")[0] for text in shown}
    assert len(steps) == 1 and 0 < int(steps.pop()) < STEPS, shown
    np.testing.assert_allclose(weights(run(tmp_path, devices=1)), whole, atol=1e-5)
    logged = [event["step"] for event in MetricsLog(str(tmp_path / "metrics.jsonl")).read()]
    assert logged == sorted(set(logged)) and logged[-1] == STEPS


def test_two_processes_give_the_weights_of_one(tmp_path):
    with two(tmp_path / "two") as started:
        shown, codes = ends(started)
    assert codes == [0, 0], shown
    found = [text.partition("WEIGHTS ")[2].split()[0] for text in shown]
    assert found[0] == found[1]
    both = np.frombuffer(bytes.fromhex(found[0]), "f4").reshape(3, 3)
    np.testing.assert_allclose(both, weights(run(tmp_path / "one")), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_the_others_stop_within_a_minute_of_a_death_and_say_so(tmp_path, number):
    with two(tmp_path, pause=0.4, save_seconds=0.0) as started:
        until_step(tmp_path, 1)
        started[number].kill()
        began = time.monotonic()
        shown, _ = started[1 - number].communicate(timeout=60)
        print(f"process {1 - number} ended {time.monotonic() - began:.0f} s later:\n{shown}")
    # A broken connection is an error of ours; where silence tells, JAX aborts with its own words.
    assert started[1 - number].returncode in (1, -signal.SIGABRT)
    if started[1 - number].returncode == 1:
        last = shown.strip().splitlines()[-1]
        assert last.startswith("error: ") and "has lost another one" in last, shown
        assert "The same commands go on from the last save." in last
    assert "Traceback" not in shown and "most recent call" not in shown
    with two(tmp_path) as started:
        shown, codes = ends(started)
    assert codes == [0, 0], shown


# Process 1 is done; process 0 has all that is written at the end still before it.
DONE = """
import sys, time
from asd_jax import commands
from asd_jax.train import processes

def main(argv):
    processes.start("2", int(process), address)
    processes.wait("both are here")
    print("DONE", flush=True)
    time.sleep(0 if process == "1" else 600)

address, process = sys.argv[1:]
sys.argv = sys.argv[:1]
commands.run(main)
"""


def test_a_process_that_waits_at_its_end_for_one_that_is_killed_ends_too(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    logs = [tmp_path / "0.log", tmp_path / "1.log"]
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(process_of(DONE, address, k, logs[k])) for k in range(2)]
        for log in logs:
            until_shown(log, "DONE")
        with pytest.raises(subprocess.TimeoutExpired):
            started[1].wait(1)
        started[0].kill()
        assert started[1].wait(60) != 0
    assert "Traceback" not in logs[1].read_text()


@contextlib.contextmanager
def process_of(program, address, number, log):
    """A process that writes into `log`; it is gone when the block is left."""
    command = [sys.executable, "-c", program, address, str(number)]
    with log.open("w") as file:
        started = subprocess.Popen(command, cwd=PROJECT, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def until_shown(log, text):
    end = time.monotonic() + 300
    while text not in log.read_text():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def test_what_is_missing_is_one_sentence():
    for flags in (("two", 0, "host:1"), ("2", None, "host:1"), ("2", 0, None)):
        with pytest.raises(UserError, match="with --process=K"):
            processes.start(*flags)
    processes.start("", None, None)
    assert processes.is_primary()


# Process 1 lacks as many recordings as it is told to.
AGREE = """
import sys
from asd_jax import commands
from asd_jax.train import processes

def main(argv):
    processes.start("2", int(process), address)
    lacks = int(address_and_lacks.partition(",")[2]) * int(process)
    processes.agree(settings={"seed": 0}, recordings=["a.wav", "b.wav"][lacks:])
    print("AGREED", flush=True)

address_and_lacks, process = sys.argv[1:]
address = address_and_lacks.partition(",")[0]
sys.argv = sys.argv[:1]
commands.run(main)
"""


@pytest.mark.parametrize("lacks", [0, 1])
def test_processes_that_lack_recordings_do_not_begin(tmp_path, lacks):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]},{lacks}"
    logs = [tmp_path / "0.log", tmp_path / "1.log"]
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(process_of(AGREE, address, k, logs[k])) for k in range(2)]
        codes = [process.wait(120) for process in started]
    said = [log.read_text() for log in logs]
    assert ["AGREED" in text for text in said] == [not lacks] * 2, said
    assert codes == [2 * lacks] * 2, said
    assert all("differ in their recordings (here" in text for text in said) == bool(lacks)
