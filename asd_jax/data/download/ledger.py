"""`fetch.json` beside the data: what was fetched, its hash, and how many files came out of it.

A hash that no record publishes is pinned here at the first download, and holds for every later one.
"""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from asd_jax.data.download.disk import writing
from asd_jax.errors import UserError
from asd_jax.files import locked, write_json

NAME = "fetch.json"


class Ledger:
    """The notes of a data folder; every change is on the disk at once."""

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
        """How many files came out of an archive into each folder; {} while it is not unpacked."""
        return self._notes["archives"].get(archive, {}).get("folders", {})

    def missing(self, archive: str) -> dict[str, int]:
        """How many files of an unpacked archive are gone from each folder."""
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


def _read(path: pathlib.Path) -> dict[str, Any]:
    empty: dict[str, Any] = {"data": "", "licence": "", "archives": {}}
    try:
        notes = {**empty, **json.loads(path.read_text(encoding="utf-8"))}
    except FileNotFoundError:
        return empty
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"{path} can't be read ({error}); remove it to have its hashes noted anew."
        ) from error
    entries = notes["archives"].values() if isinstance(notes["archives"], dict) else [None]
    if not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{path} is not as asd_jax.fetch wrote it; remove it to begin anew.")
    return notes


def _files_in(folder: pathlib.Path) -> int:
    try:
        with os.scandir(folder) as entries:
            return sum(not entry.name.startswith(".") and entry.is_file() for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return 0


@contextlib.contextmanager
def alone_in(root: pathlib.Path) -> Iterator[None]:
    """Holds a folder against a second fetch, until the process ends however it ends."""
    import filelock

    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
    try:
        with locked(root / ".fetch.lock", wait=False):
            yield
    except filelock.Timeout as error:
        raise UserError(f"another fetch is at work in {root}; wait for its end.") from error
