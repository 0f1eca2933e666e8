"""A short walk of every fuzz target, and all that a long one has found."""

import pytest

from tests.fuzz.__main__ import FINDS, loop
from tests.fuzz.targets import TARGETS, small


@pytest.fixture(autouse=True, scope="module")
def small_networks():
    with small():
        yield


@pytest.mark.parametrize("name", TARGETS)
def test_damage_is_a_sentence(name):
    for seed in TARGETS[name].seeds():
        TARGETS[name].run(seed)
    assert loop(name, TARGETS[name], most=20) == 20


FOUND = sorted(FINDS.glob("*-*")) if FINDS.is_dir() else []


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_what_was_found_stays_mended(path):
    TARGETS[path.name.partition("-")[0]].run(path.read_bytes())
