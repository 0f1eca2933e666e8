"""Which archives make up each public data set, where they lie, and under which licence.

MIMII: Purohit et al., DCASE 2019. MIMII DUE: Tanabe et al., 2021. DCASE Task 2: one development
set, one set of additional training clips and one of unlabelled test clips a year; the labels of the
last were published after each challenge, and the official baseline keeps them all in one place.
"""

import dataclasses
import sys
from collections.abc import Iterable, Iterator, Sequence

from asd_jax.data.download import tables, transfer
from asd_jax.data.download.responses import Patience
from asd_jax.errors import UserError

ZENODO = "https://zenodo.org"
GITHUB = "https://raw.githubusercontent.com"
LISTS = "nttcslab/dcase2023_task2_baseline_ae/9b64dc42276a64f65b7cbf2761d3c9ec525cff94/datasets"
LEVELS = {"-6": "min6dB", "0": "0dB", "6": "6dB"}  # SNR in dB: folder, as the official baseline's


@dataclasses.dataclass(frozen=True)
class Archive:
    """One zip of a record, and what is known of it beforehand."""

    name: str
    record: int  # on Zenodo
    part: str  # dev, additional or test, or an SNR of MIMII
    machine: str
    folder: str  # below the root, where <machine>/... goes
    size: int = 0  # bytes; 0 unknown
    md5: str = ""  # '' unknown
    mono: bool = False  # keep the first channel only

    @property
    def path(self) -> str:
        """Returns the path of its address below the root of the server or of a mirror."""
        return f"records/{self.record}/files/{self.name}"


@dataclasses.dataclass(frozen=True)
class TruthList:
    """The published labels of a year's test clips."""

    name: str
    sha256: str

    @property
    def path(self) -> str:
        """Returns the path of its address below the root of the server or of a mirror."""
        return f"{LISTS}/{self.name}"


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A public data set; `name` is its layout in `config.data.layout` too."""

    name: str
    title: str
    licence: str
    archives: tuple[Archive, ...]
    lists: tuple[TruthList, ...] = ()

    @property
    def machines(self) -> tuple[str, ...]:
        """The machine types, in the order of the archives."""
        return tuple(dict.fromkeys(archive.machine for archive in self.archives))

    @property
    def pages(self) -> tuple[str, ...]:
        """The records' pages: they have the last word on licence and citation."""
        records = dict.fromkeys(archive.record for archive in self.archives)
        return tuple(f"{ZENODO}/records/{record}" for record in records)


def choose(
    data: DataSet, *, parts: Sequence[str], machines: Sequence[str]
) -> tuple[tuple[Archive, ...], tuple[TruthList, ...]]:
    """The archives and lists of some parts (SNRs for MIMII) and machine types; () takes all.

    Raises:
        UserError: an unknown name, or nothing bears both.
    """
    known = tuple(dict.fromkeys(archive.part for archive in data.archives))
    known += ("truth",) * bool(data.lists)
    for flag, given, names in (("machines", machines, data.machines), ("parts", parts, known)):
        for name in given:
            if name not in names:
                flag = "snr" if flag == "parts" and data.name == "mimii" else flag
                raise UserError(f"--{flag} names {name!r}; {data.name} has {', '.join(names)}.")
    archives = tuple(
        archive
        for archive in data.archives
        if archive.part in (parts or known) and archive.machine in (machines or data.machines)
    )
    lists = data.lists if "truth" in (parts or known) else ()
    if not archives and not lists:
        raise UserError(
            f"{data.name} has no {' or '.join(machines)} in {' or '.join(parts)}: its development "
            "and evaluation sets are of different machine types; give other --parts."
        )
    return archives, lists


def _mimii() -> Iterator[Archive]:
    for name, (size, md5) in tables.MIMII.items():
        level, _, machine = name.removesuffix(".zip").partition("_dB_")
        yield Archive(name, 3384388, level, machine, LEVELS[level], size, md5, mono=True)


