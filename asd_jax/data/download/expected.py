"""How many recordings each part of each data set should hold, as far as it is known.

The numbers are of the data sets' papers and the published lists of labels; where none is known,
one recording is enough, and `fetch.json` knows better for what was fetched.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from asd_jax.data.download.records import DATA_SETS, Archive
from asd_jax.data.table import ANOMALY, NORMAL, Clip


class Kind(NamedTuple):
    """What a clip's place and name say of it, but for the machine type."""

    machine_id: str
    split: str
    domain: str
    label: int
    snr: str


Kinds = dict[str, Counter[Kind]]  # by machine type: how many clips there are of each kind


def kinds_of(clips: Iterable[Clip]) -> Kinds:
    """Counts clips by machine type and kind."""
    kinds: Kinds = {}
    for clip in clips:
        kind = Kind(clip.machine_id, clip.split, clip.domain, clip.label, clip.snr)
        kinds.setdefault(clip.machine_type, Counter())[kind] += 1
    return kinds


@dataclasses.dataclass(frozen=True)
class Cell:
    """Clips of one archive that belong together, and at least how many there should be."""

    what: str  # for people
    ids: tuple[str, ...]
    split: str = ""  # '' any
    domain: str = ""
    label: int | None = None
    snr: str = ""
    clips: int = 1

    def count(self, kinds: Counter[Kind]) -> int:
        """How many clips of one machine type belong here."""
        return sum(number for kind, number in kinds.items() if self._holds(kind))

    def _holds(self, kind: Kind) -> bool:
        return (
            kind.machine_id in self.ids
            and self.split in ("", kind.split)
            and self.domain in ("", kind.domain)
            and self.label in (None, kind.label)
            and self.snr in ("", kind.snr)
        )


_LABELS = (("normal", NORMAL), ("anomalous", ANOMALY))
_DOMAINS = ("source", "target")

# machine type: (normal, abnormal) of IDs 00, 02, 04 and 06, at each SNR
_MIMII = {
    "fan": ((1011, 407), (1016, 359), (1033, 348), (1015, 361)),
    "pump": ((1006, 143), (1005, 111), (702, 100), (1036, 102)),
    "slider": ((1068, 356), (1068, 267), (534, 178), (534, 89)),
    "valve": ((991, 119), (708, 120), (1000, 120), (992, 120)),
}
# (source training, then source and target tests: normal, anomalous); 9 target training clips
_DUE = {"gearbox": (3017, 411, 351, 309, 336), "slider": (3000, 310, 302, 300, 302)}
_DUE_OTHERS = (3000, 300, 300, 300, 300)
_TEST_2020 = {
    "fan": 1342,
    "pump": 777,
    "slider": 834,
    "valve": 940,
    "ToyCar": 1545,
    "ToyConveyor": 1665,
}
_TEST_2021 = {"gearbox": 1428, "slider": 1207}  # the others 1200
_IDS_2020 = {  # development, evaluation
    "ToyCar": (("01", "02", "03", "04"), ("05", "06", "07")),
    "ToyConveyor": (("01", "02", "03"), ("04", "05", "06")),
}


def cells(data: str, archive: Archive) -> Iterator[Cell]:
    """What an archive of a data set should hold."""
    machine, ids = archive.machine, ids_of(data, archive)
    if data == "mimii":
        for machine_id, counts in zip(ids, _MIMII[machine], strict=True):
            for (name, label), clips in zip(_LABELS, counts, strict=True):
                what = f"id_{machine_id} {name}"
                yield Cell(what, (machine_id,), "", "", label, archive.part, clips)
    elif archive.part == "test":
        yield Cell("test", ids, "test", clips=_test_clips(data, machine))
    elif archive.part == "additional" or data in ("dcase2020", "dcase2021", "dcase2022"):
        yield from _some_of_each(data, archive, ids)
    else:
        yield from _counted(data, machine, ids)


def ids_of(data: str, archive: Archive) -> tuple[str, ...]:
    """The machine IDs, or sections, in an archive."""
    evaluation = archive.part in ("additional", "test")
    if data == "mimii":
        return ("00", "02", "04", "06")
    if data == "dcase2020":
        both = _IDS_2020.get(archive.machine, (("00", "02", "04", "06"), ("01", "03", "05")))
        return both[evaluation]
    if data in ("mimii_due", "dcase2021", "dcase2022"):
        return ("03", "04", "05") if evaluation else ("00", "01", "02")
    return ("00",)


def _test_clips(data: str, machine: str) -> int:
    if data == "dcase2020":
        return _TEST_2020[machine]
    if data in ("mimii_due", "dcase2021"):
        return _TEST_2021.get(machine, 1200)
    return 600 if data == "dcase2022" else 200


def _some_of_each(data: str, archive: Archive, ids: tuple[str, ...]) -> Iterator[Cell]:
    word = "id" if data == "dcase2020" else "section"
    for machine_id in ids:
        name = f"{word}_{machine_id}"
        yield Cell(f"{name} train", (machine_id,), "train", label=NORMAL)
        if archive.part == "dev":
            for label_name, label in _LABELS:
                yield Cell(f"{name} test {label_name}", (machine_id,), "test", label=label)


def _counted(data: str, machine: str, ids: tuple[str, ...]) -> Iterator[Cell]:
    counts = (990, 50, 50, 50, 50)
    if data == "mimii_due":
        counts = _DUE.get(machine, _DUE_OTHERS)
    yield Cell("source train", ids, "train", "source", NORMAL, clips=counts[0])
    target = 9 if data == "mimii_due" else 10
    yield Cell("target train", ids, "train", "target", NORMAL, clips=target)
    kinds = [(domain, *label) for domain in _DOMAINS for label in _LABELS]
    for (domain, name, label), clips in zip(kinds, counts[1:], strict=True):
        yield Cell(f"{domain} test {name}", ids, "test", domain, label, clips=clips)


def candidates(kinds: Kinds, folders: set[str]) -> list[str]:
    """The data sets that could hold just these machines, in test folders of these names.

    The likeliest come first: those that lack fewest kinds of clips of what there is.
    """
    groups = {(machine, kind.machine_id) for machine in kinds for kind in kinds[machine]}
    several = {"source_test", "target_test"}
    found = []
    for name, data in DATA_SETS.items():
        known = {(a.machine, machine_id) for a in data.archives for machine_id in ids_of(name, a)}
        split_up = name in ("mimii_due", "dcase2021")
        if groups <= known and not folders & ({"test"} if split_up else several):
            found.append(name)
    return sorted(found, key=lambda name: _lacking(name, kinds))


def _lacking(name: str, kinds: Kinds) -> int:
    """How many cells of the machine types and splits that are there have too few clips."""
    there = {(machine, kind.split) for machine in kinds for kind in kinds[machine]}
    return sum(
        cell.count(kinds[archive.machine]) < cell.clips
        for archive in DATA_SETS[name].archives
        for cell in cells(name, archive)
        if (archive.machine, cell.split) in there
    )
