"""How XLA compiles in tests.

What it does for speed takes longer than the few steps of a test. With an optimization level in
XLA_FLAGS, `XLA_FLAGS=--xla_backend_optimization_level=3`, the tests run what users run; the real
command line of `.ci/run` and the gate do so always.
"""

import atexit
import importlib.metadata
import shutil
import tempfile
from collections.abc import Mapping

FAST = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
# A flag that XLA does not know ends the process; a newer one (0.12) no longer has this.
if tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2])) < (0, 11):
    FAST += " --xla_cpu_use_fusion_emitters=false"
    # Programs this small take longer to be divided among threads than to be compiled by one.
    FAST += " --xla_cpu_parallel_codegen_split_count=1"


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment of tests and of the commands that they start: what is given goes before.

    The workers of pytest-xdist are given a folder of compiled programs by the process that starts
    them, so all share it. It is gone when the tests are over.
    """
    more = {
        "JAX_PLATFORMS": "cpu",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.3",
        # As `commands.prepare_jax` has it: matrices are small, and each core has a worker.
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    if "JAX_COMPILATION_CACHE_DIR" not in given:
        more["JAX_COMPILATION_CACHE_DIR"] = folder = tempfile.mkdtemp(prefix="asd_jax-tests-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return {**more, **given, "XLA_FLAGS": flags(given.get("XLA_FLAGS", ""))}


def flags(given: str) -> str:
    """XLA_FLAGS for tests: what is given, and what it leaves open."""
    more = [virtual(8)] * ("device_count" not in given)
    more += [FAST] * ("optimization_level" not in given)
    return " ".join([given, *more]).strip()


def virtual(devices: int) -> str:
    """The flag that makes a CPU so many devices."""
    return f"--xla_force_host_platform_device_count={devices}"
