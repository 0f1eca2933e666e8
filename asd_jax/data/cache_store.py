"""The files of a wave cache: rows that are only ever appended, and an index that is only replaced.

The index names what is valid. It is written to a temporary file and renamed into place after the
rows it names have reached the disk, so a killed build leaves at worst rows that nobody names, and
the next build cuts them off.
"""

import collections
import concurrent.futures
import contextlib
import errno
import hashlib
import json
import os
import pathlib
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
from asd_jax.files import locked, write_json

_VERSION = 2
_SAVE_EVERY = 20.0  # seconds of decoding that a crash may cost
_SPARE = 64 * 2**20  # bytes to leave free on the disk
_LARGE = 16 * 2**20  # bytes of a recording of which not all rows are held at once
_STRIDE = 16  # every so-manieth sample is hashed: who finds equal hashes compares the rows
_RESAMPLER_TAIL = 0.1  # seconds read beyond a cut, so that no resampler's edge is in the clip


class Entry(NamedTuple):
    """A decoded file: what it was then, and where its rows are."""

    size: int  # bytes
    mtime_ns: int
    row: int  # its first row
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
    """One data file and one index, for one `WaveSettings`, in one folder."""

    def __init__(self, folder: pathlib.Path, settings: WaveSettings):
        self.folder = folder
        self.settings = settings
        self.data = folder / "waves.i16"
        self._index = folder / "index.json"
        self._files: dict[str, Entry] = {}
        self._rows = 0
        self._load()

    def entry(self, path: str) -> Entry:
        """A file that `update` has made available."""
        return self._files[os.path.abspath(path)]

    def log_notes(self, paths: list[str]) -> None:
        """Says what happened to these recordings on the way: each thing once, not once a file."""
        notes: dict[str, list[str]] = {}
        for path in paths:
            for what in _notes(self.entry(path), self.settings):
                notes.setdefault(what, []).append(path)
        for what, of in notes.items():
            count = f"{len(of)} of them, the first " if len(of) > 1 else "one, "
            logging.warning("Recordings %s: %s%s.", what, count, of[0])

    def update(self, paths: list[str], *, progress: bool = False) -> dict[str, str]:
        """Decodes the new and changed files among `paths`; returns reasons for unreadable ones."""
        if not self._stale(paths)[0]:
            return self._stale(paths)[1]
        with _writing(self.folder), locked(self.folder / "lock"):
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

    def _load(self) -> None:
        self._files, self._rows = {}, 0
        try:
            index = json.loads(self._index.read_text("utf-8", "surrogateescape"))
            if index["version"] != _VERSION:
                return
            if self.data.stat().st_size < index["rows"] * self._row_bytes():
                return
            self._files = {path: Entry(*entry) for path, entry in index["files"].items()}
            self._rows = index["rows"]
        except (OSError, ValueError, KeyError, TypeError):
            return  # absent, or not ours: everything is decoded anew

    def _save(self) -> None:
        index = {"version": _VERSION, "rows": self._rows, "files": self._files}
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
        if not self._rows:  # never shorten rows that a process may have mapped: begin a new file
            self.data.unlink(missing_ok=True)
        with open(self.data, "r+b" if self._rows else "xb") as file:
            file.truncate(self._rows * self._row_bytes())
            file.seek(0, os.SEEK_END)
            saved = time.monotonic()
            try:
                for path, parts in _decoded(todo, self.settings, progress):
                    try:
                        self._append(file, path, parts, todo[path])
                    except UnreadableError as error:
                        unreadable[path] = error.reason
                    if time.monotonic() - saved > _SAVE_EVERY:
                        self._keep(file)
                        saved = time.monotonic()
            finally:
                self._keep(file)
        return unreadable

    def _append(
        self, file: BinaryIO, path: str, parts: Iterable[_Rows], state: tuple[int, int]
    ) -> None:
        """Writes a recording's rows, which count once all of them are there."""
        count = 0
        try:
            for part in parts:
                file.write(np.ascontiguousarray(part.rows))
                count += len(part.rows)
                if part.entry:
                    size, mtime = state
                    entry = part.entry._replace(size=size, mtime_ns=mtime, row=self._rows)
                    self._files[os.path.abspath(path)] = entry
                    self._rows += count
        except UnreadableError:
            file.seek(self._rows * self._row_bytes())
            file.truncate()
            raise

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

    def first() -> tuple[str, Iterable[_Rows]]:
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
                    yield first()
            while ahead:
                yield first()
        finally:
            pool.shutdown(cancel_futures=True)


