"""What a set of scored recordings comes to: an answer in sentences, and a page to look at."""

import dataclasses
import datetime
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from asd_jax.live.recordings import (
    STDIN,
    ClipScorer,
    Piece,
    Row,
    Unreadable,
    read_pieces,
    stamp,
)
from asd_jax.naming import machine_name

if TYPE_CHECKING:  # it brings jax
    from asd_jax.detector import Detector

SHOWN = 8  # of the most anomalous clips, to see and hear
FEW = 20  # healthy clips, below which a threshold is called rough
WRONG = 4  # more of them that labels call missed, and as many false alarms


def sentences(
    rows: Sequence[Mapping[str, Any]],
    unreadable: Sequence[Unreadable],
    machines: Sequence[tuple[str, str]],
) -> tuple[str, ...]:
    """The answer: how many are anomalous, by machine if several; what could not be judged.

    Args:
        rows: of scored clips, with the labels that their paths tell.
        unreadable: what could not be read.
        machines: that the detector knows.
    """
    judged = [row for row in rows if row["decision"] in (0, 1)]
    found = [_count(judged)] if judged else ["Nothing could be judged."]
    by_machine: dict[tuple[str, str], list] = {}
    for row in judged:
        by_machine.setdefault((row["machine_type"], row["machine_id"]), []).append(row)
    if len(by_machine) > 1:
        told = [
            f"{machine_name(group, machines)} {_over(own)} of {len(own)}"
            for group, own in by_machine.items()
        ]
        found.append(f"By machine: {', '.join(told)}.")
    if len(judged) < len(rows):
        unknown = len(rows) - len(judged)
        found.append(f"{unknown} unknown: no sound to judge, or no threshold to judge it by.")
    if unreadable:
        found.append(f"{len(unreadable)} could not be read.")
    return (*found, *_by_label(judged), *_rough(judged))


def _rough(judged: Sequence[Mapping[str, Any]]) -> list[str]:
    """That few healthy clips have set the threshold."""
    clips = min((row.get("healthy_clips") or FEW for row in judged), default=FEW)
    if clips >= FEW:
        return []
    return [
        f"The threshold comes from only {clips} healthy clips, so it is rough: compare the scores, "
        "too, and record more."
    ]


def _count(judged: Sequence[Mapping[str, Any]]) -> str:
    over = [row for row in judged if row["decision"] == 1]
    windows = any("#t=" in row["path"] for row in judged)
    if not windows:
        return f"{len(over)} of {len(judged)} anomalous."
    recordings, hit = (len({recording_of(row["path"]) for row in r}) for r in (judged, over))
    return f"{len(over)} of {len(judged)} clips anomalous, in {hit} of {recordings} recordings."


def _over(rows: Sequence[Mapping[str, Any]]) -> int:
    return sum(row["decision"] == 1 for row in rows)


