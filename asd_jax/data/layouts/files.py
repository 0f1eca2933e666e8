"""Finds the recordings below a folder, whatever else lies there."""

import os
import pathlib
from typing import NamedTuple

from absl import logging

from asd_jax.data import foreign
from asd_jax.errors import UserError

AUDIO = (".wav", ".flac", ".ogg", ".mp3", ".opus", ".aif", ".aiff", ".caf", ".au", ".w64", ".rf64")


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
    below = files_below(root)
    if sentence := foreign.ignored([file.path for file in below]):
        logging.warning("%s", sentence)
    found = [file for file in below if is_audio(file.name)]
    if not found:
        kinds = ", ".join(AUDIO)
        also = f" {sentence}." if sentence else ""
        raise UserError(f"No recording ({kinds}) was found in {root} or below it.{also}")
    return found


def is_audio(name: str) -> bool:
    """Whether a file is a recording, by its ending, that can be read here."""
    kind = foreign.ending(name)
    return kind in AUDIO or (kind in foreign.DEMUXERS and foreign.ffmpeg() is not None)


def files_below(root: pathlib.Path, *, say: bool = True) -> list[Found]:
    """All files below `root` that are not hidden, sorted by path.

    Links are followed, but nothing is found twice: of several ways to a folder or file, the one
    without a link counts, else the first by name. What may not be read is named in the log, if it
    is to `say` so.
    """
    found: list[Found] = []
    links: list[str] = []  # to folders and files: looked at when all else is known
    seen: set[str] = set()

    def left_out(path: str, why: str | None) -> None:
        if say:
            logging.warning("%s is left out: %s.", path, why)

    def walk(folder: str) -> None:
        real = os.path.realpath(folder)
        if real in seen:
            return
        seen.add(real)
        try:
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            left_out(folder, error.strerror)
            return
        folders = _between(folder, root)
        for entry in inside:
            if _hidden(entry.name):
                continue
            if entry.is_symlink():
                links.append(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                deeper.append(entry.path)
            elif entry.is_file(follow_symlinks=False):
                found.append(Found(entry.path, folders, entry.name))
                real_files.add(os.path.join(real, entry.name))
            elif is_audio(entry.name):
                left_out(entry.path, "it is no regular file")

    deeper, real_files = [str(root)], set()
    while deeper or links:
        if deeper:
            walk(deeper.pop())
            continue
        links.sort()
        path = links.pop(0)
        if os.path.isdir(path):
            deeper.append(path)
        elif os.path.isfile(path) and (real := os.path.realpath(path)) not in real_files:
            real_files.add(real)
            found.append(Found(path, _between(os.path.dirname(path), root), os.path.basename(path)))
        elif is_audio(path) and not os.path.isfile(path):
            left_out(path, "it is a link to what is no regular file")
    return sorted(found)


def _between(folder: str, root: pathlib.Path) -> tuple[str, ...]:
    below = os.path.relpath(folder, root)
    return () if below == os.curdir else tuple(below.split(os.sep))


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
