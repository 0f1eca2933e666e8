"""Every recording decoded once, as rows of memory-mapped int16 files.

A 10-s clip at 16 kHz is 320 kB here, an eighth of an eight-channel MIMII wav; reading it back is
a copy from the page cache. A directory may serve many data sets and settings; deleting it is always
safe. `wave_settings.py` says how long a row is, `cache_store.py` keeps the files.
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int16

from asd_jax.data.cache_store import Store
from asd_jax.data.table import Clip
from asd_jax.data.wave_settings import WaveSettings

_OF_WINDOWS = ("start", "windowed", "seconds", "quality")  # fields of a Clip that decoding tells


class WaveCache:
    """Rows of the cache files by position: int16 waveforms, one per clip. Picklable."""

    def __init__(
        self,
        data: str | os.PathLike[str] | Sequence[tuple[str, int]],
        rows: np.ndarray,
        samples: int,
    ):
        """Takes the files and which of their rows to read.

        Args:
            data: the data file, or several, each with its number of rows.
            rows: of each clip, int `[clips]`, counted through all data files.
            samples: in a row.
        """
        self.rows = np.asarray(rows, np.int64)
        self.samples = samples
        if isinstance(data, str | os.PathLike):
            data = ((os.fspath(data), int(self.rows.max()) + 1 if len(self.rows) else 0),)
        self.data = tuple(data)
        self._maps: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Int16[np.ndarray, " samples"]:
        return self.gather([index])[0]

    def gather(self, indices: Sequence[int] | np.ndarray) -> Int16[np.ndarray, "batch samples"]:
        """The waveforms at `indices` `[batch]`, in one copy; IndexError beyond the last clip."""
        rows = self.rows[np.asarray(indices, np.int64)]
        ends = np.cumsum([count for _, count in self.data])
        place = np.searchsorted(ends, rows, side="right")
        if len(found := np.unique(place).tolist()) == 1:
            return np.take(self._mapped(found[0]), rows - self._begin(found[0]), axis=0)
        waves = np.empty((len(rows), self.samples), np.int16)
        for number in found:
            own = place == number
            waves[own] = np.take(self._mapped(number), rows[own] - self._begin(number), axis=0)
        return waves

    def _begin(self, number: int) -> int:
        return sum(count for _, count in self.data[:number])

    def _mapped(self, number: int) -> np.ndarray:
        if number not in self._maps:  # opened where it is used: a worker process maps it itself
            path, count = self.data[number]
            shape = (count, self.samples)
            self._maps[number] = np.memmap(path, np.int16, mode="r", shape=shape)
        return self._maps[number]

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_maps": {}}


@dataclasses.dataclass(frozen=True)
class CachedClips:
    """The clips that could be decoded, and where their waveforms are."""

    clips: tuple[Clip, ...]  # clips[k] sounds like waves[k]
    waves: WaveCache
    unreadable: tuple[tuple[str, str], ...]  # (path, reason), of the rest
    digests: Mapping[str, str] = dataclasses.field(default_factory=dict)  # of the sound, by path

    def __len__(self) -> int:
        return len(self.clips)

    def only(self, kept: Sequence[int]) -> "CachedClips":
        """Returns these clips alone."""
        waves = WaveCache(self.waves.data, self.waves.rows[list(kept)], self.waves.samples)
        return dataclasses.replace(self, clips=tuple(self.clips[k] for k in kept), waves=waves)

    def under(self, table: Sequence[Clip]) -> "CachedClips":
        """Returns the clips of these of its whole recordings, with the uses that they have here."""
        found, places = [], self.places
        for clip in table:
            for k in places[clip.path]:
                own = self.clips[k]
                window = {name: getattr(own, name) for name in _OF_WINDOWS}
                found.append((k, dataclasses.replace(clip, **window)))
        kept = self.only([k for k, _ in found])
        return dataclasses.replace(kept, clips=tuple(clip for _, clip in found))

    @property
    def places(self) -> dict[str, list[int]]:
        """Which of the clips each recording has, by its path."""
        found: dict[str, list[int]] = {}
        for k, clip in enumerate(self.clips):
            found.setdefault(clip.path, []).append(k)
        return found


def open_cache(
    clips: Sequence[Clip],
    directory: str | os.PathLike[str],
    settings: WaveSettings,
    *,
    progress: bool = False,
) -> CachedClips:
    """Decodes what is new or changed (by size and time) and maps the rest.

    Several processes may open one directory at once: one decodes, the others wait for it. A build
    that was killed goes on from where it last saved.

    Args:
      clips: whole recordings; with `settings.long` 'windows' each long one becomes several clips.
        Windows made by an earlier call are found again.
      directory: made if absent; a sub-folder for each `settings`.
      settings: how recordings become rows.
      progress: shows a progress bar while decoding.

    Returns:
      The readable clips, in the order given. Unreadable ones are listed, never raised.

    Raises:
      UserError: the directory can't be written, or its disk has too little room.
    """
    store = Store(pathlib.Path(directory).expanduser() / settings.folder, settings)
    paths = list(dict.fromkeys(clip.path for clip in clips))
    unreadable = store.update(paths, progress=progress)
    kept: list[Clip] = []
    rows: list[int] = []
    for clip in clips:
        if clip.path in unreadable:
            continue
        entry = store.entry(clip.path)
        windows = [
            (k, dataclasses.replace(window, quality=words) if (words := entry.words(k)) else window)
            for k, window in _windows(clip, settings, entry.frames)
        ]
        if not windows:
            unreadable[clip.path] = f"it has no window at {clip.start:g} s"
        kept += [window for _, window in windows]
        rows += [entry.row + k for k, _ in windows]
    waves = WaveCache(store.data, np.array(rows, np.int64), settings.samples)
    readable = [path for path in paths if path not in unreadable]
    store.log_notes(readable)
    digests = {path: store.entry(path).digest for path in readable}
    return CachedClips(tuple(kept), waves, tuple(unreadable.items()), digests)


def _windows(clip: Clip, settings: WaveSettings, frames: int) -> list[tuple[int, Clip]]:
    """The clips of a recording and their positions among its rows."""
    starts = settings.starts(frames)
    if len(starts) == 1 and not clip.windowed:
        return [(0, clip)]
    windows = [
        dataclasses.replace(
            clip,
            start=start / settings.sample_rate,
            windowed=True,
            seconds=settings.clip_seconds,
        )
        for start in starts
    ]
    return [(k, w) for k, w in enumerate(windows) if not clip.windowed or w == clip]