def _archives(
    known: dict[str, str] | dict[str, tuple[int, str]],
    *sets: tuple[str, int, str, str],
) -> tuple[Archive, ...]:
    """Archives from (part, record, file name with {}, machine types) and the tables."""
    archives = []
    for part, record, pattern, machines in sets:
        for machine in machines.split():
            name = pattern.format(machine)
            entry = known.get(name, "")
            size, md5 = (0, entry) if isinstance(entry, str) else entry
            folder = "dev_data" if part == "dev" else "eval_data"
            archives.append(Archive(name, record, part, machine, folder, size, md5))
    return tuple(archives)


_2020 = "fan pump slider valve ToyCar ToyConveyor"
_2021 = "fan gearbox pump slider ToyCar ToyTrain valve"
_2022 = "bearing fan gearbox slider ToyCar ToyTrain valve"
_2023 = "bandsaw grinder shaker ToyDrone ToyNscale ToyTank Vacuum"
_2024 = "AirCompressor Scanner ToyCircuit HoveringDrone HairDryer ToothBrush BrushlessMotor"
_2024_REPAIRED = "3DPrinter RoboticArm"
_2025 = "ToyRCCar ToyPet HomeCamera AutoTrash Polisher ScrewFeeder BandSealer CoffeeGrinder"
_DUE = "fan gearbox pump slider valve"

_DEV, _TRAIN, _TEST = "dev_{}.zip", "eval_data_{}_train.zip", "eval_data_{}_test.zip"

_YEARS: dict[str, tuple[tuple[str, int, str, str], ...]] = {
    "dcase2020": (
        ("dev", 3678171, "dev_data_{}.zip", _2020),
        ("additional", 3727685, "eval_data_train_{}.zip", _2020),
        ("test", 3841772, "eval_data_test_{}.zip", _2020),
    ),
    "dcase2021": (
        ("dev", 4562016, "dev_data_{}.zip", _2021),
        ("additional", 4660992, _TRAIN, _2021),
        ("test", 4884786, _TEST, _2021),
    ),
    "dcase2022": (
        ("dev", 6355122, _DEV, _2022),
        ("additional", 6462969, _TRAIN, _2022),
        ("test", 6586456, _TEST, _2022),
    ),
    "dcase2023": (
        ("dev", 7882613, _DEV, _2022),
        ("additional", 7830345, _TRAIN, _2023),
        ("test", 7860847, _TEST, _2023),
    ),
    "dcase2024": (
        ("dev", 10902294, _DEV, _2022),
        ("additional", 11259435, _TRAIN, _2024),
        ("additional", 11259435, "eval_data_{}_train_r2.zip", _2024_REPAIRED),
        ("test", 11363076, _TEST, f"{_2024} {_2024_REPAIRED}"),
    ),
    "dcase2025": (
        ("dev", 15097779, _DEV, _2022),
        ("additional", 15392814, _TRAIN, _2025),
        ("test", 15519362, _TEST, _2025),
    ),
}
# eval_data_list_<year>.csv at the commit of LISTS
_TRUTHS = {
    "2020": "a179d4dde7993a2971044cf5ee00abb306c5016becce372c625e79845673b3bb",
    "2021": "137b25ef444295e7626642957a5e9325176fe9f96be1bda53e2be080906ce2a6",
    "2022": "9e4510f2ab8a2f53bec0968e0b16b1d99f0e2c77f76c986e59735e9ed2276c4a",
    "2023": "705f2d2a8b7afa4e518b29c6ca751e3dfe552c6de35edd28cd85a67b610586ec",
    "2024": "af0d0826eb50c7769fe3bd33f16ba6c62c9b87548b1181eecf6f03bc4c72da93",
    "2025": "013aa59905d9b2c4bac64d88a7fd6166fa6458f0ffea408b57a761ef886cf265",
}


def _truth(year: str) -> tuple[TruthList, ...]:
    return (TruthList(f"eval_data_list_{year}.csv", _TRUTHS[year]),)


def _data_sets() -> Iterator[DataSet]:
    non_commercial = "CC BY-NC-SA 4.0"
    yield DataSet("mimii", "MIMII", "CC BY-SA 4.0", tuple(_mimii()))
    due = _archives(
        tables.MIMII_DUE,
        ("dev", 4740355, "dev_data_{}.zip", _DUE),
        ("additional", 4740355, _TRAIN, _DUE),
        ("test", 4884786, _TEST, _DUE),
    )
    yield DataSet("mimii_due", "MIMII DUE", non_commercial, due, _truth("2021"))
    for name, sets in _YEARS.items():
        archives = _archives(tables.MD5.get(name, {}), *sets)
        title = f"DCASE {name[-4:]} Task 2"
        yield DataSet(name, title, non_commercial, archives, _truth(name[-4:]))


