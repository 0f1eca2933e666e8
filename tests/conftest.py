"""Checks array shapes at run time and gives JAX eight virtual CPU devices before its import."""

import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = (
        os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
    ).strip()

import pytest
from jaxtyping import install_import_hook

import tests.shapes  # noqa: F401  the hook looks it up by name

install_import_hook("asd_jax", "tests.shapes.check")

from asd_jax import commands  # noqa: E402  after the hook

commands.room_for_virtual_devices()

REAL = pathlib.Path(__file__).resolve().parents[2] / "shared" / "real"


@pytest.fixture(scope="session")
def real_recordings() -> pathlib.Path:
    """The folder of real recordings beside the project; the test is skipped where it is absent."""
    if not REAL.is_dir():
        pytest.skip("no real recordings beside the project")
    return REAL
