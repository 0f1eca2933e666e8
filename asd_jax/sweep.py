"""Makes the runs of a sweep: `python -m asd_jax.sweep sun_table5`, which is `launch.sweep`.

A sweep is a file, or the name of one of configs/sweeps; flags are those of `launch.sweep`.
"""

import runpy
import sys
from collections.abc import Sequence

from asd_jax import commands, project
from asd_jax.errors import UserError


def named(argv: Sequence[str]) -> list[str]:
    """The command line with the sweep as a path; raises UserError if there is none of its name."""
    found: list[str] = []
    for word in argv:
        flag, equals, name = word.partition("=")
        if found[-1:] == ["--sweep"] or (not found and not word.startswith("-")):
            word = project.sweep_file(word)
        elif flag == "--sweep" and equals:
            word = f"--sweep={project.sweep_file(name)}"
        found.append(word)
    return found


if __name__ == "__main__":
    project.make_launch_importable()
    try:
        sys.argv[1:] = named(sys.argv[1:])
    except UserError as error:
        commands.fail(str(error))
    runpy.run_module("launch.sweep", run_name="__main__", alter_sys=True)
