"""The files of a wave cache: rows that are written once, and an index that is only replaced.

The index names what is valid. It is written to a temporary file and renamed into place after the
rows it names have reached the disk, so a killed build leaves at worst rows that nobody names.

Every build writes its rows into a file of its own, of a name that no other has. So builds that no
lock keeps apart, as on hosts whose network drive has none, may do work twice, but never read each
other's sound.
"""

import collections
import concurrent.futures
import contextlib
import json
import os
import pathlib
import secrets
import shutil
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from asd_jax.data.decode import UnreadableError, decode, recording_seconds, why_unreadable
from asd_jax.data.wave_settings import WaveSettings
from asd_jax.errors import UserError
from asd_jax.files import locked, remove_leftovers, write_json, writing

_VERSION = 2
_FORGOTTEN = 86400.0  # seconds after which a data file that no index names is in nobody's hands
_SAVE_EVERY = 20.0  # seconds of decoding that a crash may cost
_SPARE = 64 * 2**20  # bytes to leave free on the disk
_RESAMPLER_TAIL = 0.1  # seconds read beyond a cut, so that no resampler's edge is in the clip


class Entry(NamedTuple):
    """A decoded file: what it was then, and where its rows are."""

    size: int  # bytes
    mtime_ns: int
    data: str  # the data file
    row: int  # its first row there
    frames: int  # decoded samples, before cutting or padding


class _Rows(NamedTuple):
    rows: np.ndarray
    frames: int
    rate: int
    clipped: int
    silent: bool


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

    def entry(self, path: str) -> tuple[int, int]:
        """First row and number of decoded samples of a file that `update` has made available."""
        entry = self._files[os.path.abspath(path)]
        names = list(self._data)
        before = sum(self._data[name] for name in names[: names.index(entry.data)])
        return before + entry.row, entry.frames

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
        """What the index names and what is there; nothing where it is absent, or not ours."""
        try:
            index = json.loads(self._index.read_text("utf-8"))
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
            frames = round(recording_seconds(path) * self.settings.sample_rate)
            return len(self.settings.starts(frames))
        except UnreadableError:
            return 0  # reported when it is decoded

    def _fill(self, todo: dict[str, tuple[int, int]], progress: bool) -> dict[str, str]:
        unreadable: dict[str, str] = {}
        notes = _Notes()
        self._remove_forgotten()
        name, rows_there = f"{secrets.token_hex(8)}.i16", 0
        with open(self.folder / name, "xb") as file:
            saved = time.monotonic()
            try:
                for path, rows in _decoded(list(todo), self.settings, progress):
                    if isinstance(rows, UnreadableError):
                        unreadable[path] = rows.reason
                        continue
                    file.write(rows.rows.tobytes())
                    entry = Entry(*todo[path], name, rows_there, rows.frames)
                    self._files[os.path.abspath(path)] = entry
                    rows_there += len(rows.rows)
                    self._data[name] = rows_there
                    notes.add(path, rows, self.settings)
                    if time.monotonic() - saved > _SAVE_EVERY:
                        self._keep(file)
                        saved = time.monotonic()
            finally:
                self._keep(file)
                if not rows_there:
                    (self.folder / name).unlink()
        notes.log(self.settings)
        return unreadable

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
    paths: list[str], settings: WaveSettings, progress: bool
) -> Iterator[tuple[str, _Rows | UnreadableError]]:
    """Decodes in threads (libsndfile works without the interpreter's lock), a few files ahead."""
    import soundfile  # noqa: F401  # imported once here, not by all threads at once
    import soxr  # noqa: F401
    from tqdm import tqdm

    workers = min(8, os.cpu_count() or 1)
    bar = tqdm(total=len(paths), desc="decoding", unit="clip", disable=not progress)
    ahead: collections.deque[tuple[str, concurrent.futures.Future]] = collections.deque()
    with bar, concurrent.futures.ThreadPoolExecutor(workers) as pool:
        try:
            for path in paths:
                ahead.append((path, pool.submit(_decode_rows, path, settings)))
                if len(ahead) > 2 * workers:
                    first, future = ahead.popleft()
                    yield first, future.result()
                    bar.update()
            while ahead:
                first, future = ahead.popleft()
                yield first, future.result()
                bar.update()
        finally:
            pool.shutdown(cancel_futures=True)


def _decode_rows(path: str, settings: WaveSettings) -> _Rows | UnreadableError:
    limit = settings.clip_seconds + _RESAMPLER_TAIL if settings.long == "cut" else None
    try:
        wave, rate, clipped = decode(
            path,
            sample_rate=settings.sample_rate,
            channel=settings.source_channel,
            max_seconds=limit,
        )
    except UnreadableError as error:
        return error
    if not len(wave):
        return UnreadableError(path, "it is shorter than one sample")
    return _Rows(settings.rows(wave), len(wave), rate, clipped, not wave.any())


class _Notes:
    """What happened to the recordings on the way, to be told once and not once a file."""

    def __init__(self) -> None:
        self._paths: dict[str, list[str]] = {}

    def add(self, path: str, rows: _Rows, settings: WaveSettings) -> None:
        """Takes note of one recording."""
        if rows.rate != settings.sample_rate:
            what = f"at {rows.rate} Hz were resampled to {settings.sample_rate} Hz"
            self._paths.setdefault(what, []).append(path)
        if settings.long == "cut" and rows.frames > settings.samples:
            what = (
                f"were cut to {settings.clip_seconds:g} s (config.data.long: 'windows' keeps all)"
            )
            self._paths.setdefault(what, []).append(path)
        if rows.frames < settings.samples:
            what = f"were repeated to fill {settings.clip_seconds:g} s"
            self._paths.setdefault(what, []).append(path)
        if rows.clipped:
            self._paths.setdefault("went beyond full scale and were clipped", []).append(path)
        if rows.silent:
            self._paths.setdefault("are silent (is it the right channel?)", []).append(path)

    def log(self, settings: WaveSettings) -> None:
        """Says each thing once, with a count and the first file."""
        for what, paths in self._paths.items():
            count = f"{len(paths)} of them, the first " if len(paths) > 1 else "one, "
            logging.warning("Recordings %s: %s%s.", what, count, paths[0])
