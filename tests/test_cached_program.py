"""Programs kept as traced: the same scores, no second trace, and never one of something else."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from asd_jax import cached_program, files, target
from asd_jax.models import ops
from asd_jax.recipes.pump_classifier import network as classifier_network
from tests.deploy import detectors
from tests.live import machine
from tests.recipes import tiny

ROOT = pathlib.Path(__file__).resolve().parents[1]
WAVES = np.random.default_rng(3).normal(0, 1000, (2, 16000)).astype(np.int16)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where programs are kept."""
    path = tmp_path / "programs"
    path.mkdir()
    monkeypatch.setattr(cached_program, "_folder", lambda: str(path))
    return path


class Sum:
    """Counts how often it is made: once for each program that is traced."""

    def __init__(self, factor=2.0):
        self.made, self.factor = 0, factor

    def __call__(self):
        self.made += 1
        return lambda arrays, waves: (waves @ arrays["w"] * self.factor, {"n": arrays["n"] + 1})

    def run(self, waves=WAVES, about=(), **arrays):
        arrays = {"w": np.ones(waves.shape[1], np.float32), "n": np.arange(3)} | arrays
        return cached_program.CachedProgram(
            self, arrays, {"factor": self.factor, "more": list(about)}
        )(waves)


def test_the_second_process_does_not_trace_and_gets_the_same_results(folder):
    first, second = Sum(), Sum()
    one, two = first.run(), second.run()
    assert (first.made, second.made) == (1, 0)
    assert jax.tree.structure(one) == jax.tree.structure(two)
    jax.tree.map(np.testing.assert_array_equal, one, two)
    np.testing.assert_allclose(one[0], 2.0 * WAVES.astype(np.float64).sum(1), rtol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"about": ("gmm",)},
        {"waves": WAVES[:1]},
        {"waves": WAVES.astype(np.float32)},
        {"n": np.arange(4)},
        {"n": np.arange(3.0)},
        {"m": np.arange(3)},
    ],
)
def test_settings_shapes_types_and_names_make_another_program(folder, change):
    Sum().run()
    other = Sum()
    other.run(**change)
    assert other.made == 1


def test_code_platform_form_and_precision_make_another_program(folder, monkeypatch):
    Sum().run()

    def traces():
        other = Sum()
        other.run()
        return other.made

    with target.compiling_for("tpu"):
        assert traces() == 1
    with ops.implementation("lax"):
        assert traces() == 1
    with jax.default_matmul_precision("bfloat16"):
        assert traces() == 1
    with monkeypatch.context() as patch:
        patch.setattr(cached_program, "_sources", lambda: "other code")
        assert traces() == 1
    assert traces() == 0


def test_a_damaged_file_is_replaced(folder):
    Sum().run()
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    for damaged in (b"", b"nonsense", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        again, after = Sum(), Sum()
        again.run(), after.run()
        assert (again.made, after.made) == (1, 0)


def test_without_a_folder_to_write_it_is_traced(folder):
    folder.rmdir()
    folder.write_text("a file is in the way")
    one, two = Sum(), Sum()
    np.testing.assert_array_equal(one.run()[0], two.run()[0])
    assert (one.made, two.made) == (1, 1)


def test_nothing_is_kept_where_nothing_compiled_is(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(cached_program, "private_folder", files.private_folder)
    enabled = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        Sum().run()
    finally:
        jax.config.update("jax_enable_compilation_cache", enabled)
    assert not list(tmp_path.iterdir())


def test_the_oldest_make_room(folder, monkeypatch):
    monkeypatch.setattr(cached_program, "KEPT", 2)
    for number in range(4):
        Sum().run(about=(number,))
        for path in folder.iterdir():
            os.utime(path, ns=(path.stat().st_mtime_ns - 10**9,) * 2)
    assert len(list(folder.iterdir())) == 2
    last, first = Sum(), Sum()
    last.run(about=(3,)), first.run(about=(0,))
    assert (last.made, first.made) == (0, 1)


@pytest.mark.parametrize("make", [machine.detector, detectors.classifier])
def test_a_detector_scores_as_before(folder, monkeypatch, make):
    monkeypatch.setattr(classifier_network, "build", tiny.build_classifier)
    detector, clips = make(), [(str(number), wave, [0]) for number, wave in enumerate(WAVES)]
    with monkeypatch.context() as patch:
        patch.setattr(cached_program, "_folder", lambda: None)
        expected = dataclasses.replace(detector).score(clips)
    for _ in range(2):
        found = dataclasses.replace(detector).score(clips)
        assert len(list(folder.iterdir())) == 1
        for row, wanted in zip(found, expected, strict=True):
            assert row["score"] == pytest.approx(wanted["score"], rel=1e-6)
            assert row | {"score": 0} == wanted | {"score": 0}


def test_a_kept_program_needs_no_flax(tmp_path):
    machine.detector().save(str(tmp_path / "detector"))
    program = """
import sys
import numpy as np
from asd_jax import commands
from asd_jax.detector import load_detector
detector = load_detector(sys.argv[1])
commands.prepare_jax()
print(detector.score([("x", np.arange(detector.samples, dtype=np.int16), [0])]))
print("flax" in sys.modules)
"""
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "XLA_FLAGS": ""}
    said = [
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "detector")],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
            cwd=ROOT,
        ).stdout.rsplit(maxsplit=1)
        for _ in range(2)
    ]
    assert said[0][0] == said[1][0]
    assert [flax for _, flax in said] == ["True", "False"]
