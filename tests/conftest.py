"""Checks array shapes at run time and tells XLA, before JAX is imported, how tests run.

Eight virtual CPU devices, and a quick compiler: XLA_FLAGS that are set go before both.
"""

import os
import pathlib

from tests import compiler

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = compiler.flags(os.environ.get("XLA_FLAGS", ""))

import hypothesis
import pytest
from jaxtyping import install_import_hook

import tests.shapes  # noqa: F401  the hook looks it up by name

install_import_hook("asd_jax", "tests.shapes.check")

from asd_jax import commands  # noqa: E402  after the hook

commands.room_for_virtual_devices()

# The same few examples in every run: HYPOTHESIS_PROFILE=long looks for more.
hypothesis.settings.register_profile(
    "short", max_examples=25, deadline=None, derandomize=True, database=None
)
hypothesis.settings.register_profile("long", max_examples=2000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))

REAL = pathlib.Path(__file__).resolve().parents[2] / "shared" / "real"


@pytest.fixture(scope="session")
def real_recordings() -> pathlib.Path:
    """The folder of real recordings beside the project; the test is skipped where it is absent."""
    if not REAL.is_dir():
        pytest.skip("no real recordings beside the project")
    return REAL
