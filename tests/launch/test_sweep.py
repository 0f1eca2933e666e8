"""The launcher on this machine, on a stand-in for the public command."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from asd_jax.errors import UserError
from launch import cells, local, sweep, sweep_file
from tests.launch.conftest import FILE, PROJECT

SWEEPS = PROJECT / "configs" / "sweeps"
SLOW_CELL = "network.attention=b,seed=1"
SIX = FILE.replace('("a", "b"):', '("a", "b", "c", "d", "e", "f"):')


def until(what, seconds=20.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def launch(*flags):
    command = [sys.executable, "-m", "launch.sweep", "table.py", "--backoff=0.1", *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_runs_every_cell_once_and_only_once(folder, capsys):
    assert sweep.main(["--sweep=table.py", "--on=local", "--workers=2"]) == 0
    assert list(folder.starts().values()) == [1, 1, 1, 1]
    assert "| a | 2 of 2 | 0.9100 ± 0.0141 | 0.9603 ± 0.25 |" in capsys.readouterr().out
    assert sweep.main(["table.py"]) == 0
    assert list(folder.starts().values()) == [1, 1, 1, 1]
    table = json.loads((folder / "runs/table/table.json").read_text())
    assert table["rows"][1]["figures"]["accuracy"]["values"] == pytest.approx([0.8, 0.82])


def test_a_failed_cell_is_named_and_run_again(folder, capsys):
    (folder / "broken").touch()
    assert sweep.main(["table.py", "--retries=0"]) == 1
    shown = capsys.readouterr()
    assert "| b | 1 of 2 | 0.8000 | 0.9527 |" in shown.out
    assert "1 runs are not finished." in shown.out
    log = next(word for word in shown.err.split() if word.endswith(".txt"))
    assert "out of paper" in pathlib.Path(log).read_text() and "out of paper" in shown.err
    (folder / "broken").unlink()
    assert sweep.main(["table.py"]) == 0
    assert sum(folder.starts().values()) == 5


def test_a_cell_that_dies_is_tried_again_after_longer_and_longer_pauses(folder, capsys):
    (folder / "broken").touch()
    assert sweep.main(["table.py", "--backoff=0.4"]) == 1
    assert folder.starts() == {name: 1 + 2 * (name == SLOW_CELL) for name in folder.starts()}
    times = [float(t) for t in (folder / "runs/table" / SLOW_CELL / "starts").read_text().split()]
    assert times[1] - times[0] >= 0.4 and times[2] - times[1] >= 0.8
    shown = capsys.readouterr().err
    assert "died (status 1)" in shown and "try 3 of 3 in 0.8 s" in shown


def test_a_killed_cell_is_taken_up_again(folder, capsys):
    (folder / "killed").touch()
    assert sweep.main(["table.py", "--backoff=0"]) == 0
    assert folder.starts()[SLOW_CELL] == 2
    assert "died (signal 9)" in capsys.readouterr().err


def test_what_the_user_must_mend_is_not_tried_again(folder, capsys):
    (folder / "wrong").touch()
    assert sweep.main(["table.py", "--backoff=0"]) == 1
    assert folder.starts()[SLOW_CELL] == 1
    assert "error: there is no such network." in capsys.readouterr().err


def test_each_worker_has_a_device_of_its_own(folder, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    (folder / "slow").touch()  # the two of seed 1 run at the same time
    waiter = threading.Thread(
        target=lambda: (until(lambda: len(folder.words("device")) == 4), os.remove("slow"))
    )
    waiter.start()
    assert sweep.main(["table.py", "--devices=2"]) == 0
    waiter.join()
    devices = {p.parent.name: p.read_text().strip() for p in folder.notes("device")}
    assert {devices[f"network.attention={row},seed=1"] for row in "ab"} == {"3", "5"}
    with pytest.raises(UserError, match="CUDA_VISIBLE_DEVICES shows 2; give --devices=2"):
        sweep.main(["table.py", "--devices=3", "--out=other"])


def test_a_device_is_a_gpu_or_a_chip(monkeypatch):
    for name in ("CUDA_VISIBLE_DEVICES", "TPU_VISIBLE_CHIPS"):
        monkeypatch.delenv(name, raising=False)
    assert local.device_environment(0, 0) == {}
    shown = local.device_environment(2, 4)
    assert (shown["CUDA_VISIBLE_DEVICES"], shown["TPU_VISIBLE_CHIPS"]) == ("2", "2")
    assert shown["TPU_CHIPS_PER_PROCESS_BOUNDS"] == shown["TPU_PROCESS_BOUNDS"] == "1,1,1"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_launcher_has_its_runs_save(folder, number):
    (folder / "slow").touch()
    launcher = launch("--workers=2")
    until(lambda: len(folder.words("device")) == 4)
    launcher.send_signal(number)
    shown, _ = launcher.communicate(timeout=20)
    assert launcher.returncode == 130 and "The same command goes on from here" in shown
    assert folder.words("saved") == ["1", "1"]
    assert "died" not in shown


def test_a_sweep_killed_in_the_middle_ends_in_the_right_table(folder):
    """Kill -9, of a worker and of the launcher; the slow half of 6 cells x 2 seeds is going."""
    (folder / "table.py").write_text(SIX)
    (folder / "slow").touch()
    launcher = launch("--workers=2")
    until(lambda: len(folder.notes("results.json")) == 6 and len(folder.words("device")) == 8)
    pids = [int(p.read_text()) for p in folder.notes("pid") if "seed=1" in str(p)]
    os.kill(pids[0], signal.SIGKILL)
    until(lambda: len(folder.words("device")) == 9)
    going = [int(pid) for pid in folder.words("pid") if alive(int(pid))]
    assert len(going) == 2
    launcher.kill()
    launcher.communicate(timeout=20)
    until(lambda: not any(alive(pid) for pid in going))
    before = folder.starts()
    (folder / "slow").unlink()
    assert sweep.main(["table.py", "--workers=2"]) == 0
    after, done = folder.starts(), [name for name in before if name.endswith("seed=0")]
    assert len(after) == 12 and {name: after[name] for name in done} == dict.fromkeys(done, 1)
    table = json.loads((folder / "runs/table/table.json").read_text())
    means = [row["figures"]["accuracy"]["mean"] for row in table["rows"]]
    assert means == pytest.approx([0.91, 0.81, 0.71, 0.61, 0.51, 0.41])
    assert all(row["finished"] == 2 for row in table["rows"])


def test_no_two_processes_make_one_cell(folder, capsys):
    table = sweep_file.read_sweep("table.py")
    run = next(run for run in table.runs if run.name == SLOW_CELL)
    lock = local.take_lock(cells.lock_path("runs/table", run))
    assert local.take_lock(cells.lock_path("runs/table", run)) is None

    def finish():  # as another launcher's process does, after the other cells are done here
        until(lambda: len(folder.notes("results.json")) == 3)
        (folder / "runs/table" / SLOW_CELL).mkdir()
        (folder / "runs/table" / SLOW_CELL / "results.json").write_text("{}")
        os.close(lock)

    other = threading.Thread(target=finish)
    other.start()
    assert sweep.main(["table.py", "--workers=4"]) == 0
    other.join()
    assert SLOW_CELL not in folder.starts() and len(folder.starts()) == 3
    assert f"done elsewhere: {SLOW_CELL}" in capsys.readouterr().out


def test_overrides_reach_the_command(folder, capsys):
    assert sweep.main(["table.py", "--dry_run", "--config=c.py:mimii", "--config.data.root=x"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and not (folder / "runs").exists()
    for part in ("--config=c.py:mimii", "--config.data.root=x", "--config.network.attention=a"):
        assert part in lines[0]
    with pytest.raises(UserError, match="--colour=red is not an option"):
        sweep.main(["table.py", "--colour=red"])


def test_one_cell_can_be_asked_for(folder, capsys):
    assert sweep.main(["table.py", f"--cell={SLOW_CELL}"]) == 0
    assert folder.starts() == {SLOW_CELL: 1}
    assert not (folder / "runs/table/table.md").exists()  # a part of a sweep has none
    assert sweep.main(["table.py", "--on=print"]) == 0
    shown = capsys.readouterr()
    assert len([line for line in shown.out.splitlines() if "asd_jax.main" in line]) == 3
    assert "1 of 4 runs are there already" in shown.err
    with pytest.raises(UserError, match="--cell=x is not a cell of table"):
        sweep.main(["table.py", "--cell=x"])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give one sweep file"),
        (["table.py", "--sweep=table.py"], "give one sweep file"),
        (["table.py", "--retries=-1"], "--retries is -1; it must be at least 0"),
        (["table.py", "--cells_per_job=0"], "--cells_per_job is 0; it must be at least 1"),
        (["table.py", "--backoff=nan"], "--backoff is nan; it must be at least 0"),
        (["table.py", "--time=0"], "--time is 0; it must be at least 1"),
        (["table.py", "--workers=3", "--devices=2"], "--workers=3 cannot have a device each"),
    ],
)
def test_wrong_flags_are_one_sentence(folder, flags, message):
    with pytest.raises(UserError, match=message):
        sweep.main(flags)


def test_it_also_starts_as_a_file():
    command = ["--sweep=configs/sweeps/sun_table6.py", "--on=print", "--out=nowhere"]
    shown = [
        subprocess.run(
            [sys.executable, *how, *command], cwd=PROJECT, capture_output=True, text=True
        )
        for how in (["launch/sweep.py"], ["-m", "launch.sweep"])
    ]
    assert [found.returncode for found in shown] == [0, 0], shown[0].stderr
    assert shown[0].stdout == shown[1].stdout and len(shown[0].stdout.splitlines()) == 12


def test_runs_that_differ_in_their_seeds_or_rates_make_a_group(folder):
    runs = sweep_file.read_sweep("table.py").runs
    assert cells.group_cells(runs) == [(run,) for run in runs]
    assert cells.group_cells(runs, 8) == [runs[::2], runs[1::2]]
    assert cells.chunks(runs, 3) == [list(runs[:3]), list(runs[3:])]
    fields = ({"finetune.margin": 0.1}, {"finetune.margin": 0.2}, {"finetune.epochs": 3.0}, {})
    runs = [sweep_file.SweepRun("", own) for own in fields]
    # What a run leaves to the config may be anything.
    assert cells.group_cells(runs, 8) == [tuple(runs[:2]), (runs[2],), (runs[3],)]
    rates = [
        sweep_file.SweepRun("", {"seed": k, "temporal.optimizer.learning_rate": 1e-3 * k})
        for k in range(5)
    ]
    assert [len(group) for group in cells.group_cells(rates, 2)] == [2, 2, 1]


def test_a_group_is_one_process_and_of_it_only_what_is_left(folder, capsys):
    assert sweep.main(["table.py", "--pack=2", "--on=print"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all("--cells=" in line for line in lines)
    (folder / "wrong").touch()
    assert sweep.main(["table.py", "--pack=2"]) == 1
    shown = capsys.readouterr()
    assert "[2/4] done: network.attention=a,seed=0 + network.attention=a,seed=1" in shown.out
    assert "| b | 1 of 2 |" in shown.out  # the other run of the group has finished
    assert f"failed: {SLOW_CELL}" in shown.err and "see that log" in shown.err
    (folder / "wrong").unlink()
    assert sweep.main(["table.py", "--pack=2"]) == 0
    assert sum(folder.starts().values()) == 5


def test_a_group_waits_for_the_locks_of_all_its_runs(folder):
    lock = local.take_lock(str(folder / "runs/table/locks" / f"{SLOW_CELL}.lock"))
    going = launch("--pack=2", "--workers=2")
    until(lambda: len(folder.notes("results.json")) == 2)
    time.sleep(0.5)
    assert len(folder.starts()) == 2
    os.close(lock)
    assert going.wait(timeout=20) == 0
    assert len(folder.starts()) == 4


def test_a_tuple_is_written_as_a_flag_takes_it():
    run = sweep_file.SweepRun("", {"data.snr": ("6", "0"), "network.attention_stages": (4,)})
    words = run.command("c.py", "w")
    assert "--config.data.snr=('6','0',)" in words
    assert "--config.network.attention_stages=(4,)" in words


def test_long_names_stay_different():
    runs = [sweep_file.SweepRun("", {"data.root": "x" * 200 + end}) for end in "ab"]
    assert runs[0].name != runs[1].name and max(len(run.name) for run in runs) < 130


@pytest.mark.parametrize(
    ("text", "message"),
    [("CONFIG = ''", "has no TITLE"), (FILE.replace("(0, 1)", "(0, 0)"), "the same run twice")],
)
def test_a_bad_sweep_file_is_one_sentence(tmp_path, text, message):
    (tmp_path / "bad.py").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        sweep_file.read_sweep(str(tmp_path / "bad.py"))


@pytest.mark.parametrize("name", ["sun_table4", "sun_table5", "sun_table6"])
def test_the_published_tables_are_sweeps_of_valid_settings(name):
    from asd_jax.recipes.pump_classifier.network import build
    from asd_jax.recipes.pump_classifier.settings import PumpClassifier
    from asd_jax.runs.settings import from_config
    from tests.runs.test_settings import get_config

    table = sweep_file.read_sweep(str(SWEEPS / f"{name}.py"))
    assert set(table.paper) <= set(table.rows) and table.reference in table.rows
    for argument in ("quickstart", "mimii"):
        for run in table.runs:
            if run.overrides["seed"] == 0:
                values = get_config("pump_classifier", argument)
                values.update_from_flattened_dict(dict(run.overrides))
                build(from_config(PumpClassifier, values.to_dict()))
