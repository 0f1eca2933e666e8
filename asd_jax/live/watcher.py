"""A growing folder: each recording is given out once, when it has been written whole."""

import os
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from absl import logging

from asd_jax.data import foreign
from asd_jax.data.layouts.files import files_below, is_audio

SHARE = 0.04  # of a core's time that looking may take
State = tuple[int, int]  # size in bytes, time of the last change in ns


class Watcher:
    """Recordings of a folder that are new and no longer grow.

    A file is given out when its size and its time of change have been the same for `settle`
    seconds. It is given out again only if it has changed since: a recorder's `latest.wav`, or a
    file whose writer paused for longer than that.
    """

    def __init__(
        self,
        folder: str,
        *,
        settle: float = 2.0,
        skip_existing: bool = False,
        given: Mapping[str, State] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Makes ready for the first look.

        Args:
            folder: is watched, with what lies below it.
            settle: see above, in s.
            skip_existing: whether what lies there now counts as given out.
            given: what was given out before, by an earlier program.
            clock: in s.
        """
        self.folder = folder
        self.settle = settle
        self._clock = clock
        self.away = False  # the folder itself
        self._said = self._told = False  # what is left out; once, not at every look
        self._since: dict[str, tuple[State, float]] = {}  # what is seen, and since when
        self._given: dict[str, State] = dict(given or {})
        if skip_existing:
            self._given |= self._look() or {}

    def ready(self) -> list[str]:
        """The recordings that became ready since the last call, oldest change first."""
        now, seen = self._clock(), self._look()
        if seen is None:  # a share or a disk that is away for a while: nothing is forgotten
            return []
        self._since = {
            path: self._since[path] if self._since.get(path, (None,))[0] == state else (state, now)
            for path, state in seen.items()
        }
        # What was deleted is forgotten, or an endless watch would remember all it ever saw.
        self._given = {path: state for path, state in self._given.items() if path in seen}
        new = [
            (state[1], path)
            for path, (state, since) in self._since.items()
            if self._given.get(path) != state and now - since >= self.settle and state[0] > 0
        ]
        self._given |= {path: seen[path] for _, path in new}
        return [path for _, path in sorted(new)]

    def state(self, path: str) -> State:
        """What a recording was when it was given out."""
        return self._given.get(path, (0, 0))

    def _look(self) -> dict[str, State] | None:
        """The recordings that are there; None while the folder itself is away."""
        self.away = not os.path.isdir(self.folder)
        if self.away:
            return None
        found, others = {}, []
        files = files_below(pathlib.Path(self.folder), say=not self._said)
        self._said = True
        for file in files:
            if not is_audio(file.name):
                others.append(file.path)
                continue
            try:
                about = os.stat(file.path)
            except OSError:  # deleted or moved since the folder was read
                continue
            found[file.path] = (about.st_size, about.st_mtime_ns)
        if not self._told and (sentence := foreign.ignored(others)):
            logging.warning("%s", sentence)
            self._told = True
        return found


def watch(
    watcher: Watcher, *, poll: float, wait: Callable[[float], bool]
) -> Iterator[Sequence[str]]:
    """Recordings as they become ready, in groups, until `wait` says to stop.

    It waits for `poll` seconds, and longer where a look into a folder of very many files would
    take more than `SHARE` of a core.
    """
    while True:
        began = time.thread_time()
        ready = watcher.ready()
        pause = max(poll, (time.thread_time() - began) / SHARE)
        if ready:
            yield ready
        if wait(pause):
            return
