"""One device, several, and several processes give the same training, from wav files on.

BatchNorm's statistics, random draws and mixing belong to the whole batch, wherever its clips lie.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from tests import compiler

PROJECT = pathlib.Path(__file__).resolve().parents[2]
STAGES = ("pretrain", "finetune", "temporal", "fusion", "classifier")


def begin(folder, answer, devices, *arguments):
    """Starts `tests.runs.steps` on so many virtual devices."""
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(folder / f"cache for {devices}"),
        "JAX_ENABLE_COMPILATION_CACHE": "0",
        "XLA_FLAGS": compiler.flags(compiler.virtual(devices)),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.runs.steps", str(folder / answer), *arguments],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def losses(tmp_path_factory):
    """Of twenty steps of every stage, by the devices and the stage."""
    folder = tmp_path_factory.mktemp("devices")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{probe.getsockname()[1]}"
    started = [begin(folder, f"{k}", 2, "all", f"{k}", where) for k in range(2)]
    started.append(begin(folder, "alone", 8, "1", "8"))
    try:
        shown = [process.communicate(timeout=900)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0, 0], "\n".join(shown)
    found = json.loads((folder / "alone").read_text())
    for k in range(2):
        found[f"process {k}"] = json.loads((folder / f"{k}").read_text())["4"]
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_twenty_losses_are_equal_on_one_and_eight_devices_and_in_two_processes(losses, stage):
    one = np.array(losses["1"][stage])
    assert len(set(np.round(one, 6))) > 10  # it does learn something
    for where in ("8", "process 0", "process 1"):
        found = np.array(losses[where][stage])
        print(f"{stage} on {where}: {np.abs(found / one - 1).max():.1e}")
        np.testing.assert_allclose(found, one, rtol=1e-4, err_msg=where)
    assert losses["process 0"][stage] == losses["process 1"][stage]