def _raising(rows: _Rows | UnreadableError) -> Iterator[_Rows]:
    if isinstance(rows, UnreadableError):
        raise rows
    yield rows


def _decode_rows(path: str, settings: WaveSettings) -> _Rows | UnreadableError:
    limit = settings.clip_seconds + _RESAMPLER_TAIL if settings.long == "cut" else None
    try:
        wave, rate, _, flags = decode(
            path,
            sample_rate=settings.sample_rate,
            channel=settings.channel,
            max_seconds=limit,
            longest=settings.longest_hours,
        )
    except UnreadableError as error:
        return error
    rows = settings.rows(wave)
    counted = wave[: settings.samples] if settings.long == "cut" else wave
    about = _About()
    about.heard(counted)
    if len(rows) > 1:  # of a single one, the recording's flags have said all
        about.seen(rows)
    return _Rows(rows, about.entry(len(wave), rate, flags, settings))


def _large_rows(path: str, settings: WaveSettings) -> Iterator[_Rows]:
    """The rows of a recording as it is read; raises UnreadableError."""
    recording = Recording(
        path,
        sample_rate=settings.sample_rate,
        channel=settings.channel,
        longest=settings.longest_hours,
    )
    about = _About()
    blocks = map(about.heard, recording.blocks())
    for _, row, _ in settings.windows(blocks):
        about.seen(row[None])
        yield _Rows(row[None])
    nothing = np.zeros((0, settings.samples), np.int16)
    yield _Rows(nothing, about.entry(about.frames, recording.rate, recording.flags, settings))


class _About:
    """What is kept of a recording beside its rows."""

    def __init__(self) -> None:
        self.frames = 0
        self._digest = hashlib.blake2b(digest_size=16)
        self._of_rows: list[set[str]] = []

    def heard(self, wave: np.ndarray) -> np.ndarray:
        self._digest.update(np.ascontiguousarray(wave[-self.frames % _STRIDE :: _STRIDE]))
        self.frames += len(wave)
        return wave

    def seen(self, rows: np.ndarray) -> None:
        self._of_rows += [quality.of_clip(row) for row in rows]

    def entry(self, frames: int, rate: int, flags: Iterable[str], settings: WaveSettings) -> Entry:
        """What is to be remembered, but for the file's size and time."""
        flags = set(flags)
        flags |= {"resampled"} if rate != settings.sample_rate else set()
        flags |= {"repeated"} if frames < settings.samples else set()
        own = (of_row - flags for of_row in self._of_rows)
        of_rows = {str(k): quality.words(more) for k, more in enumerate(own) if more}
        return Entry(0, 0, 0, frames, rate, self._digest.hexdigest(), quality.words(flags), of_rows)


def _notes(entry: Entry, settings: WaveSettings) -> Iterator[str]:
    """What a user should know of a recording, in words that follow 'Recordings'."""
    said = {
        "resampled": f"at {entry.rate} Hz were resampled to {settings.sample_rate} Hz",
        "repeated": f"were repeated to fill {settings.clip_seconds:g} s",
        "clipped": "went beyond full scale and were clipped",
        "silent": "are silent (is it the right channel?)",
        "constant": "are one constant value (is it the right channel?)",
        "short": "are shorter than 0.1 s",
        "dead_channel": "have a channel that is silent",
        "antiphase": "have channels that cancel each other in their mean (config.data.channel)",
        "unfinished": "have a header that was not finished, and were read to the end",
    }
    flags = entry.flags.split()
    yield from (what for flag, what in said.items() if flag in flags)
    if settings.long == "cut" and entry.frames > settings.samples:
        yield f"were cut to {settings.clip_seconds:g} s (config.data.long: 'windows' keeps all)"
    if any(quality.no_sound(more) for more in entry.of_rows.values()):
        yield "are silent in places, which are left out"


@contextlib.contextmanager
def _writing(folder: pathlib.Path) -> Iterator[None]:
    """Makes the folder; turns a disk that is full or may not be written into a UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            what = "the disk is full; what was decoded is kept"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            what = error.strerror
        else:
            raise
        raise UserError(
            f"The cache {folder} can't be written ({what}); set config.data.cache to a folder "
            "with room."
        ) from error