def _by_label(judged: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the labels in the paths make of it: missed faults and false alarms."""
    faulty, healthy = ([row for row in judged if row["label"] == k] for k in (1, 0))
    found = []
    if faulty:
        caught = _over(faulty)
        found.append(
            f"Of {len(faulty)} faulty by their folders {caught} caught, "
            f"{len(faulty) - caught} missed."
        )
    if healthy:
        alarms = _over(healthy)
        said = "1 false alarm" if alarms == 1 else f"{alarms} false alarms"
        found.append(f"Of {len(healthy)} healthy by their folders {said}.")
    return found


def recording_of(name: str) -> str:
    """The recording of a row's path, which for a window ends in `#t=FROM,TO`."""
    return re.sub(r"#t=[\d.e+-]+,[\d.e+-]+$", "", name)


def recorded(name: str) -> tuple[datetime.datetime, bool] | None:
    """When a clip was recorded, local time, and whether its name says so, or its time stamp.

    A window's own start is added. None where the file has no time at all, as standard input.
    """
    path = recording_of(name)
    start = float(name[len(path) + 3 :].split(",")[0]) if path != name else 0.0
    shift = datetime.timedelta(seconds=start)
    if found := stamp(path):
        return found + shift, True
    try:
        return datetime.datetime.fromtimestamp(os.path.getmtime(path)) + shift, False
    except (OSError, ValueError, OverflowError):
        return None


def labelled(rows: Iterable[Row]) -> list[Row]:
    """The rows with the labels that folders or names tell."""
    from asd_jax.data.layouts.folder import told_label

    return [{**row, "label": told_label(recording_of(row["path"]))} for row in rows]


def write_page(
    path: str,
    clip_scorer: ClipScorer,
    rows: Sequence[Row],
    unreadable: Sequence[Unreadable],
    note: str = "",
) -> None:
    """Writes `--report`: time line, machines, the clips to see and hear, missed and false ones.

    Args:
        path: of the page.
        clip_scorer: that has scored the rows; reads the shown recordings once more.
        rows: of `labelled`.
        unreadable: what could not be read.
        note: a sentence that a reader must know first.
    """
    import asd_jax
    from asd_jax.report.contents import Report, Session
    from asd_jax.report.html import write_report

    times, source = _times(rows, clip_scorer.detector)
    name = _short([*(row["path"] for row in rows), *(one.path for one in unreadable)])
    shown = _examples(clip_scorer, rows)
    session = Session(
        answer=sentences(rows, unreadable, clip_scorer.detector.groups),
        times={name(path): time for path, time in times.items()},
        source=source,
        unreadable=tuple((name(one.path), one.reason) for one in unreadable),
    )
    report = Report(
        results={},
        rows=tuple({**row, "path": name(row["path"])} for row in rows),
        examples=tuple(dataclasses.replace(one, path=name(one.path)) for one in shown),
        session=session,
        warnings=(note,) if note else (),
        title="Scored recordings",
        version=asd_jax.__version__,
    )
    write_report(path, report)


def _times(rows: Sequence[Row], detector: "Detector") -> tuple[dict[str, datetime.datetime], str]:
    """When each clip was recorded, by its path, and a sentence on where that comes from."""
    found = {row["path"]: recorded(row["path"]) for row in rows}
    named = {path: time[0] for path, time in found.items() if time and time[1]}
    stamped = {path: time[0] for path, time in found.items() if time and not time[1]}
    seconds = detector.samples / detector.spec.sample_rate
    copied: set[str] = set()
    for group in {(row["machine_type"], row["machine_id"]) for row in rows}:
        own = [r["path"] for r in rows if (r["machine_type"], r["machine_id"]) == group]
        own = [path for path in own if path in stamped]
        # One machine cannot have sounded for longer than the time that passed.
        if own and _span(stamped[path] for path in own) < 0.5 * seconds * (len(own) - 1):
            copied.update(own)
    kept = {path: time for path, time in stamped.items() if path not in copied}
    told = [f"{len(named)} by the recording's name"] if named else []
    told += [f"{len(kept)} by its time stamp, which copying may have changed"] if kept else []
    source = f"Times are local: {', '.join(told)}." if told else ""
    if copied:
        source += (
            f" The time stamps of {len(copied)} lie closer together than they sound for: a copy "
            "has changed them, so they don't count."
        )
    return named | kept, source.strip()


def _span(times: Iterable[datetime.datetime]) -> float:
    known = list(times)
    return (max(known) - min(known)).total_seconds()


def _short(names: Sequence[str]) -> Callable[[str], str]:
    """Leaves the folder that all paths share out: it tells of the user alone."""
    folders = {os.path.dirname(os.path.abspath(recording_of(n))) for n in names if n != STDIN}
    try:
        common = os.path.commonpath(folders) if folders else ""
    except ValueError:  # on two drives
        return lambda name: name
    return lambda name: name if name == STDIN else os.path.relpath(os.path.abspath(name), common)


def _examples(clip_scorer: ClipScorer, rows: Sequence[Row]) -> tuple:
    """The clips to see and hear: the most anomalous, the missed and the false ones."""
    from asd_jax.runs.finish import examples

    detector = clip_scorer.detector
    unit = [max(float(np.std(n)), 1e-6) if len(n) else 1.0 for n in detector.normal_scores]

    def beyond(row: Row) -> float:
        base = row["threshold"] if np.isfinite(row["threshold"]) else 0.0
        return (row["score"] - base) / unit[clip_scorer.group(row)]

    ranked = sorted((r for r in rows if np.isfinite(r["score"])), key=lambda r: -beyond(r))
    missed = [r for r in reversed(ranked) if r["label"] == 1 and r["decision"] == 0][:WRONG]
    false = [r for r in ranked if r["label"] == 0 and r["decision"] == 1][:WRONG]
    chosen = {row["path"]: row for row in (*ranked[:SHOWN], *missed, *false)}
    waves = {
        piece.name: piece.wave
        for path in dict.fromkeys(map(recording_of, chosen))
        for piece in _again(clip_scorer, path)
        if piece.name in chosen
    }
    shown = [row for name, row in chosen.items() if name in waves]
    if not shown:
        return ()
    group = np.array([clip_scorer.group(row) for row in shown])
    return examples(detector, shown, np.stack([waves[row["path"]] for row in shown]), group)


def _again(clip_scorer: ClipScorer, path: str) -> Iterable[Piece]:
    """The clips of a recording that was read before; none where it can't be read again."""
    from asd_jax.data.decode import UnreadableError

    if path == STDIN:
        return
    try:
        yield from read_pieces(clip_scorer, path)
    except UnreadableError:
        return
