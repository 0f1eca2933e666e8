"""How a command ends: exit status and what its user reads."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

COMMANDS = ("main", "score", "monitor", "export", "submission", "fetch", "rescore")
COMMANDS += ("watch", "doctor", "compare")
LAUNCH = ("launch.sweep", "launch.plan", "launch.collect")
ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAM = """
import sys
from asd_jax import commands
from asd_jax.errors import Interrupted, UserError

def main(argv):
    {statement}

sys.argv = ["program"]
commands.run(main)
"""


@pytest.mark.parametrize(
    ("statement", "status", "said"),
    [
        ("return None", 0, ""),
        ("return 1", 1, ""),
        ("raise UserError('mend x.')", 2, "error: mend x."),
        ("raise Interrupted('Stopped; saved.')", 130, "Stopped; saved. The same command goes on"),
        ("raise KeyboardInterrupt", 130, "Stopped. The same command goes on"),
    ],
)
def test_a_command_ends_with_its_status_and_no_traceback(statement, status, said):
    program = PROGRAM.format(statement=statement)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == status
    assert said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(("more", "said"), [([], False), (["--verbosity=0"], True)])
def test_verbosity_is_a_flag_of_every_command(more, said):
    statement = "from absl import logging; logging.info('step by step'); return None"
    program = PROGRAM.format(statement=statement).replace('["program"]', repr(["program", *more]))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and ("step by step" in done.stderr) == said


SLEEPS = "import threading as t, time; t.Thread(target=time.sleep, args=(600,)).start(); "


@pytest.mark.parametrize(
    ("statement", "status", "last"),
    [("raise UserError('mend x.')", 2, "error: mend x."), ("1 / 0", 1, "ZeroDivisionError: ")],
)
def test_a_command_that_fails_waits_for_no_thread(statement, status, last):
    program = PROGRAM.format(statement=SLEEPS + statement)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == status
    assert done.stderr.splitlines()[-1].startswith(last)


def test_a_warning_is_said_without_its_thread_and_line():
    program = PROGRAM.format(statement="commands.logging.warning('few clips')")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING: few clips\n", done.stderr)


@pytest.mark.parametrize("order", [COMMANDS, COMMANDS[::-1]])
def test_all_commands_can_be_imported_in_one_process_and_read_their_flags(order):
    program = f"""
from importlib import import_module
from absl import flags
found = [import_module("asd_jax." + name) for name in {order}]
import launch.plan
given = "x --output=o --workdir=w --detector=d --machine=m --check=a --check=b"
flags.FLAGS(given.split())
for module in found:
    names = ("OUTPUT", "WORKDIR", "DETECTOR", "MACHINE", "CHECK")
    print(*(getattr(module, name).value for name in names if hasattr(module, name)))
from asd_jax.live import options
print(options.DETECTOR.value, options.MACHINE.value)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    said = ["w", "o", "", "o d m ['a', 'b']", "o w", "['a', 'b']", "o", "", "", "o"]
    expected = dict(zip(COMMANDS, said, strict=True))
    assert done.stdout.splitlines() == [*(expected[name] for name in order), "d m"]


@pytest.mark.parametrize(
    ("command", "given"),
    [
        ("export", "--stream"),
        ("export", "--workdir=x"),
        ("score", "--workdir=x"),
        ("submission", "--detector=x"),
        ("fetch", "--output=x"),
        ("main", "--check=x"),
        ("rescore", "--workdir=x"),
        ("doctor", "--detector=x"),
    ],
)
def test_a_command_takes_no_other_commands_flags(command, given):
    done = run(command, given)
    assert done.returncode == 2 and "Unknown command line flag" in done.stderr


def run(command, *arguments):
    module = f"asd_jax.{command}"
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, cwd=ROOT
    )


