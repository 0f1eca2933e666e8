"""Says what lies in a folder: which public data set, how much of it, and what is missing."""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence

from asd_jax.data.clips import LAYOUTS
from asd_jax.data.download.disk import size_text
from asd_jax.data.download.expected import Kinds, candidates, cells, kinds_of
from asd_jax.data.download.job import ARCHIVES
from asd_jax.data.download.ledger import Ledger
from asd_jax.data.download.records import DATA_SETS, Archive, DataSet
from asd_jax.data.layouts.wanted import Wanted
from asd_jax.data.table import UNKNOWN, Clip
from asd_jax.errors import UserError

# One layout for each way of naming files; the sets that share it are told apart by their machines.
_NAMINGS = ("mimii", "dcase2020", "dcase2021")
_TEST_FOLDERS = ("test", "source_test", "target_test")


@dataclasses.dataclass(frozen=True)
class Found:
    """What there is of one archive."""

    archive: Archive
    clips: int
    missing: tuple[str, ...]  # how much there is of what is incomplete

    @property
    def name(self) -> str:
        """For people: '0 dB fan', 'dev fan'."""
        return f"{_part(self.archive)} {self.archive.machine}"


@dataclasses.dataclass(frozen=True)
class Report:
    """What lies in a folder; `names` are the data sets that it may be, the likeliest first."""

    root: pathlib.Path
    names: tuple[str, ...]
    found: tuple[Found, ...]  # archives of which there is something
    absent: tuple[Archive, ...]
    troubles: tuple[str, ...]  # one sentence each
    notes: tuple[str, ...] = ()  # what is no trouble

    @property
    def complete(self) -> bool:
        """Whether everything that was begun is whole."""
        return bool(self.names) and not self.troubles and not any(f.missing for f in self.found)

    @property
    def data(self) -> DataSet:
        """The likeliest data set."""
        return DATA_SETS[self.names[0]]


def check(root: pathlib.Path) -> Report:
    """Looks at the names in a folder and at the notes of `asd_jax.fetch`; decodes nothing.

    Raises:
        UserError: there is no such folder.
    """
    if not root.is_dir():
        raise UserError(f"{root} is no folder; --check takes the folder of a data set.")
    ledger = Ledger(root)
    names, clips = _which(root, ledger.data)
    unfinished = tuple(_unfinished(root))
    if not names:
        return Report(root, (), (), (), unfinished)
    notes = ()
    if any(clip.snr == "" for clip in clips) and names[0] == "mimii":
        notes = ("No folder name tells the SNR (0_dB_fan, min6dB): it is counted as 0 dB.",)
        clips = [dataclasses.replace(clip, snr=clip.snr or "0") for clip in clips]
    kinds = kinds_of(clips)
    looks = [_look(names[0], archive, kinds, ledger) for archive in DATA_SETS[names[0]].archives]
    found = tuple(look for look in looks if look.clips or ledger.folders_of(look.archive.name))
    absent = tuple(look.archive for look in looks if look not in found)
    troubles = (*unfinished, *_troubles(names[0], clips, found))
    return Report(root, tuple(names), found, absent, troubles, notes)


def _which(root: pathlib.Path, noted: str) -> tuple[list[str], list[Clip]]:
    """The data sets that the folder may hold, the likeliest first, and its clips."""
    if noted in DATA_SETS:
        return [noted], _clips(noted, root)
    for naming in _NAMINGS:
        clips = _clips(naming, root)
        folders = {os.path.basename(os.path.dirname(clip.path)) for clip in clips}
        names = candidates(kinds_of(clips), folders & set(_TEST_FOLDERS)) if clips else []
        names = [name for name in names if _naming(name) == naming]
        if names:
            return names, _clips(names[0], root)
    return [], []


def _clips(layout: str, root: pathlib.Path) -> list[Clip]:
    try:
        return LAYOUTS[layout](root, Wanted(use_additional=True))
    except UserError:  # there is no such recording
        return []


def _naming(name: str) -> str:
    return name if name in _NAMINGS else "dcase2021"


def _look(data: str, archive: Archive, kinds: Kinds, ledger: Ledger) -> Found:
    """What there is of an archive: by the notes if it was fetched, else by what is known of it."""
    there = kinds.get(archive.machine, collections.Counter())
    counts = [(cell, cell.count(there)) for cell in cells(data, archive)]
    noted = ledger.folders_of(archive.name)
    if noted:
        gone = ledger.missing(archive.name)
        lacking = [f"{f}: {noted[f] - gone[f]} of {noted[f]} files" for f in gone]
    else:
        short = [(cell, number) for cell, number in counts if number < cell.clips]
        lacking = [
            f"{cell.what}: {number} of {cell.clips}" if cell.clips > 1 else f"{cell.what}: none"
            for cell, number in short
        ]
    return Found(archive, sum(number for _, number in counts), tuple(lacking))


def _unfinished(root: pathlib.Path) -> Iterator[str]:
    for part in sorted((root / ARCHIVES).glob("*.part")):
        size = size_text(part.stat().st_size)
        yield f"{part.name.removesuffix('.part')} is half downloaded ({size})."
    for archive in sorted((root / ARCHIVES).glob("*.zip")):
        if not Ledger(root).folders_of(archive.name):
            yield f"{archive.name} is downloaded but not all unpacked."


def _troubles(data: str, clips: Sequence[Clip], found: Sequence[Found]) -> Iterator[str]:
    empty = [clip.path for clip in clips if os.path.getsize(clip.path) == 0]
    if empty:
        yield f"{len(empty)} recordings are empty, the first {empty[0]}."
    unknown = sum(clip.split == "test" and clip.label == UNKNOWN for clip in clips)
    if unknown and any(look.archive.part == "test" for look in found):
        yield f"{unknown} test clips have no labels: --parts=truth fetches them."


def lines(report: Report) -> Iterator[str]:
    """The report for a terminal."""
    if not report.names:
        yield f"{report.root} holds no public data set that asd_jax.fetch knows."
        yield from report.troubles
        yield "For recordings of your own, see configs/ensemble.py:folder."
        return
    others = f" (or {', '.join(report.names[1:])}: their names are alike)" * (len(report.names) > 1)
    whole = sum(not look.missing for look in report.found)
    total = len(report.found) + len(report.absent)
    yield f"{report.root}: {report.data.title}{others}, {whole} of {total} archives complete."
    for look in report.found:
        state = "incomplete" if look.missing else "complete"
        yield f"  {look.name:24}{state:12}{look.clips:6d} clips"
        yield from (f"      {what}" for what in look.missing[:8])
        if len(look.missing) > 8:
            yield f"      and {len(look.missing) - 8} more kinds"
    if report.absent:
        yield f"  not there: {_absent(report)}"
    yield from report.notes
    yield from report.troubles


def _absent(report: Report) -> str:
    """'all of test; dev fan, gearbox'."""
    said = []
    for part in dict.fromkeys(archive.part for archive in report.absent):
        gone = [archive for archive in report.absent if archive.part == part]
        whole = len(gone) == sum(archive.part == part for archive in report.data.archives)
        machines = ", ".join(archive.machine for archive in gone)
        said.append(f"all of {_part(gone[0])}" if whole else f"{_part(gone[0])} {machines}")
    return "; ".join(said)


def _part(archive: Archive) -> str:
    return f"{archive.part} dB" if archive.mono else archive.part
