"""Finds the recordings below a folder, whatever else lies there."""

import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

from asd_jax.errors import UserError

AUDIO = (".wav", ".flac", ".ogg", ".mp3")


class Found(NamedTuple):
    """A file below the root."""

    path: str  # root and below, as the user wrote the root
    folders: tuple[str, ...]  # names of the folders between root and file
    name: str


def audio_files(root: pathlib.Path) -> list[Found]:
    """All recordings below `root`, sorted by path.

    Upper-case extensions count; hidden files and folders do not (`._x.wav` is what macOS leaves
    beside x.wav on foreign disks, and `__MACOSX` what it leaves in archives).

    Raises:
      UserError: there is none.
    """
    found = [file for file in files_below(root) if file.name.lower().endswith(AUDIO)]
    if not found:
        raise UserError(f"No recording ({', '.join(AUDIO)}) was found in {root} or below it.")
    return found


def files_below(root: pathlib.Path) -> list[Found]:
    """All files below `root` that are not hidden, sorted by path; links to folders are followed."""
    found = []
    for folder, names in _walk(str(root)):
        below = os.path.relpath(folder, root)
        folders = () if below == os.curdir else tuple(below.split(os.sep))
        found += [Found(os.path.join(folder, name), folders, name) for name in names]
    return sorted(found)


def _walk(root: str) -> Iterator[tuple[str, list[str]]]:
    """Walks through links to folders too, but no folder twice on one way down."""
    for folder, below, names in os.walk(root, followlinks=True):
        above = {os.path.realpath(folder)}
        parent = folder
        while len(parent) > len(root):
            parent = os.path.dirname(parent)
            above.add(os.path.realpath(parent))
        below[:] = [name for name in below if not _hidden(name)]
        below[:] = [b for b in below if not _loops(os.path.join(folder, b), above)]
        yield folder, [name for name in names if not _hidden(name)]


def _loops(folder: str, above: set[str]) -> bool:
    return os.path.islink(folder) and os.path.realpath(folder) in above


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
