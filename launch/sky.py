"""The runs of a sweep as task files for SkyPilot, which rents machines for them.

Each file is one managed job: it takes the project to a machine, installs it there, and runs the
sweep's own command for its cells, with their folders in a bucket. When a spot machine is taken
away SkyPilot finds another one, and the same command goes on from what the bucket has. SkyPilot
itself is never imported; `sky jobs launch` reads the files.
"""

import argparse
import glob
import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from asd_jax.errors import UserError
from asd_jax.files import write_bytes
from launch.cells import chunks, is_done, job_command
from launch.sweep_file import Sweep, SweepRun

BUCKETS = ("gs", "s3", "r2")
RUNS = "/asd_jax_runs"  # where a machine sees the bucket
V5E_RUNTIME = "v2-alpha-tpuv5-lite"  # Google's for v5e; SkyPilot takes that of v5p
PYTHON = "$HOME/asd_jax_env/bin/python"


def add_flags(group: Any) -> None:
    """The flags that only SkyPilot has."""
    group.add_argument("--accelerator", default="", help="such as A100:1, L4:4 or tpu-v5e-8")
    group.add_argument(
        "--bucket", default="", help="that is there, for the runs' folders; gs://my-runs"
    )
    group.add_argument("--infra", default="", help="such as gcp or aws/us-east-1; default any")
    group.add_argument("--on_demand", action="store_true", help="no spot machines")
    group.add_argument(
        "--mount", action="append", default=[], metavar="PATH=URL",
        help="a data set, such as /data=gs://my-dcase; may be repeated",
    )  # fmt: skip


def write(
    path: str,
    sweep: Sweep,
    runs: Sequence[SweepRun],
    options: argparse.Namespace,
    extra: Sequence[str],
) -> None:
    """Writes a task file for every `--cells_per_job` runs and prints how to launch them.

    A job's number depends on the sweep alone, so it stays the same when others are done.

    Raises:
        UserError: a flag is missing or wrong.
    """
    _check(path, options)
    folder = os.path.join(options.out, "sky")
    os.makedirs(folder, exist_ok=True)
    for old in glob.glob(os.path.join(glob.escape(folder), "*.yaml")):
        os.remove(old)
    for number, part in enumerate(chunks(runs, options.cells_per_job)):
        left = [run for run in part if not is_done(options.out, run)]
        if left:
            name = f"{_plain(sweep.name)}-{number:03d}"
            file = os.path.join(folder, f"{name}.yaml")
            write_bytes(file, task_file(name, sweep, path, left, options, extra).encode())
            print(f"sky jobs launch --yes --async {shlex.quote(file)}")


def task_file(
    name: str,
    sweep: Sweep,
    path: str,
    runs: Sequence[SweepRun],
    options: argparse.Namespace,
    extra: Sequence[str],
) -> str:
    """The text of the task of some runs."""
    config, colon, argument = options.config.partition(":")
    places = {"out": f"{RUNS}/{sweep.name}", "config": os.path.relpath(config) + colon + argument}
    there = argparse.Namespace(**{**vars(options), **places})
    command = shlex.join(job_command(os.path.relpath(path), runs, there, extra))
    # MOUNT_CACHED, since it alone can append to a file, as logs do, in every kind of bucket.
    mounts = {RUNS: {"source": options.bucket, "mode": "MOUNT_CACHED"}}
    for mount in options.mount:
        where, _, url = mount.partition("=")
        mounts[where] = {"source": url, "mode": "MOUNT"}
    return as_yaml(
        {
            "name": name,
            "workdir": ".",
            "resources": resources(options),
            "file_mounts": mounts,
            "setup": setup(options.accelerator),
            "run": f"{PYTHON} {command}\n",
        }
    )


def resources(options: argparse.Namespace) -> dict[str, Any]:
    """The machine; TPU v5e goes by the name of v5litepod in SkyPilot's catalog."""
    name = re.sub(r"^tpu-v5e\b", "tpu-v5litepod", options.accelerator)
    found: dict[str, Any] = {"accelerators": name}
    if name.startswith("tpu-v5litepod"):
        found["accelerator_args"] = {"runtime_version": V5E_RUNTIME}
    if options.infra:
        found["infra"] = options.infra
    if not options.on_demand:
        found |= {"use_spot": True, "job_recovery": "EAGER_NEXT_REGION"}
    return found


def setup(accelerator: str) -> str:
    """Returns the commands of a machine before its first run; machines have older Pythons."""
    extra = "tpu" if accelerator.startswith("tpu") else "cuda"
    return (
        "set -e\n"
        "python3 -m pip install --quiet uv\n"
        'python3 -m uv venv --quiet --allow-existing --python 3.11 "$HOME/asd_jax_env"\n'
        f'python3 -m uv pip install --quiet --python "{PYTHON}" -e ".[{extra}]"\n'
    )


def as_yaml(values: Mapping[str, Any], indent: str = "") -> str:
    """Nested mappings as YAML: texts of several lines as blocks, all else as JSON, which it is."""
    lines = []
    for key, value in values.items():
        name = f"{indent}{json.dumps(key)}:" if key.startswith("/") else f"{indent}{key}:"
        if isinstance(value, Mapping):
            lines.append(f"{name}\n{as_yaml(value, indent + '  ')}")
        elif isinstance(value, str) and value.endswith("\n"):
            block = "".join(f"{indent}  {line}\n" for line in value.splitlines())
            lines.append(f"{name} |\n{block}")
        else:
            lines.append(f"{name} {json.dumps(value)}\n")
    return "".join(lines)


def _check(path: str, options: argparse.Namespace) -> None:
    if not options.accelerator:
        raise UserError("--on=sky needs --accelerator, such as A100:1 or tpu-v5e-8.")
    url = f"({'|'.join(BUCKETS)})://[^/].*"
    if not re.fullmatch(url, options.bucket):
        known = ", ".join(f"{kind}://NAME" for kind in BUCKETS)
        raise UserError(f"--on=sky needs --bucket for the runs' folders, as one of {known}.")
    for mount in options.mount:
        if not re.fullmatch(f"/[^=]+={url}", mount):
            raise UserError(f"--mount={mount} is not of the form /data=gs://my-dcase.")
    for file in (path, options.config.partition(":")[0]):
        if os.path.relpath(file).startswith(".."):
            raise UserError(f"{file} must lie in the project: nothing else goes to the machines.")


def _plain(name: str) -> str:
    """A name as clouds take it."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "sweep"
