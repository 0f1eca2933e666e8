"""The runs of a sweep as an array of SLURM jobs, through submitit.

A job runs the sweep's own command for its cells, so it skips, retries and resumes as anywhere. Some
time before its limit, or when SLURM takes the machine away, the job has its runs save and is queued
again. Logs and submitit's files lie in the sweep's folder, under `slurm`.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from asd_jax.errors import UserError
from asd_jax.files import write_json
from launch.cells import chunks, job_command
from launch.local import end_with_parent
from launch.sweep_file import SweepRun


def add_flags(group: Any) -> None:
    """The flags that only SLURM has."""
    group.add_argument("--time", type=int, default=240, help="minutes a job; default 240")
    group.add_argument("--partition", default="")
    group.add_argument("--account", default="")
    group.add_argument("--qos", default="")
    group.add_argument("--constraint", default="", help="such as a kind of GPU")
    group.add_argument("--gpus", type=int, default=0, help="a job; default none")
    group.add_argument("--cpus", type=int, default=4, help="a job; default 4")
    group.add_argument("--memory", type=int, default=0, metavar="GB", help="a job")
    group.add_argument("--parallel", type=int, default=256, help="jobs at a time; default 256")
    group.add_argument("--grace", type=int, default=120, help="seconds to save in; default 120")
    group.add_argument("--requeues", type=int, default=20, help="after the time limit; default 20")
    group.add_argument(
        "--cluster", choices=("slurm", "local"), default="slurm",
        help="local: submitit's executor without SLURM, to try it; waits for the end",
    )  # fmt: skip


class Job:
    """The callable of a job; submitit pickles it. Queued again it runs the same command again."""

    def __init__(self, command: Sequence[str], root: str) -> None:
        self._command, self._root = list(command), root
        self._process: subprocess.Popen | None = None

    def __call__(self) -> None:
        """Runs the command to its end; raises if it fails."""
        signal.signal(signal.SIGTERM, self._forward)  # submitit's own handler but logs it
        # SLURM signals every process of a job: what tells submitit to save would end a run.
        prepare = end_with_parent(signal.SIGUSR1, signal.SIGUSR2)
        self._process = subprocess.Popen(self._command, cwd=self._root, preexec_fn=prepare)
        while self._process.poll() is None:
            time.sleep(0.2)
        if self._process.returncode:
            raise RuntimeError(f"The sweep's command ended with {self._process.returncode}.")

    def checkpoint(self) -> Any:
        """Has the runs save and stop; returns what is to be queued again. Called by submitit."""
        from submitit.helpers import DelayedSubmission

        self._forward(signal.SIGTERM)
        if self._process is not None:
            # Not Popen.wait: this is a signal handler, maybe called from within Popen.poll.
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(Job(self._command, self._root))

    def _forward(self, number: int, _: object = None) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)


def submit(
    path: str, runs: Sequence[SweepRun], options: argparse.Namespace, extra: Sequence[str]
) -> int:
    """Queues the runs that are neither done nor queued; 0 if that went well.

    Raises:
        UserError: submitit or SLURM is not there, or a number makes no sense.
    """
    submitit = _submitit(options.cluster)
    if not 0 < options.grace < 60 * options.time:
        raise UserError(f"--grace={options.grace} seconds must be within --time={options.time}.")
    folder = os.path.join(options.out, "slurm")
    queued = queued_cells(folder) if options.cluster == "slurm" else {}
    left = [run for run in runs if run.name not in queued]
    if len(left) < len(runs):
        print(f"{len(runs) - len(left)} runs are queued already.")
    if not left:
        return 0
    os.makedirs(folder, exist_ok=True)
    parts = chunks(left, options.cells_per_job)
    tasks = [
        Job([sys.executable, *job_command(path, part, options, extra)], os.getcwd())
        for part in parts
    ]
    executor = submitit.AutoExecutor(
        folder=os.path.join(folder, "%j"),
        cluster=options.cluster,
        slurm_max_num_timeout=options.requeues,
    )
    executor.update_parameters(**parameters(options, os.getcwd()))
    with executor.batch():
        jobs = [executor.submit(task) for task in tasks]
    numbers = {run.name: job.job_id for part, job in zip(parts, jobs, strict=True) for run in part}
    write_json(os.path.join(folder, "jobs.json"), {**queued, **numbers})
    print(f"{len(left)} runs are queued as {len(jobs)} jobs: {jobs[0].job_id} ...")
    print(f"python -m launch.collect --sweep={path} --out={options.out}  # the table so far")
    return _wait(jobs) if options.cluster == "local" else 0


def parameters(options: argparse.Namespace, root: str) -> dict[str, Any]:
    """The parameters of a job for submitit."""
    named = {
        "slurm_partition": options.partition,
        "slurm_account": options.account,
        "slurm_qos": options.qos,
        "slurm_constraint": options.constraint,
        "gpus_per_node": options.gpus,
        "mem_gb": options.memory,
    }
    return {
        "name": os.path.basename(os.path.abspath(options.out)),
        "timeout_min": options.time,
        "cpus_per_task": options.cpus,
        "stderr_to_stdout": True,
        "slurm_signal_delay_s": options.grace,
        "slurm_array_parallelism": options.parallel,
        "slurm_additional_parameters": {"requeue": True, "chdir": root},
        **{name: value for name, value in named.items() if value},
    }


def queued_cells(folder: str) -> dict[str, str]:
    """The job of each cell that an earlier command queued and that SLURM still has.

    Raises:
        UserError: `squeue` fails.
    """
    try:
        with open(os.path.join(folder, "jobs.json"), encoding="utf-8") as file:
            known: Mapping[str, str] = json.load(file)
    except FileNotFoundError:
        return {}
    asked = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)
    if found.returncode:
        raise UserError(f"squeue does not say what is queued: {found.stderr.strip()}")
    there = set(found.stdout.split())
    return {name: job for name, job in known.items() if job in there}


def _submitit(cluster: str) -> Any:
    try:
        import submitit
    except ImportError as error:
        raise UserError("--on=slurm needs submitit: pip install -e '.[slurm]'.") from error
    if cluster == "slurm" and not (shutil.which("sbatch") and shutil.which("srun")):
        raise UserError("sbatch or srun is not here; run this on a login node of the cluster.")
    return submitit


def _wait(jobs: Sequence[Any]) -> int:
    failed = [job for job in jobs if job.exception() is not None]
    for job in failed:
        print(f"failed: job {job.job_id}; see {job.paths.stdout}", file=sys.stderr)
    return 1 if failed else 0
