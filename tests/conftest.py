"""Checks array shapes at run time and gives JAX eight virtual CPU devices before its import."""

import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    # Eight devices share what processors there are: where others use them too, one device may wait
    # longer for the rest than the 40 s after which XLA ends the process.
    os.environ["XLA_FLAGS"] = (
        os.environ.get("XLA_FLAGS", "")
        + " --xla_force_host_platform_device_count=8"
        + " --xla_cpu_collective_call_terminate_timeout_seconds=600"
    ).strip()

import pytest
from jaxtyping import install_import_hook

import tests.shapes  # noqa: F401  the hook looks it up by name

install_import_hook("asd_jax", "tests.shapes.check")

REAL = pathlib.Path(__file__).resolve().parents[2] / "shared" / "real"


@pytest.fixture
def real_recordings() -> pathlib.Path:
    """The folder of real recordings beside the project; the test is skipped where it is absent."""
    if not REAL.is_dir():
        pytest.skip("no real recordings beside the project")
    return REAL
