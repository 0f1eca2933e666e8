"""Planning: what a compiler says, whether it fits, the sizes, and refusals."""

import importlib.util
import re
import subprocess
import sys

import jax
import pytest

from asd_jax.errors import UserError
from launch.planning import compiling, stage
from launch.planning.compiling import TARGETS
from launch.planning.hardware import CHIPS, read_topology
from launch.planning.report import report
from launch.planning.sizes import size_of
from tests.runs.test_settings import get_config


@pytest.mark.parametrize("text", ["v5e:4x4", "v5e:16x16", "v4:2x2x1", "h100:8", "t4:1"])
def test_a_topology_reads_as_it_is_written(text):
    topology = read_topology(text)
    assert str(topology) == text
    assert topology.chips == eval(text.split(":")[1].replace("x", "*"))


@pytest.mark.parametrize("text", ["v9:4x4", "v5e", "v5e:8", "v5e:32x32", "h100:16", "h100:2x4", ""])
def test_another_topology_is_refused(text):
    with pytest.raises(UserError, match="topology"):
        read_topology(text)


@pytest.mark.parametrize("name", ["h100", "a100", "t4"])
def test_targets_agree_with_the_table(name):
    text = (TARGETS / f"{name}.txtpb").read_text(encoding="utf-8")
    memory = int(re.search(r"device_memory_size: (\d+)", text)[1])
    assert CHIPS[name].memory == pytest.approx(0.95 * memory)


SMOKE = get_config("ensemble", "smoke").to_dict()


def sizes(name, argument, clips=0, classes=0):
    return size_of(get_config(name, argument).to_dict(), clips, classes)


def test_known_data_sets_have_known_sizes():
    mimii = sizes("ensemble", "mimii")
    assert mimii.classes == 16 and mimii.clips["pretrain"] == pytest.approx(0.8 * 11419, abs=8)
    assert sizes("ensemble", "dcase2020").classes == 23
    assert sizes("ensemble", "quickstart").clips["fusion"] == 8 * 48
    pump = sizes("pump_classifier", "mimii").clips
    assert pump == {"pretrain": round(1.4 * 3749), "finetune": round(1.4 * 3 * 3749)}
    assert sizes("pump_classifier", "mimii,literal").clips["finetune"] == 1890


def test_an_unknown_size_must_be_said():
    with pytest.raises(UserError, match=r"--clips=N and --classes=N"):
        sizes("ensemble", "folder")
    assert sizes("ensemble", "folder", 500, 3).clips["temporal"] == 500
    assert sizes("pump_classifier", "folder", 500).clips == {"finetune": 500}


def test_what_a_compiler_says_of_a_program():
    lowered = jax.jit(lambda x: x @ x).lower(jax.ShapeDtypeStruct((64, 64), jax.numpy.float32))
    facts = compiling.compiled(lowered)
    assert facts["memory"]["argument"] == facts["memory"]["output"] == 4 * 64 * 64
    assert facts["cost"]["flops"] >= 2 * 64**3


@pytest.mark.parametrize(("temporaries", "refused"), [(2**33, ""), (2**34, "16.10 GiB")])
def test_a_stage_fits_or_does_not(monkeypatch, temporaries, refused):
    sizes = {"argument": 2**20, "output": 2**20, "alias": 2**20, "generated_code": 0, "peak": 0}
    facts = {
        "batch": 128,
        "total_steps": 10,
        "flops": 4e9,
        "batch_bytes": 100 * 2**20,
        "versions": {"jax": "1"},
        "compile_seconds": 3.0,
        "memory": sizes | {"temp": temporaries},
        "cost": {"flops": 5e9},
    }
    monkeypatch.setattr(stage, "compile_stage", lambda *_: facts)
    topology = read_topology("v5e:2x4")
    found = stage.plan_stage({}, "fusion", topology, size_of(SMOKE, 500, 3))
    assert found.needed == temporaries + 101 * 2**20
    text = report(topology, [found], ["head"])
    assert refused in found.too_large and bool(refused) == ("DOES NOT FIT" in text)
    assert "a batch of 128, 16 a chip; 10 steps" in text and "4.000 G" in text


def plan(*arguments):
    words = [sys.executable, "-m", "launch.plan", *arguments]
    return subprocess.run(words, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--topology=v5e:16x16",), "stage pretrain: a batch of 128 can't be shared by 256 chips"),
        (("--topology=z9:1",), "--topology='z9:1' is not known"),
        (("--topology=t4:1", "--stages=sleep"), "--stages=sleep is not a stage"),
        ((), "give a topology"),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments, sentence):
    done = plan("--config=configs/ensemble.py:mimii", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {sentence}") and done.stderr.count("\n") == 1


needs_tpu = pytest.mark.skipif(not importlib.util.find_spec("libtpu"), reason="no libtpu here")
needs_gpu = pytest.mark.skipif(
    not importlib.util.find_spec("jax_cuda12_plugin"), reason="no compiler for GPUs here"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("topology", "chips"),
    [pytest.param("v5e:2x2", 4, marks=needs_tpu), pytest.param("h100:2", 2, marks=needs_gpu)],
)
def test_a_real_compiler_makes_a_report(topology, chips, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    arguments = ("--config=configs/ensemble.py:smoke", "--stages=fusion")
    done = plan(*arguments, f"--topology={topology}")
    assert done.returncode == 0, done.stderr
    assert re.search(r"needed +[1-9][\d.]+ MiB", done.stdout)
    assert re.search(r"FLOPs +[\d.]*[1-9]", done.stdout)
    assert f"8, {8 // chips} a chip" in done.stdout


@pytest.mark.slow
@needs_gpu
def test_a_batch_that_does_not_fit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    arguments = ("--config=configs/ensemble.py:smoke", "--stages=fusion", "--topology=t4:1")
    done = plan(*arguments, "--clips=900000", "--classes=2", "--batch_per_chip=800000")
    assert done.returncode == 2 and "DOES NOT FIT" in done.stdout
    sentence = r"error: stage fusion: a batch of 800000 does not fit on t4:1: .*batch_size\.\n"
    assert re.search(sentence, done.stderr)
