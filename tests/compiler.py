"""How XLA compiles in tests.

What it does for speed takes longer than the few steps of a test. With an optimization level in
XLA_FLAGS, `XLA_FLAGS=--xla_backend_optimization_level=3`, the tests run what users run; the real
command line of `.ci/run` and the gate do so always.
"""

import importlib.metadata

FAST = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
# A flag that XLA does not know ends the process; a newer one (0.12) no longer has this.
if tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2])) < (0, 11):
    FAST += " --xla_cpu_use_fusion_emitters=false"


def flags(given: str) -> str:
    """XLA_FLAGS for tests: what is given, and what it leaves open."""
    more = [virtual(8)] * ("device_count" not in given)
    more += [FAST] * ("optimization_level" not in given)
    return " ".join([given, *more]).strip()


def virtual(devices: int) -> str:
    """The flag that makes a CPU so many devices."""
    return f"--xla_force_host_platform_device_count={devices}"
