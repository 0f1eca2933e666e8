"""Clip tables from file names: which recordings there are, of which machine, for which use.

Nothing is decoded here and neither jax nor an audio library is imported: reading a table of a
hundred thousand clips costs a walk through the folders.
"""

import os
import pathlib
from collections import Counter
from collections.abc import Callable, Sequence

from absl import logging

from asd_jax.data.layouts.dcase import LAYOUTS as DCASE_LAYOUTS
from asd_jax.data.layouts.files import Wanted
from asd_jax.data.layouts.folder import read_folder
from asd_jax.data.layouts.mimii import read_mimii
from asd_jax.data.splits import split_clips
from asd_jax.data.table import ANOMALY, NORMAL, UNKNOWN, Clip
from asd_jax.errors import UserError
from asd_jax.naming import first_few, machine_name, printable

__all__ = ["ANOMALY", "LAYOUTS", "NORMAL", "UNKNOWN", "Clip", "describe", "read_clips"]

LAYOUTS: dict[str, Callable[[pathlib.Path, Wanted], list[Clip]]] = {
    "mimii": read_mimii,
    **DCASE_LAYOUTS,
    "folder": read_folder,
}


def read_clips(  # noqa: PLR0913  # the fields of config.data that choose recordings
    layout: str,
    root: str | os.PathLike[str],
    *,
    machines: Sequence[str] = (),
    snr: Sequence[str] = (),
    split: str = "hitachi",
    use_additional: bool = False,
    seed: int = 0,
    normal: Sequence[str] = (),
    abnormal: Sequence[str] = (),
    screen: Callable[[list[Clip]], list[Clip]] = list,
) -> tuple[Clip, ...]:
    """Reads the clip table of a data set.

    A machine that has no normal training clip is named in the log and left out: no detector can be
    made for it. One without test clips is named and stays, for training.

    Args:
      layout: a key of `LAYOUTS`.
      root: the folder that holds the data set.
      machines: machine types, or `type/id`, to keep; () keeps all.
      snr: MIMII only, of '6', '0', '-6' (dB); () keeps all.
      split: a key of `SPLITS`, for layouts that don't fix the test clips (MIMII, some folders).
      use_additional: DCASE and MIMII DUE: take the machines of the evaluation set as well, their
        additional training clips and, where present, their test clips.
      seed: of the splits that draw.
      normal: folder: more names of healthy recordings.
      abnormal: the same of faulty ones.
      screen: leaves out what cannot be used, before the split rule.

    Returns:
      Clips sorted by machine, split, label and path; the order never depends on the file system.

    Raises:
      UserError: unknown machine; no folder; nothing in the expected places.
    """
    folder = pathlib.Path(root).expanduser()
    if not os.fspath(root) or not folder.is_dir():
        what = "is a file, not a folder" if folder.is_file() else "does not exist"
        raise UserError(f"The data folder {str(root)!r} {what}; set config.data.root to a folder.")
    wanted = Wanted(tuple(snr), use_additional, tuple(normal), tuple(abnormal))
    clips = LAYOUTS[layout](folder, wanted)
    clips = screen(_of_machines(clips, machines, folder))
    clips = split_clips(clips, split, seed=seed)
    clips = _trainable(clips, folder)
    return tuple(sorted(clips, key=_order))


def describe(clips: Sequence[Clip], root: str | os.PathLike[str]) -> list[str]:
    """A line for each use and label: how many recordings, of which folders, are taken so."""
    folders: dict[tuple[bool, int], Counter[str]] = {}
    for clip in clips:
        key = clip.split != "train", clip.label
        folder = os.path.relpath(os.path.dirname(clip.path), root)
        folders.setdefault(key, Counter())[folder] += 1
    lines = []
    for (tested, label), counts in sorted(
        folders.items(), key=lambda item: (item[0][0], item[0][1] % 3)
    ):
        use = "to test" if tested else "to learn from"
        what = {NORMAL: "healthy", ANOMALY: "faulty", UNKNOWN: "unlabelled"}[label]
        here = os.path.basename(os.path.abspath(root))
        named = {here if f == os.curdir else f: count for f, count in sorted(counts.items())}
        shown = [f"{folder} ({count})" for folder, count in named.items()]
        lines.append(printable(f"{counts.total():6} {what}, {use}: {first_few(shown, 6)}"))
    return lines


def _order(clip: Clip) -> tuple:
    return (*clip.group, clip.split != "train", clip.snr, clip.label, clip.domain, clip.path)


def _of_machines(clips: list[Clip], machines: Sequence[str], root: pathlib.Path) -> list[Clip]:
    if not machines:
        return clips
    present = {clip.machine_type for clip in clips} | {"/".join(clip.group) for clip in clips}
    for name in machines:
        if name not in present:
            types = ", ".join(sorted({clip.machine_type for clip in clips}))
            raise UserError(f"config.data.machines names {name!r}, but {root} holds {types}.")
    wanted = set(machines)
    return [c for c in clips if c.machine_type in wanted or "/".join(c.group) in wanted]


def _trainable(clips: list[Clip], root: pathlib.Path) -> list[Clip]:
    """Drops machines without a normal training clip; names every machine that lacks something."""
    groups: dict[tuple[str, str], set[tuple[str, int]]] = {}
    for clip in clips:
        groups.setdefault(clip.group, set()).add((clip.split, clip.label))
    kept, judges = set(), any(split == "test" for uses in groups.values() for split, _ in uses)
    for group, uses in sorted(groups.items()):
        name = machine_name(group, groups)
        if ("train", NORMAL) not in uses:
            logging.warning("%s has no normal training clip: it is left out.", name)
            continue
        kept.add(group)
        tested = {label for split, label in uses if split == "test"}
        if not tested and judges:  # where none has any, that is no slip
            logging.warning("%s has no test clip: it is trained on, not evaluated.", name)
        elif UNKNOWN not in tested and len(tested) == 1:
            missing = "normal" if NORMAL not in tested else "abnormal"
            logging.warning("%s has no %s test clip: it gets scores but no AUC.", name, missing)
    if not kept:
        raise UserError(f"No normal training recording in {root}: there is nothing to learn from.")
    return [clip for clip in clips if clip.group in kept]
