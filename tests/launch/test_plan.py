"""Planning: what is read from a program's text, the arithmetic, the sizes, and refusals."""

import importlib.util
import pathlib
import re
import subprocess
import sys
import types
from collections import Counter

import jax
import pytest

from asd_jax.errors import UserError
from launch.planning import compiling, hlo, search
from launch.planning.collectives import Collective, collectives
from launch.planning.compiling import TARGETS
from launch.planning.hardware import CHIPS, read_topology
from launch.planning.operations import Operation, operations
from launch.planning.report import grouped
from launch.planning.roofline import roofline, sent
from launch.planning.sizes import size_of
from launch.planning.traffic import traffic
from tests.recipes.test_settings import get_config

HERE = pathlib.Path(__file__).parent
# In the form of compiled.as_text(): a BatchNorm sum, two gradients joined, the gathered partners.
PROGRAM = (HERE / "step.hlo").read_text(encoding="utf-8")


def test_collectives_are_counted_by_what_they_are_for():
    found = collectives(hlo.parse(PROGRAM))
    assert Counter((one.kind, one.purpose, one.bytes, one.times) for one in found) == {
        ("all-reduce", "BatchNorm statistics", 32, 1): 2,
        ("all-reduce", "BatchNorm gradient", 32, 1): 1,
        ("all-reduce", "gradients", 128, 1): 1,
        ("all-gather", "mixing of clips", 512, 1): 1,
        ("collective-permute", "views", 128, 3): 1,
    }
    assert {one.group for one in found if one.kind == "all-reduce"} == {4}
    rows = grouped(found)
    assert rows["BatchNorm statistics"]["all-reduce"] == (1, 2, 64)
    assert rows["gradients"]["all-reduce"] == (1, 1, 128)  # joined: its larger part names it
    assert rows["BatchNorm gradient"]["all-reduce"] == (0, 1, 32)


def test_bytes_on_the_chip_are_no_traffic():
    module = hlo.parse(PROGRAM)
    first = module.by_name["first"]
    assert hlo.size(module.by_name["b"].type) == 256
    assert hlo.size(module.by_name["b"].type, device_memory=True) == 0
    assert module.by_name["loop"].trips == 3 and first.called() == "joined"
    assert hlo.size("(f32[2,3]{1,0}, /*index=1*/bf16[4]{0}, pred[], s4[8]{0})") == 24 + 8 + 1 + 8
    once = 160 + 64 + 128 + 64 + 96 + 320 + 320 + 640 + 128 + 128  # first ... out, in their order
    assert traffic(module) == once + 3 * 256


def test_operations_are_counted_by_element_type():
    text = (HERE / "operations.mlir").read_text(encoding="utf-8")
    numbers, flops = operations(text)
    exact = Operation("dot_general", "f32 x f32", "HIGHEST")
    assert numbers[exact] == 1 and flops[exact] == 2 * 8 * 32 * 4
    assert numbers[Operation("dot_general", "bf16 x bf16", "DEFAULT")] == 1
    assert numbers[Operation("convolution", "bf16 x bf16", "DEFAULT")] == 1


def test_the_roofline_is_the_largest_of_three():
    chip = CHIPS["v5e"]
    one = Collective("all-reduce", "gradients", 8_000_000, 2, "", "a", group=4)
    assert sent(one) == 2 * 3 / 4 * 8e6
    work = {"flops": 197e9 + 1e9, "exact_flops": 1e9, "types": {"f32"}, "traffic": 819e6}
    times = roofline(chip, collectives=[one], **work)
    assert times.compute == pytest.approx(1e-3 + 6 * 1e9 / 197e12)
    assert times.memory == pytest.approx(1e-3)
    assert times.links == pytest.approx(2 * 12e6 / 200e9)
    assert (times.bound, times.step) == ("compute", times.compute)
    half = roofline(CHIPS["t4"], collectives=[], **(work | {"types": {"f16"}}))
    assert half.compute == pytest.approx(197e9 / 65e12 + 1e9 / 8.1e12)


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
    bandwidth = int(re.search(r"memory_bandwidth: (\d+)", text)[1])
    assert bandwidth == pytest.approx(CHIPS[name].bandwidth, rel=0.01)


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


@pytest.mark.parametrize(("limit", "most"), [(1000.0, 500), (90.0, 500), (1e6, 64), (15.0, 9)])
def test_the_search_finds_the_largest_batch_in_few_tries(limit, most):
    tried = []

    def needs(number):
        tried.append(number)
        return 10.0 + 3.0 * number

    found = search.largest_batch(needs, memory=limit, start=16, most=most, tries=6)
    right = min(int((limit - 10.0) // 3.0), most)
    assert found.fits <= right and len(tried) == len(set(tried)) <= 6
    assert found.fits >= 0.9 * right
    assert not found.fails or needs(found.fails) > limit


def test_a_compiler_that_gives_up_ends_the_search():
    def needs(number):
        return None if number > 16 else 1.0

    found = search.largest_batch(needs, memory=100.0, start=16, most=500, tries=6)
    assert (found.fits, found.fails) == (16, 0)


@pytest.mark.parametrize(
    ("setting", "clips", "chip", "gigabytes"),
    [
        ("auto", 20000, "v5e:2x4", 20000 / 8 * 0.32e-3),
        ("auto", 200000, "t4:1", 0),  # 64 GB on 16: they are read
        ("yes", 200000, "t4:1", 200000 * 0.32e-3),
        ("no", 20000, "v5e:2x4", 0),
    ],
)
def test_clips_on_the_chip_are_counted(setting, clips, chip, gigabytes):
    wave = jax.ShapeDtypeStruct((128, 2, 160000), jax.numpy.int16)
    program = types.SimpleNamespace(batch={"wave": wave})
    found = compiling.clips_bytes(program, clips, setting, read_topology(chip))
    assert found == pytest.approx(1e9 * gigabytes)


def plan(*arguments):
    words = [sys.executable, "-m", "launch.plan", *arguments]
    return subprocess.run(words, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--topology=v5e:16x16",), "stage pretrain: a batch of 128 can't be shared by 256 chips"),
        (("--topology=z9:1",), "--topology='z9:1' is not known"),
        (("--topology=t4:1", "--stages=sleep"), "--stages=sleep is no stage"),
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
    arguments = ("--config=configs/ensemble.py:smoke", "--stages=fusion", "--search=0")
    done = plan(*arguments, f"--topology={topology}")
    assert done.returncode == 0, done.stderr
    row = r"BatchNorm statistics\s+all-reduce\s+[1-9]"
    assert re.search(row, done.stdout) and re.search(r"gradients\s+all-reduce", done.stdout)
    assert f"8, {8 // chips} a chip" in done.stdout


@pytest.mark.slow
@needs_gpu
def test_a_batch_that_does_not_fit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    arguments = ("--config=configs/ensemble.py:smoke", "--stages=fusion", "--topology=t4:1")
    done = plan(*arguments, "--clips=900000", "--classes=2", "--batch_per_chip=800000")
    assert done.returncode == 2 and "DOES NOT FIT" in done.stdout
    sentence = r"error: stage fusion: a batch of 800000 does not fit on t4:1: .* fits\.\n"
    assert re.search(sentence, done.stderr)
