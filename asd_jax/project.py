"""Where `configs/` and `launch/` lie: beside the package in a clone, inside of it in a wheel."""

import os
import pathlib
import re
import sys
from collections.abc import Sequence

from asd_jax.errors import UserError

_HERE = pathlib.Path(__file__).resolve().parent
# pyproject.toml puts both there: as names in site-packages they would be anybody's.
_INSIDE = _HERE / "shipped"


def root() -> pathlib.Path:
    """The folder that holds `configs/` and `launch/`."""
    return _INSIDE if _INSIDE.is_dir() else _HERE.parent


def make_launch_importable() -> None:
    """Puts the folder of `launch` first on the path of modules, of processes started here too."""
    folder = os.fspath(root())
    sys.path.insert(0, folder)
    paths = [folder, *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)


def config_file(name: str) -> str:
    """The path of a config: a file that is there, or one of the project's by name.

    Args:
        name: `ensemble`, `ensemble:folder`, `configs/ensemble.py:folder`, or any file with or
            without an argument.

    Raises:
        UserError: there is no such file and no such name.
    """
    path, colon, argument = name.partition(":")
    return _found(path, "configs", f"--config={name}") + colon + argument


def sweep_file(name: str) -> str:
    """The path of a sweep, likewise: `sun_table5`, or any file; raises UserError."""
    return _found(name, "configs/sweeps", f"--sweep={name}")


def _found(path: str, below: str, given: str) -> str:
    if os.path.isfile(path):
        return path
    folder = root() / below
    short = re.sub(rf"^{below}/|\.py$", "", path)
    if (folder / f"{short}.py").is_file():
        # In a clone as its user would write it: that is how it stands in logs and messages.
        return os.path.relpath(folder / f"{short}.py") if _in(folder) else f"{folder}/{short}.py"
    known = sorted(
        os.fspath(file.relative_to(folder).with_suffix(""))
        for file in folder.rglob("*.py")
        if below != "configs" or "sweeps" not in file.parts
    )
    raise UserError(f"{given} is not a file, and none of {', '.join(known)}.")


def _in(folder: pathlib.Path) -> bool:
    return pathlib.Path.cwd() in folder.parents


def with_config_files(argv: Sequence[str]) -> list[str]:
    """A command line whose `--config` is a path; raises UserError as `config_file` does."""
    found, words = [], iter(argv)
    for word in words:
        flag, equals, name = word.partition("=")
        if flag in ("--config", "-config"):
            name = name if equals else next(words, "")
            word = f"--config={config_file(name)}"
        found.append(word)
    return found
