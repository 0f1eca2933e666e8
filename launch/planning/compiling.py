"""Compiles the step of one stage for hardware that is not there, in a process of its own.

A crash of a compiler ends the process that it runs in, so `launch.plan` starts this one:
`python -m launch.planning.compiling REQUEST.json`. It keeps the compiler's output in a file named
after the program, the target and the compilers, so that nothing is compiled twice, and writes it to
the request's `answer`.
"""

import hashlib
import importlib.metadata
import json
import os
import pathlib
import sys
import time
from typing import Any

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh

from asd_jax import target
from asd_jax.files import write_json
from asd_jax.runs.recipe import programs
from asd_jax.train.ahead import Program
from asd_jax.train.step import compile_step
from launch.planning.hardware import Topology, read_topology

TARGETS = pathlib.Path(__file__).resolve().parents[1] / "topologies"
PACKAGES = ("jax", "jaxlib", "flax", "libtpu", "jax-cuda12-pjrt", "nvidia-cuda-nvcc-cu12")


def main(path: str) -> None:
    """Does what the request in the file `path` asks."""
    with open(path, encoding="utf-8") as file:
        request = json.load(file)
    topology = read_topology(request["topology"])
    jax.config.update("jax_platforms", "cpu")  # without it the topology of GPUs is refused
    with target.compiling_for(topology.chip.platform):
        stages = programs(request["values"], request["clips"], request["classes"])
        program = stages[request["stage"]]
        mesh = Mesh(np.array(devices(topology)), ("data",))
        lowered = compile_step(program.step, mesh).lower(program.state, dict(program.batch))
        facts = known_before(program, topology.devices)
    made = repr((lowered.as_text(), str(topology), versions()))
    if topology.chip.platform == "gpu":
        made += os.environ.get("XLA_FLAGS", "")
    name = hashlib.sha256(made.encode()).hexdigest()[:24]
    path = os.path.join(request["cache"], f"{name}.json")
    if not os.path.exists(path):
        os.makedirs(request["cache"], exist_ok=True)
        write_json(path, compiled(lowered))
    with open(path, encoding="utf-8") as file:
        facts = json.load(file) | facts
    write_json(request["answer"], facts | {"versions": versions()})


def known_before(program: Program, chips: int) -> dict[str, Any]:
    """Returns what needs no compiler: sizes, and FLOPs of one chip's share of the batch."""
    share = {
        name: jax.ShapeDtypeStruct((x.shape[0] // chips, *x.shape[1:]), x.dtype)
        for name, x in program.batch.items()
    }
    alone = jax.jit(program.step).lower(program.state, share)
    return {
        "total_steps": program.total_steps,
        "batch": program.batch["wave"].shape[0],
        "batch_bytes": sum(x.size * x.dtype.itemsize for x in share.values()),
        "flops": (alone.cost_analysis() or {})["flops"],
    }


def devices(topology: Topology) -> list[Any]:
    """The devices that the compiler describes."""
    shape = "x".join(map(str, topology.shape))
    if topology.chip.platform == "gpu":
        text = (TARGETS / f"{topology.chip.name}.txtpb").read_text(encoding="utf-8")
        described = topologies.get_topology_desc(
            platform="cuda", target_config=text, topology=f"1x1x{shape}"
        )
        return described.devices
    more = {"chips_per_host_bounds": (1, 1, 1)} if topology.chips == 1 else {}
    name = f"{topology.chip.name}:{shape}"
    return topologies.get_topology_desc(platform="tpu", topology_name=name, **more).devices


def compiled(lowered: Any) -> dict[str, Any]:
    """Compiles a program and returns its facts; that it is too large for the memory is one."""
    began, facts = time.monotonic(), {}
    try:
        program = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        facts["too_large"] = str(error)
    else:
        memory = program.memory_analysis()
        names = ("argument", "output", "alias", "temp", "generated_code")
        facts["memory"] = {name: getattr(memory, f"{name}_size_in_bytes") for name in names}
        facts["memory"]["peak"] = memory.peak_memory_in_bytes
        cost = program.cost_analysis() or {}  # empty for GPUs
        facts["cost"] = {name: cost[name] for name in ("flops", "bytes accessed") if name in cost}
    return facts | {"compile_seconds": time.monotonic() - began}


def versions() -> dict[str, str]:
    """Of what makes the program."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main(sys.argv[1])
