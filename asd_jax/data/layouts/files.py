"""Finds the recordings below a folder, whatever else lies there."""

import dataclasses
import os
import pathlib
from typing import NamedTuple

from absl import logging

from asd_jax.data import foreign
from asd_jax.errors import UserError

AUDIO = (
    *(".wav", ".flac", ".ogg", ".mp3", ".opus", ".aif", ".aiff", ".caf", ".au", ".w64", ".rf64"),
    *(".wave", ".bwf", ".oga", ".aifc", ".snd", ".mp2"),  # the same by other names
)


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The options of `read_clips` that a layout's reader needs."""

    snr: tuple[str, ...] = ()  # MIMII: '6', '0', '-6'; () means all
    use_additional: bool = False  # DCASE, MIMII DUE: the evaluation set's machines too
    normal: tuple[str, ...] = ()  # folder: more names of folders, or words of file names, that say
    abnormal: tuple[str, ...] = ()  # that a recording is of a healthy or of a faulty machine


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
    without a link counts, else the first by name. One to a folder around `root` leads nowhere. What
    may not be read, and links that add nothing, are named in the log, if it is to `say` so.
    """
    below = _Below(root, say)
    while below.folders or below.links:
        if below.folders:
            below.enter(below.folders.pop())
        else:
            below.links.sort()
            below.follow(below.links.pop(0))
    if say and below.again:
        logging.warning(
            "%d links, the first %s, lead to what is here already: each recording counts once.",
            len(below.again),
            below.again[0],
        )
    return sorted(below.found)


class _Below:
    """Files found below a folder, and the folders still to walk."""

    def __init__(self, root: pathlib.Path, say: bool) -> None:
        self.root, self.say = root, say
        self.found: list[Found] = []
        self.folders = [str(root)]
        self.links: list[str] = []  # to folders and files: looked at when all else is known
        self.again: list[str] = []  # links that lead to what was found before
        self._seen: set[str] = set()  # real paths of folders and files
        self._around = set(pathlib.Path(os.path.realpath(root)).parents)

    def enter(self, folder: str) -> None:
        """Finds what is in a folder, unless it has been entered by another way."""
        real = os.path.realpath(folder)
        if real in self._seen:
            self.again.append(folder)
            return
        self._seen.add(real)
        try:
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._left_out(folder, error.strerror)
            return
        between = _between(folder, self.root)
        for entry in inside:
            if _hidden(entry.name):
                continue
            if entry.is_symlink():
                self.links.append(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                self.folders.append(entry.path)
            elif entry.is_file(follow_symlinks=False):
                self._seen.add(os.path.join(real, entry.name))
                self.found.append(Found(entry.path, between, entry.name))
            elif is_audio(entry.name):
                self._left_out(entry.path, "it is not a regular file")

    def follow(self, link: str) -> None:
        """Takes up what a link leads to, unless it is there already."""
        if os.path.isdir(link):
            if pathlib.Path(os.path.realpath(link)) in self._around:
                self._left_out(link, "it is a link to a folder around this one")
            else:
                self.folders.append(link)
        elif not os.path.isfile(link):
            if is_audio(link):
                self._left_out(link, "it is a link to what is not a regular file")
        elif (real := os.path.realpath(link)) in self._seen:
            self.again += [link] if is_audio(link) else []
        else:
            self._seen.add(real)
            folder, name = os.path.split(link)
            self.found.append(Found(link, _between(folder, self.root), name))

    def _left_out(self, path: str, why: str | None) -> None:
        if self.say:
            logging.warning("%s is left out: %s.", path, why)


def _between(folder: str, root: pathlib.Path) -> tuple[str, ...]:
    below = os.path.relpath(folder, root)
    return () if below == os.curdir else tuple(below.split(os.sep))


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
