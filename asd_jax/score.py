"""Scores recordings: `python -m asd_jax.score --detector=RUN/detector PATH...`.

Takes audio files and folders, prints a table, and writes a CSV with --output. The exit status is 1
when a recording could not be read; the others are scored all the same.
"""

import os
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from asd_jax import commands
from asd_jax.errors import UserError

DETECTOR = flags.DEFINE_string("detector", None, "The folder `detector` of a finished run.")
OUTPUT = flags.DEFINE_string("output", None, "Write the scores to this CSV file too.")
MACHINE = flags.DEFINE_string(
    "machine",
    None,
    "TYPE/ID of the machine that is heard, where the paths do not tell it, for example pump/id_02.",
)
BATCH = 16  # clips scored at once

Group = tuple[str, str]


def main(argv: Sequence[str]) -> int:
    """Scores the paths in `argv[1:]`."""
    if not DETECTOR.value:
        raise UserError("give a detector: --detector=RUN/detector.")
    if len(argv) < 2:
        raise UserError("give recordings or folders to score.")
    from asd_jax.detector import load_detector

    detector = load_detector(DETECTOR.value)
    known = chosen_machine(MACHINE.value, detector.groups)
    paths = find_recordings(argv[1:])
    commands.prepare_jax()
    rows, unreadable = score_paths(detector, paths, known)
    print_table(rows)
    for path, reason in unreadable:
        print(f"not scored: {path}: {reason}", file=sys.stderr)
    if OUTPUT.value:
        from asd_jax.report.files import write_scores

        try:
            columns = [{k: v for k, v in row.items() if k != "percentile"} for row in rows]
            write_scores(OUTPUT.value, columns)
        except OSError as error:
            raise UserError(f"--output={OUTPUT.value}: {error.strerror}.") from error
    return 1 if unreadable else 0


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
        elif os.path.exists(path):
            found.append(path)
        else:
            raise UserError(f"{path} does not exist.")
    if not found:
        raise UserError(f"there is no recording in {', '.join(paths)}.")
    return found


def chosen_machine(name: str | None, groups: Sequence[Group]) -> Group | None:
    """The machine that --machine names, or None without it; raises UserError if it is unknown."""
    if name is None:
        return None
    for group in groups:
        if name in ("/".join(group), " ".join(group), group[0] if len(groups) == 1 else ""):
            return group
    known = ", ".join("/".join(group) for group in groups)
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


def score_paths(
    detector: Any, paths: Sequence[str], machine: Group | None = None
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Scores recordings, in batches; long ones window by window if the detector was made so.

    A recording whose machine is unknown gets the lowest of its candidates' scores above their
    thresholds: it is anomalous only if no machine explains it.

    Args:
        detector: `asd_jax.detector.Detector`.
        paths: audio files.
        machine: (type, ID) of all of them; None reads it off each path.

    Returns:
        rows as in scores.csv, with `percentile` besides, and (path, reason) of what is unreadable.
    """
    from asd_jax.data.decode import UnreadableError
    from asd_jax.recipes.corpus import wave_settings

    settings = wave_settings(detector.config.data)
    rows, unreadable = [], []
    pending: list[tuple[str, np.ndarray, list[int]]] = []
    for path in paths:
        try:
            windows = read_windows(path, settings)
        except UnreadableError as error:
            unreadable.append((path, error.reason))
            continue
        groups = detector.groups
        candidates = [groups.index(machine)] if machine else machines_of(path, groups)
        pending += [(name, wave, candidates) for name, wave in windows]
        while len(pending) >= BATCH:
            rows += detector.score(pending[:BATCH])
            pending = pending[BATCH:]
    if pending:
        rows += detector.score(pending)
    return rows, unreadable


def read_windows(path: str, settings: Any) -> list[tuple[str, np.ndarray]]:
    """The clips of a recording, int16, each with its name (`path#t=10,20` for a window)."""
    from asd_jax.data.clips import UNKNOWN, Clip
    from asd_jax.data.decode import read_wave

    wave = read_wave(path, sample_rate=settings.sample_rate, channel=settings.channel)
    starts, rows = settings.starts(len(wave)), settings.rows(wave)
    seconds, several = settings.clip_seconds, len(starts) > 1
    names = [
        Clip(
            path,
            "",
            "",
            split="test",
            label=UNKNOWN,
            start=start / settings.sample_rate,
            windowed=several,
            seconds=seconds,
        ).name
        for start in starts
    ]
    return list(zip(names, rows, strict=True))


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Prints one line a clip: the decision in a word, score, threshold, percentile, path."""
    if not rows:
        return
    print(f"{'':10}{'score':>9}{'threshold':>11}{'above normal':>14}  machine, recording")
    for row in rows:
        word = {1: "ANOMALOUS", 0: "normal"}.get(row["decision"], "?")
        share = row.get("percentile")
        above = "" if share is None or not np.isfinite(share) else f"{share:.0f} %"
        machine = f"{row['machine_type']} {row['machine_id']}".strip()
        print(
            f"{word:10}{row['score']:9.3f}{row['threshold']:11.3f}{above:>14}  "
            f"{machine}, {row['path']}"
        )


if __name__ == "__main__":
    commands.run(main)
