"""Checks array shapes at run time and tells XLA, before JAX is imported, how tests run.

Eight virtual CPU devices, and a quick compiler: XLA_FLAGS that are set go before both. What one
test has compiled, another test or a command that it starts does not compile again: a folder of
this session's, or JAX_COMPILATION_CACHE_DIR.
"""

import gc
import os
import pathlib

from tests import compiler

os.environ.update(compiler.environment(os.environ))

import hypothesis
import pytest
from jaxtyping import install_import_hook

import tests.shapes  # noqa: F401  the hook looks it up by name

install_import_hook("asd_jax", "tests.shapes.check")

from asd_jax import cached_program, commands  # noqa: E402  after the hook

commands.room_for_virtual_devices()
# A program as it was traced in one test is not that of another, which may have changed its parts.
cached_program.private_folder = lambda name: None

# Tracing makes many small objects, and what the imports have made is never garbage.
gc.freeze()
gc.set_threshold(50_000, 20, 20)

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
