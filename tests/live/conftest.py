"""One small detector for all tests of what listens."""

import pytest

from asd_jax.live.recordings import ClipScorer
from tests.live import machine


@pytest.fixture(scope="session")
def clip_scorer():
    return ClipScorer(machine.detector(), machine.GROUPS[0])


@pytest.fixture(scope="session")
def detector_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "detector"
    machine.detector().save(str(folder))
    return str(folder)
