"""The files of a wave cache: rows that are written once, and an index that is only replaced.

The index names what is valid. It is written to a temporary file and renamed into place after the
rows it names have reached the disk, so a killed build leaves at worst rows without an index entry.

Every build writes its rows into a file of its own, of a name that no other has. So builds that no
lock keeps apart, as on hosts whose network drive has none, may do work twice, but never read each
other's sound.
"""

import collections
import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from absl import logging

from asd_jax.data import quality
from asd_jax.data.decode import (
    Recording,
    UnreadableError,
    decode,
    recording_seconds,
    why_unreadable,
)
from asd_jax.data.wave_settings import WaveSettings
from asd_jax.errors import UserError
from asd_jax.files import locked, remove_leftovers, write_json, writing

_VERSION = 4  # of what is read of a recording too: one that is read otherwise is read again
_FORGOTTEN = 86400.0  # seconds after which a data file that no index names is unused
_SAVE_EVERY = 20.0  # seconds of decoding that a crash may cost
_SPARE = 64 * 2**20  # bytes to leave free on the disk
_LARGE = 16 * 2**20  # bytes of a recording of which not all rows are held at once
_STRIDE = 16  # one in so many samples is hashed: where hashes are equal, rows are compared
_RESAMPLER_TAIL = 0.1  # seconds read beyond a cut, so that no resampler's edge is in the clip


class Entry(NamedTuple):
    """A decoded file: what it was then, and where its rows are."""

    size: int  # bytes
    mtime_ns: int
    data: str  # the data file
    row: int  # its first row there
    frames: int  # decoded samples, before cutting or padding
    rate: int  # Hz, in the file
    digest: str  # of some of the decoded samples: equal sound has equal ones
    flags: str  # `quality.words` of the recording
    of_rows: dict[str, str]  # and of those of its rows that have more, by their number

    def words(self, row: int) -> str:
        """The flags of one of its rows."""
        more = self.of_rows.get(str(row))
        return quality.words({*self.flags.split(), *more.split()}) if more else self.flags


class _Rows(NamedTuple):
    """Rows of a recording, all or some, and with the last ones what is kept of it beside them."""

    rows: np.ndarray
    entry: Entry | None = None


