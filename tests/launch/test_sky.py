"""Task files for SkyPilot: what they say, that it runs, and that SkyPilot's parser takes them."""

import json
import os
import shlex
import subprocess
import sys

import pytest
import yaml

from asd_jax.errors import UserError
from launch import sky, sweep
from tests.launch.test_sweep import SLOW_CELL

# SkyPilot wants an environment of its own: SKY_PYTHON names its interpreter.
SKY_PYTHON = os.environ.get("SKY_PYTHON", sys.executable)
PARSE = """
import json, sys
try:
    import sky
except ModuleNotFoundError:
    sys.exit(77)
found = []
for path in sys.argv[1:]:
    task = sky.Task.from_yaml(path)
    (machine,) = task.resources
    found.append([task.name, machine.accelerators, machine.use_spot, machine.job_recovery,
                  {k: [v.source, v.mode.value] for k, v in task.storage_mounts.items()}, task.run])
print(json.dumps(found))
"""
GPU = ["--accelerator=A100:2", "--bucket=gs://my-runs/one", "--devices=2"]
TPU = ["--accelerator=tpu-v5e-8", "--bucket=s3://my-runs", "--infra=gcp"]


def write(folder, *flags):
    assert sweep.main(["table.py", "--on=sky", *flags]) == 0
    files = sorted((folder / "runs/table/sky").iterdir())
    return {file.name: yaml.safe_load(file.read_text()) for file in files}


def test_a_task_of_some_cells_on_spot_gpus(folder, capsys):
    config = f"--config={folder}/configs/c.py:mimii"
    more = ["--cells_per_job=3", "--mount=/data=gs://sets/d", "--retries=4", config]
    tasks = write(folder, *GPU, *more)
    assert list(tasks) == ["table-000.yaml", "table-001.yaml"]
    task = tasks["table-000.yaml"]
    assert task["resources"] == {
        "accelerators": "A100:2", "use_spot": True, "job_recovery": "EAGER_NEXT_REGION",
    }  # fmt: skip
    assert task["file_mounts"] == {
        "/asd_jax_runs": {"source": "gs://my-runs/one", "mode": "MOUNT_CACHED"},
        "/data": {"source": "gs://sets/d", "mode": "MOUNT"},
    }
    assert ".[cuda]" in task["setup"] and task["workdir"] == "."
    words = shlex.split(task["run"])
    assert words[1:5] == ["-m", "launch.sweep", "--sweep=table.py", "--on=local"]
    assert {"--out=/asd_jax_runs/table", "--devices=2", "--retries=4"} <= set(words)
    assert "--config=configs/c.py:mimii" in words
    named = [w for name in tasks for w in shlex.split(tasks[name]["run"]) if "--cell=" in w]
    assert len(named) == 4 and f"--cell={SLOW_CELL}" == named[-1]
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "sky jobs launch --yes --async runs/table/sky/table-001.yaml"


def test_tpus_go_by_the_names_of_the_catalog(folder):
    task = write(folder, *TPU)["table-000.yaml"]
    assert task["resources"] == {
        "accelerators": "tpu-v5litepod-8",
        "accelerator_args": {"runtime_version": "v2-alpha-tpuv5-lite"},
        "infra": "gcp",
        "use_spot": True,
        "job_recovery": "EAGER_NEXT_REGION",
    }
    assert ".[tpu]" in task["setup"]
    owned = write(folder, "--accelerator=tpu-v6e-4", "--bucket=gs://b", "--on_demand")
    assert owned["table-000.yaml"]["resources"] == {"accelerators": "tpu-v6e-4"}


def test_what_is_done_needs_no_task_and_changes_no_number(folder):
    before = write(folder, *GPU)
    done = folder / "runs/table/network.attention=b,seed=0"
    done.mkdir()
    (done / "results.json").write_text("{}")
    after = write(folder, *GPU)
    assert list(before) == [f"table-00{k}.yaml" for k in range(4)]
    assert after == {name: before[name] for name in before if name != "table-001.yaml"}


def test_the_command_of_a_task_makes_its_cells(folder):
    task = write(folder, *TPU, "--cells_per_job=2")["table-001.yaml"]
    python = folder / "asd_jax_env/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    script = task["run"].replace(sky.RUNS, "bucket")
    subprocess.run(["bash", "-c", script], env=folder.environment(HOME=str(folder)), check=True)
    assert len(list(folder.glob("bucket/table/*,seed=1/results.json"))) == 2
    assert not list(folder.glob("bucket/table/*,seed=0"))


def test_skypilots_own_parser_takes_them(folder):
    files = []
    for name, flags in {"gpu": GPU, "tpu": TPU}.items():
        more = [f"--out={name}", "--cells_per_job=2", "--mount=/data=gs://sets/d"]
        assert sweep.main(["table.py", "--on=sky", *flags, *more]) == 0
        files += sorted(folder.glob(f"{name}/sky/*.yaml"))
    empty = folder / "empty"  # a folder named sky would pass for the package
    empty.mkdir()
    environment = {**os.environ, "HOME": str(folder), "PYTHONPATH": ""}
    command = [SKY_PYTHON, "-c", PARSE, *map(str, files)]
    found = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, cwd=empty
    )
    if found.returncode == 77:
        pytest.skip("SkyPilot is not there; SKY_PYTHON may name a Python that has it")
    assert found.returncode == 0, found.stderr
    parsed = json.loads(found.stdout.splitlines()[-1])
    assert [task[0] for task in parsed] == ["table-000", "table-001"] * 2
    name, accelerators, spot, recovery, mounts, run = parsed[0]
    assert name == "table-000" and accelerators == {"A100": 2} and spot
    assert recovery["strategy"] == "EAGER_NEXT_REGION" and "launch.sweep" in run
    assert mounts["/asd_jax_runs"] == ["gs://my-runs/one", "MOUNT_CACHED"]
    assert parsed[2][1] == {"tpu-v5litepod-8": 1}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--bucket=gs://b"], "needs --accelerator"),
        (["--accelerator=A100:1"], "needs --bucket"),
        (["--accelerator=A100:1", "--bucket=b"], "needs --bucket"),
        ([*GPU, "--mount=gs://b"], "--mount=gs://b is not of the form"),
        ([*GPU, "--config=/elsewhere/c.py:x"], "/elsewhere/c.py must lie in the project"),
    ],
)
def test_wrong_flags_are_one_sentence(folder, flags, message):
    with pytest.raises(UserError, match=message):
        sweep.main(["table.py", "--on=sky", *flags])
    assert not (folder / "runs").exists()