DATA_SETS: dict[str, DataSet] = {data.name: data for data in _data_sets()}


LICENCES = {
    "CC BY-SA 4.0": (
        "https://creativecommons.org/licenses/by-sa/4.0/",
        "name the authors; what you make of the data and pass on, pass on under this licence",
    ),
    "CC BY-NC-SA 4.0": (
        "https://creativecommons.org/licenses/by-nc-sa/4.0/",
        "not for commercial use; name the authors; what you make of the data and pass on, pass on "
        "under this licence",
    ),
}


def licence_text(data: DataSet) -> str:
    """Returns the text that a user reads before accepting."""
    address, terms = LICENCES[data.licence]
    pages = "\n".join(f"  {page}" for page in data.pages)
    return (
        f"{data.title} is published under {data.licence}: {terms}.\n  {address}\n"
        f"Whom to cite, and the terms that hold in the end, are on the pages of its records:\n"
        f"{pages}"
    )


def accept_licence(data: DataSet, *, accepted: bool) -> None:
    """Shows the licence and asks for a yes, where the flag did not give it.

    Raises:
        UserError: it is not accepted, or there is no one to ask.
    """
    print(licence_text(data), file=sys.stderr)
    if accepted:
        return
    if not sys.stdin.isatty():
        raise UserError(
            f"the licence of {data.title} ({data.licence}) is not accepted; pass --accept_licence "
            "if you accept it."
        )
    print("Do you accept? [y/n] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UserError(f"the licence of {data.title} is not accepted: nothing was downloaded.")


@dataclasses.dataclass(frozen=True)
class Source:
    """Where files come from and how patiently."""

    mirror: str = ""  # stands for Zenodo and GitHub, with the same paths; '' asks them
    patience: Patience = dataclasses.field(default_factory=Patience)

    def __post_init__(self):
        if self.mirror and not self.mirror.startswith(("http://", "https://")):
            raise UserError(
                f"--mirror={self.mirror} is not an address; give http://... or https://..."
            )

    def url(self, file: Archive | TruthList) -> str:
        """The address of a file."""
        return f"{self._root(ZENODO if isinstance(file, Archive) else GITHUB)}/{file.path}"

    def listing(self, record: int) -> dict[str, tuple[int, str]]:
        """Returns (bytes, 'md5:...') of each file of a record by its server; {} if it has none."""
        url = f"{self._root(ZENODO)}/api/records/{record}"
        try:
            answer = transfer.read_json(url, patience=self.patience) or {}
            files = answer.get("files") or []
            return {f["key"]: (int(f["size"]), str(f["checksum"])) for f in files}
        except (AttributeError, KeyError, TypeError, ValueError):
            return {}  # not as Zenodo answers: another kind of mirror

    def _root(self, server: str) -> str:
        return (self.mirror or server).rstrip("/")


def complete_facts(archives: Iterable[Archive], source: Source) -> tuple[Archive, ...]:
    """The archives with the size and md5 that the tables lack, from their records' listings.

    Raises:
        UserError: a record does not have such a file.
    """
    listings: dict[int, dict[str, tuple[int, str]]] = {}
    completed = []
    for archive in archives:
        if not (archive.size and archive.md5):
            if archive.record not in listings:
                listings[archive.record] = source.listing(archive.record)
            listing = listings[archive.record]
            if listing and archive.name not in listing:
                raise UserError(
                    f"record {archive.record} has no {archive.name}; it has {', '.join(listing)}."
                )
            size, checksum = listing.get(archive.name, (0, ""))
            kind, _, digest = checksum.partition(":")
            md5 = archive.md5 or (digest if kind == "md5" else "")
            archive = dataclasses.replace(archive, size=archive.size or size, md5=md5)
        completed.append(archive)
    return tuple(completed)