class Store:
    """Data files and one index, for one `WaveSettings`, in one folder."""

    def __init__(self, folder: pathlib.Path, settings: WaveSettings):
        self.folder = folder
        self.settings = settings
        self._index = folder / "index.json"
        self._files: dict[str, Entry] = {}
        self._data: dict[str, int] = {}  # whole rows of each data file
        self._load()

    @property
    def data(self) -> tuple[tuple[str, int], ...]:
        """The data files, each with its number of rows; a row is counted through all of them."""
        return tuple((str(self.folder / name), rows) for name, rows in self._data.items())

    def entry(self, path: str) -> Entry:
        """Returns the entry of an available file; its row counts through all data files."""
        entry = self._files[os.path.abspath(path)]
        names = list(self._data)
        before = sum(self._data[name] for name in names[: names.index(entry.data)])
        return entry._replace(row=before + entry.row)

    def log_notes(self, paths: list[str]) -> None:
        """Says what happened to these recordings on the way: each thing once, not once a file."""
        notes: dict[str, list[str]] = {}
        for path in paths:
            for what in _notes(self.entry(path), self.settings):
                notes.setdefault(what, []).append(path)
        for what, of in notes.items():
            which = f"{len(of)} recordings, the first {of[0]}" if len(of) > 1 else of[0]
            logging.warning("%s: %s.", which, what)

    def update(self, paths: list[str], *, progress: bool = False) -> dict[str, str]:
        """Decodes the new and changed files among `paths`; returns reasons for unreadable ones."""
        if not self._stale(paths)[0]:
            return self._stale(paths)[1]
        remedy = "set config.data.cache to a folder with room; what was decoded is kept"
        needs = _SPARE + len(paths) * self._row_bytes()
        with writing(self.folder, remedy, needs=needs), self._alone():
            self._load()  # another process may have done the work in the meantime
            todo, unreadable = self._stale(paths)
            if todo:
                self._need_room(todo)
                unreadable |= self._fill(todo, progress)
        return unreadable

    def _stale(self, paths: list[str]) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
        """Size and time of each file to decode, and reasons for those that are not there."""
        todo, missing = {}, {}
        for path in paths:
            try:
                stat = os.stat(path)
            except OSError as error:
                missing[path] = why_unreadable(path, error)
                continue
            entry = self._files.get(os.path.abspath(path))
            if entry is None or entry[:2] != (stat.st_size, stat.st_mtime_ns):
                todo[path] = (stat.st_size, stat.st_mtime_ns)
        return todo, missing

    def _row_bytes(self) -> int:
        return self.settings.samples * np.dtype(np.int16).itemsize

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / "lock"):
            remove_leftovers(self.folder, older=_FORGOTTEN)
            yield

    def _load(self) -> None:
        self._data, self._files = self._read()

    def _read(self) -> tuple[dict[str, int], dict[str, Entry]]:
        """Reads the index; returns nothing where it is absent, or not ours."""
        try:
            index = json.loads(self._index.read_text("utf-8", "surrogateescape"))
            if index["version"] != _VERSION:
                return {}, {}
            data = {name: rows for name, rows in index["data"].items() if self._holds(name, rows)}
            files = {path: Entry(*entry) for path, entry in index["files"].items()}
            found = {p: e for p, e in files.items() if 0 <= e.row < data.get(e.data, 0)}
            return data, found
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}, {}

    def _holds(self, name: str, rows: int) -> bool:
        """Whether so many rows are in a data file."""
        path = self.folder / name
        enough = int(rows) * self._row_bytes()
        return path.parent == self.folder and path.is_file() and path.stat().st_size >= enough

    def _save(self) -> None:
        data, files = self._read()  # what a build added that no lock has kept waiting
        files = {**files, **self._files}
        index = {"version": _VERSION, "data": {**data, **self._data}, "files": files}
        write_json(self._index, index, indent=None)

    def _need_room(self, todo: dict[str, tuple[int, int]]) -> None:
        rows = len(todo)
        if self.settings.long == "windows":
            rows = sum(self._count_rows(path) for path in todo)
        needed = rows * self._row_bytes() + _SPARE
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise UserError(
                f"The decoded audio needs {needed / 1e9:.1f} GB in {self.folder}, where "
                f"{free / 1e9:.1f} GB are free; set config.data.cache to a folder with more room."
            )

    def _count_rows(self, path: str) -> int:
        try:
            seconds = recording_seconds(path)
            if seconds > 3600 * self.settings.longest_hours:
                return 0  # as below
            return len(self.settings.starts(round(seconds * self.settings.sample_rate)))
        except UnreadableError:
            return 0  # reported when it is decoded

    def _fill(self, todo: dict[str, tuple[int, int]], progress: bool) -> dict[str, str]:
        unreadable: dict[str, str] = {}
        self._remove_forgotten()
        name = f"{secrets.token_hex(8)}.i16"
        with open(self.folder / name, "xb") as file:
            saved = time.monotonic()
            try:
                for path, parts in _decoded(todo, self.settings, progress):
                    try:
                        self._append(file, name, path, parts, todo[path])
                    except UnreadableError as error:
                        unreadable[path] = error.reason
                    if time.monotonic() - saved > _SAVE_EVERY:
                        self._keep(file)
                        saved = time.monotonic()
            finally:
                self._keep(file)
                if name not in self._data:
                    (self.folder / name).unlink()
        return unreadable

    def _append(
        self,
        file: BinaryIO,
        name: str,
        path: str,
        parts: Iterable[_Rows],
        state: tuple[int, int],
    ) -> None:
        """Writes a recording's rows, which count once all of them are there."""
        begin, count = self._data.get(name, 0), 0
        try:
            for part in parts:
                file.write(part.rows.tobytes())
                count += len(part.rows)
                if part.entry:
                    size, mtime = state
                    entry = part.entry._replace(size=size, mtime_ns=mtime, data=name, row=begin)
                    self._files[os.path.abspath(path)] = entry
                    self._data[name] = begin + count
        except UnreadableError:
            file.seek(begin * self._row_bytes())
            file.truncate()
            raise

    def _remove_forgotten(self) -> None:
        """Data files of builds that were killed before their first save, or of older versions."""
        for path in self.folder.glob("*.i16"):
            with contextlib.suppress(OSError):
                if path.name not in self._data and time.time() - path.stat().st_mtime > _FORGOTTEN:
                    path.unlink()

    def _keep(self, file: Any) -> None:
        file.flush()
        os.fsync(file.fileno())
        self._save()


