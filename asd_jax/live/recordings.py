"""Which recordings are scored, as which machine, and their rows."""

import contextlib
import dataclasses
import datetime
import math
import os
import pathlib
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from asd_jax.errors import UserError
from asd_jax.naming import machine_name
from asd_jax.report.contents import Picture
from asd_jax.report.region import find_region
from asd_jax.report.why import describe, edges

if TYPE_CHECKING:  # it brings jax
    from asd_jax.detector import Detector

BATCH = 16  # clips scored at once
STDIN = "-"

Group = tuple[str, str]
Row = dict[str, Any]


class Unreadable(NamedTuple):
    """A recording that can't be scored, and why."""

    path: str
    reason: str


def find_recordings(paths: Sequence[str]) -> list[str]:
    """The files named, and every recording below the folders named, sorted.

    Raises:
        UserError: a path is not there, or none holds a recording.
    """
    from asd_jax.data.layouts.files import audio_files

    found: list[str] = []
    for path in paths:
        if os.path.isdir(path):
            found += [os.fspath(file.path) for file in audio_files(pathlib.Path(path))]
        elif path == STDIN or os.path.exists(path):
            found.append(path)
        else:
            raise UserError(f"{path} does not exist.")
    if not found:
        raise UserError(f"there is no recording in {', '.join(paths)}.")
    if found.count(STDIN) > 1:
        raise UserError("standard input (-) can be read only once; name it once.")
    return found


def chosen_machine(name: str | None, groups: Sequence[Group]) -> Group | None:
    """The machine that --machine names, or None without it; raises UserError if it is unknown."""
    if name is None:
        return None
    for group in groups:
        shown = machine_name(group, groups)
        if name in ("/".join(group), " ".join(group), shown, group[0] if len(groups) == 1 else ""):
            return group
    known = ", ".join(
        group[0] if machine_name(group, groups) == group[0] else "/".join(group) for group in groups
    )
    raise UserError(f"--machine={name} is not known to this detector; it knows {known}.")


