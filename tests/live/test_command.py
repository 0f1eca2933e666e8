"""`asd_jax.score` as a command: files and standard input, a watched folder, a stream."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import numpy as np
import pytest
import soundfile

from asd_jax.live import feed
from asd_jax.live.alarm import Alarms, Rule
from asd_jax.live.board import Board
from asd_jax.report.files import read_scores
from tests.live import machine


@pytest.fixture
def command(detector_folder, tmp_path_factory):
    cache = str(tmp_path_factory.getbasetemp() / "cache")
    environment = os.environ | {"XDG_CACHE_HOME": cache, "XLA_FLAGS": ""}

    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "asd_jax.score", f"--detector={detector_folder}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )

    return start


def wav(path, wave):
    soundfile.write(path, wave, machine.RATE)
    return path


def test_a_file_and_standard_input_give_the_same_row(command, tmp_path):
    sound = machine.with_tone(machine.hum(seed=5), start=0.3, end=0.6, hertz=2000)
    path = wav(tmp_path / "a.wav", sound)
    (tmp_path / "b.wav").write_bytes(b"RIFFnonsense")
    run = command(str(tmp_path), "-", "--format=json", f"--output={tmp_path / 'out.csv'}")
    out, errors = run.communicate(path.read_bytes())
    assert run.returncode == 1 and b"not scored" in errors and b"b.wav" in errors
    first, second = (json.loads(line) for line in out.splitlines())
    assert (first.pop("path"), second.pop("path")) == (str(path), "-")
    assert first == second
    assert first["decision"] == 1 and first["percentile"] == 100
    assert first["departs_from_hz"] < 2000 < first["departs_to_hz"]
    assert first["departs_from_s"] == pytest.approx(0.3, abs=0.1)
    rows = read_scores(tmp_path / "out.csv")
    assert rows[0]["score"] == pytest.approx(first["score"])
    assert rows[0]["departs_from_hz"] == pytest.approx(first["departs_from_hz"])


def test_a_growing_folder_until_it_is_stopped(command, tmp_path):
    wav(tmp_path / "old.wav", machine.hum(seed=1))
    run = command(f"--watch={tmp_path}", "--settle=0.1", "--skip_existing")
    os.set_blocking(run.stdout.fileno(), False)
    deadline, seen, number = time.monotonic() + 60, b"", 1
    while (seen.count(b"recording") < 2 or b"unreadable" not in seen) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.3)
        seen += run.stdout.read() or b""
        number += 1
        wav(tmp_path / f"new{number}.wav", machine.hum(seed=number))
        (tmp_path / f"broken{number}.wav").write_bytes(b"x")
    run.send_signal(signal.SIGTERM)
    out, errors = run.communicate(timeout=60)
    events = [json.loads(line) for line in (seen + (out or b"")).splitlines()]
    scored = [e["path"] for e in events if e["event"] == "recording"]
    unreadable = [e["path"] for e in events if e["event"] == "unreadable"]
    assert run.returncode == 0 and not errors
    assert events[-1] == {"event": "end", "clips": len(scored)}
    assert all("/new" in path for path in scored) and len(set(scored)) == len(scored)
    assert all("/broken" in path for path in unreadable)
    assert len(set(unreadable)) == len(unreadable)


def test_a_stream_on_standard_input(command):
    sound = machine.with_tone(machine.hum(4.0, seed=7), start=2.0, end=4.0, hertz=3000)
    run = command("--stream", "--hop=0.5", "--alarm_after=2/2")
    out, errors = run.communicate(sound.tobytes() + b"\x00")
    assert run.returncode == 0 and not errors
    events = [json.loads(line) for line in out.splitlines()]
    assert [e["event"] for e in events] == ["window"] * 7 + ["end"]
    needed = {"time", "score", "threshold", "percentile", "decision", "alarm"}
    assert all(needed <= e.keys() for e in events[:-1])
    assert [e["alarm"] for e in events][:7] == [False] * 4 + [True] * 3
    assert np.isfinite([e["score"] for e in events[:-1]]).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give recordings or folders"),
        (["a.wav", "--stream"], "give one of"),
        (["nowhere.wav"], "nowhere.wav does not exist"),
        (["--watch=nowhere"], "--watch=nowhere: there is no such folder"),
        (["--stream", "--output=x.csv"], "--output goes with recordings"),
        (["--stream", "--sample_format=S16_LE"], "known are s16le"),
        (["--stream", "--alarm_after=5/2"], "--alarm_after=5/2"),
    ],
)
def test_what_a_user_gets_wrong_is_said_at_once(command, arguments, said):
    begun = time.monotonic()
    run = command(*arguments)
    _, errors = run.communicate(b"")
    assert run.returncode == 2
    assert said in errors.decode() and "Traceback" not in errors.decode()
    assert time.monotonic() - begun < 5


def test_the_monitor_serves_a_stream_until_it_is_stopped(detector_folder, tmp_path):
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "XLA_FLAGS": ""}
    arguments = [f"--detector={detector_folder}", "--stream", "--port=0", "--hop=1"]
    arguments.append(f"--history={tmp_path / 'history.sqlite'}")  # the folder is other tests', too
    run = subprocess.Popen(
        [sys.executable, "-m", "asd_jax.monitor", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    address = run.stdout.readline().decode().split()[4]
    run.stdin.write(machine.hum(3.0).tobytes())
    run.stdin.close()
    run.stdin = None
    deadline, state = time.monotonic() + 60, {}
    while not state.get("paused") and time.monotonic() < deadline:
        time.sleep(0.2)
        with urllib.request.urlopen(f"{address}state", timeout=20) as answer:
            state = json.loads(answer.read())
    assert state["paused"]
    assert [note["text"] for note in state["notes"]] == [
        "The sound ended after 3.0 s; 3 windows scored."
    ]
    assert [point["decision"] for point in state["points"]] == [0, 0, 0]
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 0 and errors == b"Stopped.\n"


def test_the_monitor_shows_recordings_of_a_folder(clip_scorer, tmp_path):
    board = Board(machine.RATE)
    good = wav(tmp_path / "a.wav", machine.hum(2.0, seed=4))
    (tmp_path / "b.wav").write_bytes(b"x")
    ready = [[str(good), str(tmp_path / "b.wav")]]
    feed.recordings(clip_scorer, board, ready, Alarms(Rule(2, 2, 2)), threading.Lock())
    state = board.state()
    assert [p["path"].rpartition("#")[2] for p in state["points"]] == ["t=0,1", "t=1,2"]
    assert state["drawn"] == 19 and "b.wav" in state["notes"][0]["text"] and not state["paused"]