def _decoded(
    files: dict[str, tuple[int, int]], settings: WaveSettings, progress: bool
) -> Iterator[tuple[str, Iterable[_Rows]]]:
    """Decodes in threads (libsndfile works without the interpreter's lock), a few files ahead.

    A large recording is read where its rows are written, so that memory stays flat.
    """
    import soundfile  # noqa: F401  # imported once here, not by all threads at once
    import soxr  # noqa: F401
    from tqdm import tqdm

    workers = min(8, os.cpu_count() or 1)
    bar = tqdm(total=len(files), desc="decoding", unit="clip", disable=not progress)
    ahead: collections.deque[tuple[str, concurrent.futures.Future | None]] = collections.deque()

    def oldest() -> tuple[str, Iterable[_Rows]]:
        path, future = ahead.popleft()
        bar.update()
        return path, _large_rows(path, settings) if future is None else _raising(future.result())

    with bar, concurrent.futures.ThreadPoolExecutor(workers) as pool:
        try:
            for path, (size, _) in files.items():
                large = settings.long == "windows" and size > _LARGE
                future = None if large else pool.submit(_decode_rows, path, settings)
                ahead.append((path, future))
                if len(ahead) > 2 * workers:
                    yield oldest()
            while ahead:
                yield oldest()
        finally:
            pool.shutdown(cancel_futures=True)


def _raising(rows: _Rows | UnreadableError) -> Iterator[_Rows]:
    if isinstance(rows, UnreadableError):
        raise rows
    yield rows


def _decode_rows(path: str, settings: WaveSettings) -> _Rows | UnreadableError:
    limit = settings.clip_seconds + _RESAMPLER_TAIL if settings.long == "cut" else None
    try:
        wave, rate, flags = decode(
            path,
            sample_rate=settings.sample_rate,
            channel=settings.source_channel,
            max_seconds=limit,
            longest=settings.longest_hours,
        )
    except UnreadableError as error:
        return error
    rows = settings.rows(wave)
    counted = wave[: settings.samples] if settings.long == "cut" else wave
    about = _About(settings.sample_rate)
    about.hashed(counted)
    about.seen(rows)
    return _Rows(rows, about.entry(len(wave), rate, flags, settings))


def _large_rows(path: str, settings: WaveSettings) -> Iterator[_Rows]:
    """The rows of a recording as it is read; raises UnreadableError."""
    recording = Recording(
        path,
        sample_rate=settings.sample_rate,
        channel=settings.source_channel,
        longest=settings.longest_hours,
    )
    about = _About(settings.sample_rate)
    blocks = map(about.hashed, recording.blocks())
    for _, row, _ in settings.windows(blocks):
        about.seen(row[None])
        yield _Rows(row[None])
    nothing = np.zeros((0, settings.samples), np.int16)
    yield _Rows(nothing, about.entry(about.frames, recording.rate, recording.flags, settings))


class _About:
    """Collects what the index holds of a recording: digest, length and flags."""

    def __init__(self, rate: int) -> None:
        self.frames = 0
        self._rate = rate
        self._digest = hashlib.blake2b(digest_size=16)
        self._of_rows: list[set[str]] = []

    def hashed(self, wave: np.ndarray) -> np.ndarray:
        self._digest.update(wave[-self.frames % _STRIDE :: _STRIDE].tobytes())
        self.frames += len(wave)
        return wave

    def seen(self, rows: np.ndarray) -> None:
        self._of_rows += [quality.of_clip(row, self._rate) for row in rows]

    def entry(self, frames: int, rate: int, flags: Iterable[str], settings: WaveSettings) -> Entry:
        """Returns the recording's entry of the index, without the file's size and time."""
        flags = set(flags)
        flags |= {"resampled"} if rate != settings.sample_rate else set()
        flags |= {"repeated"} if frames < settings.samples else set()
        own = (of_row - flags for of_row in self._of_rows)
        of_rows = {str(k): quality.words(more) for k, more in enumerate(own) if more}
        return Entry(
            0, 0, "", 0, frames, rate, self._digest.hexdigest(), quality.words(flags), of_rows
        )


def _notes(entry: Entry, settings: WaveSettings) -> Iterator[str]:
    """Yields warnings about a recording."""
    more = {
        "resampled": f": {entry.rate} Hz, converted to {settings.sample_rate}",
        "silent": " (is it the right channel?)",
        "constant": " (is it the right channel?)",
        "antiphase": " (config.data.channel)",
    }
    for flag in entry.flags.split():
        yield quality.MEANINGS[flag] + more.get(flag, "")
    if settings.long == "cut" and entry.frames > settings.samples:
        yield f"it is cut to {settings.clip_seconds:g} s (config.data.long: 'windows' keeps all)"
    if any(quality.no_sound(words) for words in entry.of_rows.values()):
        yield "it is silent in places, which are left out"
    if any("gaps" in words.split() for words in entry.of_rows.values()):
        yield quality.MEANINGS["gaps"]
