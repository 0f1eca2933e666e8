"""The project's commands from a notebook: what they print, and an end where one fails."""

import subprocess
import sys

from asd_jax.errors import UserError


def run(module: str, *arguments: str, allowed: tuple[int, ...] = (0,)) -> int:
    """Runs `python -m module arguments...` and prints what it prints, as it comes.

    Args:
        module: such as 'asd_jax.score'.
        arguments: of the command; empty ones are left out.
        allowed: exit statuses that are no failure.

    Returns:
        The exit status.

    Raises:
        UserError: any other exit status; the command's own sentence stands above.
    """
    line = [sys.executable, "-m", module, *(argument for argument in arguments if argument)]
    with subprocess.Popen(
        line,
        bufsize=0,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None  # a pipe
        try:
            while chunk := process.stdout.read(4096):
                print(chunk.decode(errors="replace"), end="", flush=True)
        except KeyboardInterrupt:
            process.terminate()
            raise
    if process.returncode not in allowed:
        raise UserError(f"{module} ended with status {process.returncode}; see what it says above.")
    return process.returncode
