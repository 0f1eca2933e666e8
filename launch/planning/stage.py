"""One stage on one topology: compiled in a process of its own, and what that says."""

import dataclasses
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

from asd_jax.errors import UserError
from asd_jax.files import cache_folder
from launch.planning.hardware import Topology
from launch.planning.sizes import Size

# The module that a compiler comes with, and how to get it.
COMPILERS = {
    "tpu": ("libtpu", 'pip install -e ".[plan]"'),
    "gpu": (
        "jax_plugins.xla_cuda12",
        "pip install --no-deps jax-cuda12-pjrt==J jax-cuda12-plugin==J nvidia-cuda-nvcc-cu12, J "
        "being the version of jax",
    ),
}


# Nothing can be timed where there is no GPU, and without timing the compiler's own matrix products
# find no tiles for large batches: cuBLAS gets them.
GPU_FLAGS = "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false"


@dataclasses.dataclass
class StagePlan:
    """Facts of a stage; see `launch.planning.compiling` for most of it.

    Attributes:
        too_large: why the compiler refused it, or ''.
        needed: bytes a chip: of the program, and of the batch that is read ahead.
    """

    name: str
    batch: int
    total_steps: int
    flops: float
    batch_bytes: int
    seconds: float
    versions: dict[str, str]
    too_large: str = ""
    memory: dict[str, int] = dataclasses.field(default_factory=dict)
    cost: dict[str, float] = dataclasses.field(default_factory=dict)
    needed: float = 0.0


def compile_stage(values: Mapping[str, Any], stage: str, topology: Topology, size: Size) -> dict:
    """The facts of `launch.planning.compiling`, from a process of its own.

    Raises:
        UserError: the compiler is not there, does not know the topology, or crashed.
    """
    module, command = COMPILERS[topology.chip.platform]
    if not _installed(module):
        raise UserError(f"the compiler for {topology.chip.title} is not installed: {command}.")
    request = {
        "values": values,
        "stage": stage,
        "topology": str(topology),
        "clips": {stage: size.clips[stage]},
        "classes": size.classes,
        "cache": cache_folder("plan"),
    }
    with tempfile.TemporaryDirectory() as folder:
        path, answer = (os.path.join(folder, name) for name in ("request.json", "answer.json"))
        with open(path, "w", encoding="utf-8") as file:
            json.dump(request | {"answer": answer}, file)
        done = subprocess.run(
            [sys.executable, "-m", "launch.planning.compiling", path],
            env=_environment(topology),
            capture_output=True,
            text=True,
            errors="replace",
        )
        if done.returncode:
            raise UserError(_failure(stage, topology, done))
        with open(answer, encoding="utf-8") as file:
            return json.load(file)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _environment(topology: Topology) -> dict[str, str]:
    ours = {
        "JAX_PLATFORMS": "cpu",
        "TPU_SKIP_MDS_QUERY": "1",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        "XLA_FLAGS": GPU_FLAGS if topology.chip.platform == "gpu" else "",
    }
    return {**os.environ, **ours}


def _failure(stage: str, topology: Topology, done: subprocess.CompletedProcess) -> str:
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return f"the compiler for {topology} crashed ({name}) on stage {stage}."
    lines = [
        line for line in done.stderr.splitlines() if re.match(r"[\w.]*(Error|Exception)", line)
    ]
    reason = lines[-1] if lines else f"status {done.returncode}"
    return f"stage {stage} cannot be compiled for {topology}: {reason[:300]}"


def plan_stage(values: Mapping[str, Any], stage: str, topology: Topology, size: Size) -> StagePlan:
    """Compiles a stage and reads what came of it."""
    facts = compile_stage(values, stage, topology, size)
    names = ("batch", "total_steps", "flops", "batch_bytes", "versions")
    plan = StagePlan(
        name=stage,
        seconds=facts["compile_seconds"],
        cost=facts.get("cost", {}),
        memory=facts.get("memory", {}),
        **{name: facts[name] for name in names},
    )
    if "too_large" in facts:
        plan.too_large, plan.needed = _refused(facts["too_large"], topology)
        return plan
    plan.needed = needed(plan.memory) + plan.batch_bytes
    if plan.needed > topology.chip.memory:
        plan.too_large = f"it needs {plan.needed / 2**30:.2f} GiB a chip"
    return plan


def needed(memory: Mapping[str, int]) -> int:
    """Bytes that a program occupies: its peak, or the sum of its parts where that is more."""
    parts = memory["argument"] + memory["output"] - memory["alias"] + memory["temp"]
    return max(memory["peak"], parts) + memory["generated_code"]


def _refused(message: str, topology: Topology) -> tuple[str, float]:
    """Returns the text of a compiler's refusal, and the bytes that it asked for."""
    found = re.search(r"Used ([\d.]+)([KMG]) of ([\d.]+)([KMG]) \w+", message)
    if not found:
        return "the compiler finds no room for it", 2 * topology.chip.memory
    scale = {"K": 2**10, "M": 2**20, "G": 2**30}
    used = float(found[1]) * scale[found[2]]
    return f"it needs {found[1]}{found[2]} of {found[3]}{found[4]} a chip", used
