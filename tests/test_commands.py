"""How a command ends: exit status and what its user reads."""

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
