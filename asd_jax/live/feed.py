"""What fills the monitor's board: live sound, or the recordings of a folder."""

import contextlib
import datetime
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from asd_jax.data.decode import UnreadableError, recording_seconds
from asd_jax.live.alarm import Alarms
from asd_jax.live.board import Board
from asd_jax.live.pcm import Pcm
from asd_jax.live.recordings import ClipScorer, Piece, Row, read_pieces, stamp
from asd_jax.live.stream import StreamScorer, chunks, sentence, utc


def stream(
    clip_scorer: ClipScorer,
    board: Board,
    pcm: Pcm,
    descriptor: int,
    gap: float,
    stopped: Callable[[], bool],
    settings: dict[str, Any],
) -> None:
    """Puts a stream on the board, to its end; `settings` are those of `StreamScorer`."""

    def scored(row: Row, piece: Piece) -> None:
        time = utc().isoformat(timespec="seconds")
        board.score({"time": time} | clip_scorer.in_clip(row, piece), piece.wave)

    stream_scorer = StreamScorer(clip_scorer, pcm, heard=board.hear, scored=scored, **settings)
    stream_scorer.warm_up()
    for event in stream_scorer.listen(chunks(descriptor, gap=gap, stopped=stopped)):
        if event["event"] != "window":
            board.note(sentence(event), paused=event["event"] != "resumed")


def recordings(
    clip_scorer: ClipScorer,
    board: Board,
    groups: Iterable[Sequence[str]],
    alarms: Alarms,
    lock: threading.Lock,
    finished: Callable[[str], None] = lambda path: None,
) -> None:
    """Puts recordings on the board, as they become ready; `finished` is told of each at its end."""
    for ready in groups:
        for path in ready:
            try:
                began = recorded(path)
                for piece in read_pieces(clip_scorer, path):
                    with lock:
                        (row,) = clip_scorer.rows([piece])
                    row |= alarms.update(row)
                    board.hear(piece.wave)
                    at = began + datetime.timedelta(seconds=piece.start)
                    time = at.isoformat(timespec="seconds")
                    board.score({"time": time} | clip_scorer.in_clip(row, piece), piece.wave)
            except UnreadableError as error:
                board.note(f"Not scored: {path}: {error.reason}")
            finished(path)


def recorded(path: str) -> datetime.datetime:
    """When a recording began: as its name says (`recordings.stamp`), else by its last change."""
    if found := stamp(path):
        return found.astimezone()
    seconds = 0.0
    with contextlib.suppress(UnreadableError):
        seconds = recording_seconds(path)
    try:
        end = os.stat(path).st_mtime
    except OSError:  # it is gone; reading it says so
        return utc()
    return datetime.datetime.fromtimestamp(end - seconds, datetime.UTC)
