"""`fetch.json` beside the data: what was fetched, its hash, and how many files came out of it.

A hash that no record publishes is pinned here at the first download, and holds for every later one.
"""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from asd_jax.data.download.records import DATA_SETS
from asd_jax.data.download.transfer import writing
from asd_jax.errors import UserError
from asd_jax.files import locked, write_json
from asd_jax.naming import size_text

NAME = "fetch.json"
ARCHIVES = "archives"  # the folder of the zips, below the root where no other is given


class Manifest:
    """The manifest of a data folder; every change is written at once."""

    def __init__(self, root: pathlib.Path):
        self.root = root
        self._notes = _read(root / NAME)

    @property
    def data(self) -> str:
        """The name of the data set, '' before the first note."""
        return self._notes["data"]

    @property
    def licence(self) -> str:
        """The licence that was accepted for this folder, '' if none was."""
        return self._notes["licence"]

    def begin(self, data: str, licence: str) -> None:
        """Notes what will lie here, and under which licence."""
        self._notes.update(data=data, licence=licence)
        self._save()

    def note(self, archive: str, **facts: Any) -> None:
        """Adds facts about an archive: `hash`, `size`, `folders` once it is unpacked."""
        self._notes["archives"].setdefault(archive, {}).update(facts)
        self._save()

    def forget(self, archive: str) -> None:
        """Takes back what is noted of an archive."""
        if self._notes["archives"].pop(archive, None) is not None:
            self._save()

    def hash_of(self, archive: str) -> str:
        """'md5:...' as it was noted, or ''."""
        return self._notes["archives"].get(archive, {}).get("hash", "")

    def folders_of(self, archive: str) -> dict[str, int]:
        """Counts the files of an archive by folder; {} while it is not unpacked."""
        return self._notes["archives"].get(archive, {}).get("folders", {})

    def missing(self, archive: str) -> dict[str, int]:
        """Counts the files of an unpacked archive that are gone or empty, by folder."""
        folders = self.folders_of(archive)
        gone = {name: count - _files_in(self.root / name) for name, count in folders.items()}
        return {name: count for name, count in gone.items() if count > 0}

    def done(self, archive: str) -> bool:
        """Whether an archive was unpacked and all of it is still there."""
        return bool(self.folders_of(archive)) and not self.missing(archive)

    def _save(self) -> None:
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            write_json(self.root / NAME, self._notes)


def check(root: pathlib.Path) -> tuple[list[str], bool]:
    """Compares a folder with its manifest: lines for a terminal, and whether it is whole.

    What was fetched is held against the count of files that came out of its archives.

    Raises:
        UserError: there is no such folder, or its manifest can't be read.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder; --check takes the folder of a data set.")
    manifest = Manifest(root)
    if manifest.data not in DATA_SETS:
        return [f"{root} has no {NAME}: only what asd_jax.fetch has fetched can be checked."], False
    data, lines = DATA_SETS[manifest.data], []
    there = [archive for archive in data.archives if manifest.folders_of(archive.name)]
    for archive in there:
        folders, gone = manifest.folders_of(archive.name), manifest.missing(archive.name)
        state = "incomplete" if gone else "complete"
        lines.append(f"  {archive.name:36}{state:12}{sum(folders.values()):6d} files")
        lines += [f"      {f}: {folders[f] - gone[f]} of {folders[f]} files" for f in gone]
    whole = sum(manifest.done(archive.name) for archive in there)
    absent = [archive.name for archive in data.archives if archive not in there]
    if absent:
        lines.append(f"  not there: {', '.join(absent)}")
    troubles = list(_troubles(manifest))
    head = f"{root}: {data.title}, {whole} of {len(data.archives)} archives complete."
    return [head, *lines, *troubles], bool(there) and whole == len(there) and not troubles


def _troubles(manifest: Manifest) -> Iterator[str]:
    """One sentence each."""
    root, data = manifest.root, DATA_SETS[manifest.data]
    for part in sorted((root / ARCHIVES).glob("*.part")):
        size = size_text(part.stat().st_size)
        yield f"{part.name.removesuffix('.part')} is half downloaded ({size})."
    for archive in sorted((root / ARCHIVES).glob("*.zip")):
        if not manifest.folders_of(archive.name):
            yield f"{archive.name} is downloaded but not all unpacked."
    tested = any(manifest.folders_of(a.name) for a in data.archives if a.part == "test")
    if tested and not all((root / truth.name).exists() for truth in data.lists):
        yield "The test clips have no labels: --parts=truth fetches them."


def _read(path: pathlib.Path) -> dict[str, Any]:
    empty: dict[str, Any] = {"data": "", "licence": "", "archives": {}}
    try:
        notes = {**empty, **json.loads(path.read_text(encoding="utf-8"))}
    except FileNotFoundError:
        return empty
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path} can't be read ({error}); remove it to have its hashes noted anew."
        ) from error
    entries = notes["archives"].values() if isinstance(notes["archives"], dict) else [None]
    if not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{path} is not as asd_jax.fetch wrote it; remove it to begin anew.")
    return notes


def _files_in(folder: pathlib.Path) -> int:
    """Files that are not hidden; a recording that a power cut has left empty is none."""
    try:
        with os.scandir(folder) as entries:
            names = [entry for entry in entries if not entry.name.startswith(".")]
            return sum(
                entry.is_file() and not (entry.name.endswith(".wav") and not entry.stat().st_size)
                for entry in names
            )
    except (FileNotFoundError, NotADirectoryError):
        return 0


@contextlib.contextmanager
def alone_in(root: pathlib.Path) -> Iterator[None]:
    """Holds a folder against a second fetch, until the process ends however it ends.

    Raises:
        UserError: another fetch is at work in the folder.
    """
    import filelock

    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
    try:
        with locked(root / ".fetch.lock", wait=False):
            yield
    except filelock.Timeout as error:
        raise UserError(f"another fetch is at work in {root}; wait for its end.") from error