def machines_of(path: str, groups: Sequence[Group]) -> list[int]:
    """The machines that a recording may be of, by the words of its path: one if it tells, else all.

    `0_dB_fan/id_00/normal/1.wav` and `fan/test/normal_id_00_1.wav` both tell fan id_00.
    """
    parts = os.path.abspath(path).split(os.sep)
    text = "/".join(parts)

    def told(word: str) -> bool:
        return bool(re.search(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", text))

    def told_id(name: str) -> bool:
        # A bare number, as in id_00 or section_00, could be any number of the path.
        return told(f"id_{name}") or told(f"section_{name}") or name in parts

    by_type = [g for g, (kind, _) in enumerate(groups) if told(kind)] or list(range(len(groups)))
    return [g for g in by_type if groups[g][1] and told_id(groups[g][1])] or by_type


_STAMP = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?(\d\d)[-_.]?(\d\d)[-_ T.]{0,3}(\d\d)[-_.:h]?(\d\d)"
    r"(?:[-_.:m]?(\d\d))?(?!\d)"
)


def stamp(path: str) -> datetime.datetime | None:
    """The local time that a recording's name tells, to the minute at least; None where it has none.

    20240131_142530, 2024-01-31T14.25.30 and 2024-01-31 14h25 are such names.
    """
    for found in _STAMP.finditer(os.path.basename(path)):
        with contextlib.suppress(ValueError):  # digits that are no date
            year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
            return datetime.datetime(year, month, day, hour, minute, second)
    return None


class Piece(NamedTuple):
    """A clip of a recording, to be scored."""

    name: str  # `path`, or `path#t=10,20` for a window
    wave: np.ndarray  # int16 [samples]
    candidates: Sequence[int]  # indices of the machines that it may be of
    start: float  # seconds from the start of its recording
    quality: str = ""  # `data.quality.words` of what is wrong with it


class ClipScorer:
    """A detector with the machine that it hears, where that is known."""

    def __init__(self, detector: "Detector", machine: Group | None = None, *, locate: bool = True):
        """Args: of `load_detector`; (type, ID) of all clips; whether to find departures."""
        self.detector = detector
        self.machine = machine
        self.locate = locate

    def candidates(self, path: str = "") -> list[int]:
        """Indices of the machines that a recording may be of; '' for one without a path."""
        groups = self.detector.groups
        if self.machine:
            return [groups.index(self.machine)]
        return machines_of(path, groups) if path else list(range(len(groups)))

    def rows(self, pieces: Sequence[Piece]) -> list[Row]:
        """A row for each piece: as in scores.csv, `percentile`, and where it departs most.

        What is no sound, and what got no number, has neither score nor decision.
        """
        from asd_jax.data import quality

        found = self.detector.score([piece[:3] for piece in pieces])
        for row, piece in zip(found, pieces, strict=True):
            scored = np.isfinite(row["score"]) and not quality.no_sound(piece.quality)
            flags = set(piece.quality.split())
            if self.locate:
                shown = self._picture(row, piece)
                row |= where(shown, piece.start)
            else:
                shown = self.detector.picture(piece.wave, self.group(row))
            if scored:
                flags |= quality.of_level(louder(shown))
            if not scored:
                row |= _unknown(row)
            row["quality"] = quality.words(flags)
        return found

    def in_clip(self, row: Row, piece: Piece) -> Row:
        """The row with its times counted from the start of the clip, as its sound has them."""
        if row["departs_from_s"] is None and not row["why"]:
            return row
        return row | where(self._picture(row, piece))

    def _picture(self, row: Row, piece: Piece) -> Picture:
        group = self.group(row)
        heard = self.detector.heard(piece.wave, row, group)
        return self.detector.picture(piece.wave, group, heard)

    def group(self, row: Row) -> int:
        """The index of a row's machine, -1 where it is none that the detector knows."""
        groups = list(self.detector.groups)
        machine = (row["machine_type"], row["machine_id"])
        return groups.index(machine) if machine in groups else -1


def louder(shown: Picture) -> float:
    """How much louder than the training a clip is, in dB: as by another gain or distance."""
    return float(np.mean(shown.spectrogram.mean(axis=1) - np.asarray(shown.normal_db)))


COLUMNS = ("departs_from_s", "departs_to_s", "departs_from_hz", "departs_to_hz", "departs_by")


def where(shown: Picture, start: float = 0.0) -> Row:
    """The range that departs most, as the columns `COLUMNS` of a row, and `why`, in words.

    It is the rectangle of `report.region.find_region`, the one that a report frames: of all
    rectangles the one with the largest (|mean| - 1) sqrt(area), in standard deviations and bins.

    Args:
        shown: the whole clip.
        start: of the clip in its recording or stream, in seconds.

    Returns:
        the times in seconds of the recording, the frequencies in Hz, and `departs_by`, the mean
        over the rectangle in standard deviations: above 0 is louder than normal; all None where
        nothing departs.
    """
    region = find_region(shown.deviation)
    said = {"why": describe(shown, region, start)}
    if region is None or shown.audio is None:
        return dict.fromkeys(COLUMNS) | said
    # Half of the first and of the last frame lie outside of the clip.
    length = len(shown.audio) / shown.sample_rate
    times = np.clip(edges(shown.frame_times, region.frames), 0.0, length) + start
    hertz = np.clip(edges(shown.mel_frequencies, region.mels), 0.0, shown.sample_rate / 2)
    ends = (*(round(float(t), 3) for t in times), *(round(float(f), 1) for f in hertz))
    return dict(zip(COLUMNS, (*ends, round(region.mean, 2)), strict=True)) | said


def _unknown(row: Row) -> Row:
    """What a row says in place of a score, in the same columns."""
    from asd_jax.data.table import UNKNOWN

    nothing = {key: None for key in row if key.startswith("departs_")}
    numbers = [key for key in row if key.startswith("score") or key in ("percentile", "tail")]
    nothing |= dict.fromkeys(numbers, math.nan)
    return nothing | {"decision": UNKNOWN} | ({"why": ""} if "why" in row else {})


def score_paths(
    detector: "Detector", paths: Sequence[str], machine: Group | None = None
) -> tuple[list[Row], list[tuple[str, str]]]:
    """Scores recordings, as `score_each` does.

    Returns:
        rows as in scores.csv with `percentile` besides, and (path, reason) of what is unreadable.
    """
    rows: list[Row] = []
    unreadable: list[tuple[str, str]] = []
    for found in score_each(ClipScorer(detector, machine, locate=False), paths):
        if isinstance(found, Unreadable):
            unreadable.append((found.path, found.reason))
        else:
            rows.append(found)
    return rows, unreadable


def score_each(
    clip_scorer: ClipScorer, paths: Iterable[str], *, stdin: BinaryIO | None = None
) -> Iterator[Row | Unreadable]:
    """Scores recordings, in batches; long ones window by window, to their end.

    A recording whose machine is unknown gets the lowest of its candidates' scores above their
    thresholds: it is anomalous only if no machine explains it.

    Args:
        clip_scorer: judges; its machine is that of all recordings, None reads it off each path.
        paths: audio files; `-` is a whole audio file on `stdin`.
        stdin: what `-` is read from.

    Yields:
        a row for each clip, and an `Unreadable` for each recording that can't be read.
    """
    from asd_jax.data.decode import UnreadableError

    pending: list[Piece] = []
    for path in paths:
        try:
            for piece in read_pieces(clip_scorer, path, stdin):
                pending.append(piece)
                if len(pending) == BATCH:
                    yield from clip_scorer.rows(pending)
                    pending = []
        except UnreadableError as error:
            yield Unreadable(path, error.reason)
    if pending:
        yield from clip_scorer.rows(pending)


def read_pieces(
    clip_scorer: ClipScorer, path: str, stdin: BinaryIO | None = None
) -> Iterator[Piece]:
    """The clips of a recording, as it is read; see `read_windows`."""
    settings = clip_scorer.detector.config.data
    candidates = clip_scorer.candidates(path)
    with contextlib.ExitStack() as stack:
        source = path
        if path == STDIN:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            source = os.path.join(folder, "recording")
            # Closed before it is read: Windows opens no file a second time.
            with open(source, "wb") as file:
                shutil.copyfileobj(stdin or sys.stdin.buffer, file)
        yield from read_windows(source, settings, candidates, name=path)


def read_windows(
    path: str, settings: Any, candidates: Sequence[int], *, name: str | None = None
) -> Iterator[Piece]:
    """The clips of a recording, to its end, a block in memory at a time.

    A recording that is cut off is read as far as it goes; its rows say so.

    Args:
        path: the file.
        settings: `asd_jax.data.cache.WaveSettings`; `long` does not count.
        candidates: the machines that it may be of, as the detector numbers them.
        name: what the recording is called in its rows; None: its path.

    Raises:
        UnreadableError: (a UserError) with the reason, where it turns out.
    """
    from asd_jax.data import quality
    from asd_jax.data.clips import UNKNOWN, Clip
    from asd_jax.data.decode import Recording

    settings = dataclasses.replace(settings, long="windows")
    recording = Recording(
        path,
        sample_rate=settings.sample_rate,
        channel=settings.source_channel,
        longest=settings.longest_hours,
        partial=True,
    )
    clip = Clip(name or path, "", "", split="test", label=UNKNOWN, seconds=settings.clip_seconds)
    total = 0

    def counted(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        nonlocal total
        for block in blocks:
            total += len(block)
            yield block

    for first, wave, several in settings.windows(counted(recording.blocks())):
        start = first / settings.sample_rate
        flags = set(recording.flags)
        flags |= {"resampled"} if recording.rate != settings.sample_rate else set()
        flags |= {"repeated"} if total < settings.samples else set()
        flags |= quality.of_clip(wave, settings.sample_rate)
        of = dataclasses.replace(clip, start=start, windowed=several)
        yield Piece(of.name, wave, candidates, start, quality.words(flags))
