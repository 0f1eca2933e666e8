"""Sweeps on SLURM: submitit's local executor really runs them; SLURM's own commands are acted."""

import os
import pathlib
import pickle
import signal
import subprocess
import sys

import pytest

from asd_jax.errors import UserError
from launch import slurm, sweep
from tests.launch.test_sweep import SLOW_CELL, alive, until

pytest.importorskip("submitit")

SBATCH = """#!/bin/sh
cp "$1" submitted.sh
echo "Submitted batch job 77"
"""


@pytest.fixture
def cluster(folder, monkeypatch):
    """SLURM's commands: sbatch keeps the script, squeue shows the file `queue`."""
    place = folder / "bin"
    place.mkdir()
    for name, text in {
        "sbatch": SBATCH,
        "srun": "#!/bin/sh\n",
        "squeue": "#!/bin/sh\ncat queue\n",
    }.items():
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    (folder / "queue").touch()
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
    return folder


def submitted(folder):
    """The commands of the jobs that submitit has pickled, in their order."""
    jobs = sorted((folder / "runs/table/slurm").glob("*/*_submitted.pkl"))
    return [pickle.loads(path.read_bytes()).function._command for path in jobs]


def test_submitits_local_executor_runs_a_sweep(folder, capsys):
    flags = ["table.py", "--on=slurm", "--cluster=local", "--cells_per_job=2"]
    (folder / "broken").touch()
    assert sweep.main([*flags, "--retries=1", "--backoff=0"]) == 1
    assert "2 jobs" in (shown := capsys.readouterr()).out and "failed: job" in shown.err
    assert folder.starts() == {name: 1 + (name == SLOW_CELL) for name in folder.starts()}
    (folder / "broken").unlink()
    assert sweep.main(flags) == 0
    assert sorted(folder.starts().values()) == [1, 1, 1, 3]
    assert len(folder.notes("results.json")) == 4
    assert sweep.main(flags) == 0
    assert "4 of 4 runs are there already" in capsys.readouterr().err


def test_a_job_is_an_array_with_what_the_flags_say(cluster):
    flags = ["--time=90", "--partition=gpu", "--account=lab", "--constraint=a100", "--qos=low"]
    flags += ["--gpus=2", "--cpus=6", "--memory=32", "--parallel=1", "--grace=60", "--devices=2"]
    flags += ["--cells_per_job=3", "--config.data.root=x y"]
    assert sweep.main(["table.py", "--on=slurm", *flags]) == 0
    script = (cluster / "submitted.sh").read_text()
    for line in (
        "array=0-1%1", "time=90", "partition=gpu", "account=lab", "constraint=a100", "qos=low",
        "gpus-per-node=2", "cpus-per-task=6", "mem=32GB", "signal=USR2@60", "requeue",
        f"chdir={cluster}", "job-name=table",
    ):  # fmt: skip
        assert f"#SBATCH --{line}\n" in script, line
    assert "submitit.core._submit" in script
    first, second = submitted(cluster)
    assert first[:5] == [sys.executable, "-m", "launch.sweep", "--sweep=table.py", "--on=local"]
    assert [sum(w.startswith("--cell=") for w in words) for words in (first, second)] == [3, 1]
    assert {"--devices=2", "--out=runs/table", "--config.data.root=x y"} <= set(first)


def test_what_is_queued_is_not_queued_again(cluster, capsys):
    assert sweep.main(["table.py", "--on=slurm"]) == 0
    (cluster / "queue").write_text("77_0\n77_3\n9\n")
    (cluster / "submitted.sh").unlink()
    assert sweep.main(["table.py", "--on=slurm"]) == 0
    assert "2 runs are queued already" in capsys.readouterr().out
    assert "#SBATCH --array=0-1%2\n" in (cluster / "submitted.sh").read_text()


def descendants(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *descendants(child)]
    return found


def test_a_job_that_is_taken_away_saves_and_goes_on(folder):
    """SLURM's signal reaches every process of a job; each must do the right thing with it."""
    import submitit

    (folder / "slow").touch()
    command = [sys.executable, "-m", "launch.sweep", "table.py", f"--cell={SLOW_CELL}"]
    executor = submitit.LocalExecutor(folder=folder / "jobs")
    executor.update_parameters(timeout_min=60)
    job = executor.submit(slurm.Job(command, str(folder)))
    try:
        until(lambda: len(folder.words("device")) == 1)
        processes = descendants(job.job_id)
        assert len(processes) == 3  # submitit's, the launcher and the run
        for pid in reversed(processes):
            os.kill(pid, signal.SIGUSR2)
        until(lambda: len(folder.words("device")) == 2, seconds=30)
        assert folder.words("saved") == ["1"]
        assert not any(map(alive, processes))
    finally:
        (folder / "slow").unlink()
    assert job.result() is None
    assert folder.starts() == {SLOW_CELL: 2} and len(folder.notes("results.json")) == 1


def test_a_job_forwards_sigterm_and_fails_with_its_command(folder):
    (folder / "slow").touch()
    program = (
        "import sys; from launch.slurm import Job; "
        f"Job([sys.executable, '-m', 'launch.sweep', 'table.py', '--cell={SLOW_CELL}'], '.')()"
    )
    job = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    until(lambda: len(folder.words("device")) == 1)
    job.send_signal(signal.SIGTERM)
    _, shown = job.communicate(timeout=20)
    assert "ended with 130" in shown and folder.words("saved") == ["1"]


def test_what_is_missing_is_one_sentence(folder, monkeypatch):
    with pytest.raises(UserError, match="sbatch or srun is not here"):
        sweep.main(["table.py", "--on=slurm"])
    with pytest.raises(UserError, match="--grace=600 seconds must be within --time=10"):
        sweep.main(["table.py", "--on=slurm", "--cluster=local", "--time=10", "--grace=600"])
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"pip install -e '.\[slurm\]'"):
        sweep.main(["table.py", "--on=slurm"])