HEAVY = """
import runpy, sys
heavy = {"jax", "flax", "librosa", "sklearn", "scipy", "matplotlib"}
module, *sys.argv[1:] = sys.argv[1:]
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
finally:
    print("heavy:", *sorted(heavy & set(sys.modules)))
"""
REFUSED = [
    ["asd_jax.main", "--config=configs/ensemble.py", "--config.pretrain.epoch=3"],
    ["asd_jax.main", "--config=configs/pump_classifier.py:nothing"],
    ["asd_jax.rescore", "nowhere", "--config.scoring.nothing=3"],
    ["asd_jax.rescore", "nowhere"],
    ["asd_jax.main", "--config=nothing"],
]
WORDS = {
    "export": "The file to write",
    "submission": "The folder to write",
    "score": "CSV file too",
    "monitor": "--port",
    "fetch": "how complete",
    "main": "default runs/",
    "rescore": "Scores a finished run anew",
    "watch": "--alarm_after",
}


def light(*arguments):
    """A command that has imported no heavy library when it ends."""
    command = [sys.executable, "-c", HEAVY, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines()[-1].strip() == "heavy:"
    return done


@pytest.mark.parametrize("module", [*(f"asd_jax.{name}" for name in COMMANDS), *LAUNCH])
def test_help_tells_the_commands_own_words_and_waits_for_no_heavy_library(module):
    done = light(module, "--help")
    assert done.returncode in (0, 1), done.stderr
    assert WORDS.get(module.removeprefix("asd_jax."), "") in done.stdout


@pytest.mark.parametrize("arguments", REFUSED, ids=" ".join)
def test_a_refusal_waits_for_no_heavy_library(arguments):
    done = light(*arguments)
    assert done.returncode == 2, done.stderr


THREADS = """
import pathlib
from asd_jax import commands
commands.prepare_jax()
import jax
jax.block_until_ready(jax.numpy.ones(2) + 1)
names = [p.read_text() for p in pathlib.Path("/proc/self/task").glob("*/comm")]
print(len(jax.devices()), sum("XLAEigen" in name for name in names))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc")
@pytest.mark.parametrize(("more", "expected"), [({}, 32), ({"NPROC": "5"}, 5)])
def test_virtual_devices_have_threads_enough_unless_the_user_has_said_how_many(more, expected):
    environment = {k: v for k, v in os.environ.items() if k != "NPROC"}
    environment |= {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", **more}
    command = [sys.executable, "-c", THREADS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    devices, threads = map(int, done.stdout.split())
    assert devices == 4
    assert threads == (expected if more else max(expected, os.cpu_count()))


BLAS = """
import os
from asd_jax import commands
commands.prepare_jax()
import numpy, threadpoolctl
print(os.environ["OPENBLAS_NUM_THREADS"])
for pool in threadpoolctl.threadpool_info():
    print(pool["num_threads"])
"""


@pytest.mark.parametrize("asked", ["", "2"])
def test_linear_algebra_has_one_thread_unless_the_user_wants_more(asked):
    names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
    environment = {k: v for k, v in os.environ.items() if k not in names}
    environment |= {"OPENBLAS_NUM_THREADS": asked} if asked else {}
    command = [sys.executable, "-c", BLAS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    told, *pools = map(int, done.stdout.split())
    assert told == (int(asked) if asked else 1)
    allowed = len(os.sched_getaffinity(0)) if sys.platform.startswith("linux") else os.cpu_count()
    assert pools == [min(told, allowed)] * len(pools)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("raise WriteError('a.npz can not be written.')", "error: a.npz can not be written."),
        ("open('/dev/full', 'w', buffering=1).write('x\\n')", "error: a file: the disk is full"),
        ("open('nowhere/a')", "error: nowhere/a: No such file or directory; mend"),
        ("write_bytes('/proc/a', b'x')", "error: "),
        ("raise WriteError('x\\n\\x1b[31m')", r"error: x\n\x1b[31m"),
    ],
)
def test_what_the_system_refuses_is_one_sentence_and_status_1(statement, said):
    more = "from asd_jax.errors import WriteError\nfrom asd_jax.files import write_bytes\n"
    program = more + PROGRAM.format(statement=SLEEPS + statement)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith(said) and len(done.stderr.splitlines()) == 1


def test_a_warning_about_a_name_is_obeyed_by_no_terminal():
    statement = "commands.logging.warning('%s is left out', 'a\\n\\x1b[31m')"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(statement=statement)], capture_output=True, text=True
    )
    assert done.stderr.endswith(r"WARNING: a\n\x1b[31m is left out" + "\n")
