"""How a command ends: exit status and what its user reads."""

import os
import subprocess
import sys

import pytest

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
