"""`--check`: which data set lies in a folder, how complete it is, and what is missing."""

import json

import pytest
from absl import flags
from absl.testing import flagsaver

from asd_jax import fetch
from asd_jax.data.download.check import check, lines
from asd_jax.data.download.expected import cells
from asd_jax.data.download.ledger import Ledger
from asd_jax.data.download.records import DATA_SETS
from asd_jax.errors import UserError


@pytest.fixture
def lay(tmp_path):
    """Makes files of one byte below a folder."""

    def make(names):
        for name in names:
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        return tmp_path / "data"

    return make


MIMII = {"id_00": (991, 119), "id_02": (708, 120), "id_04": (1000, 120), "id_06": (992, 120)}


def mimii_valve(folder="0_dB_valve/valve"):
    return [
        f"{folder}/{machine_id}/{label}/{k:08d}.wav"
        for machine_id, counts in MIMII.items()
        for label, count in zip(("normal", "abnormal"), counts, strict=True)
        for k in range(count)
    ]


def sections(machine, sections, train=(990, 10), test=(50, 50), folder="test", above=""):
    """A machine type as in 2021 and later."""
    names = []
    for section in sections:
        start = f"section_{section}"
        for domain, count in zip(("source", "target"), train, strict=True):
            name = f"{above}{machine}/train/{start}_{domain}_train_normal"
            names += [f"{name}_{k:04d}_a_1.wav" for k in range(count)]
            where = folder if folder == "test" else f"{domain}_test"
            for label, clips in zip(("normal", "anomaly"), test, strict=True):
                name = f"{above}{machine}/{where}/{start}_{domain}_test_{label}"
                names += [f"{name}_{k:04d}.wav" for k in range(clips)]
    return names


def test_a_complete_mimii_type_by_its_counts(lay):
    report = check(lay(mimii_valve()))
    assert report.names == ("mimii",) and report.complete
    (valve,) = report.found
    assert (valve.name, valve.clips, valve.missing) == ("0 dB valve", 4170, ())
    assert len(report.absent) == 11
    text = "\n".join(lines(report))
    assert "MIMII, 1 of 12 archives complete" in text
    assert "not there: all of -6 dB; 0 dB fan, pump, slider; all of 6 dB" in text


def test_mimii_without_an_snr_is_counted_once(lay):
    report = check(lay(mimii_valve("valve")))
    assert report.complete and [found.name for found in report.found] == ["0 dB valve"]
    assert "counted as 0 dB" in "\n".join(lines(report))


def test_what_mimii_lacks_is_counted(lay):
    names = [n for n in mimii_valve() if "id_02/abnormal/0000000" not in n]
    report = check(lay([n for n in names if "id_06/normal" not in n]))
    assert not report.complete
    assert report.found[0].missing == ("id_02 anomalous: 110 of 120", "id_06 normal: 0 of 992")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["fan/train/normal_id_00_00000000.wav"], ("dcase2020",)),
        (sections("ToyCar", ("00", "01", "02"), (9, 3), (1, 1), "source_test"), ("dcase2021",)),
        (
            sections("fan", ("00", "01", "02"), (1000, 3), (100, 100), "source_test"),
            ("mimii_due", "dcase2021"),
        ),
        (sections("bearing", ("00", "01", "02"), (9, 1), (1, 1)), ("dcase2022",)),
        (
            sections("bearing", ("00",)),
            ("dcase2023", "dcase2024", "dcase2025", "dcase2022"),
        ),
        (["bandsaw/train/section_00_source_train_normal_0000_v.wav"], ("dcase2023",)),
        (["HairDryer/train/section_00_source_train_normal_0000_v.wav"], ("dcase2024",)),
        (["raw/AutoTrash/test/section_00_0000.wav"], ("dcase2025",)),
        (["pump/normal/1.wav"], ()),
        ([], ()),
    ],
    ids=[
        "2020",
        "2021",
        "due",
        "2022",
        "dev of 2023 on",
        "eval of 2023",
        "eval of 2024",
        "eval of 2025",
        "own",
        "empty",
    ],
)
def test_the_data_set_is_told_by_names(lay, tmp_path, names, expected):
    (tmp_path / "data").mkdir()
    assert check(lay(names)).names == expected


def test_mimii_due_is_complete_by_its_counts(lay):
    due = check(lay(sections("fan", ("00", "01", "02"), (1000, 3), (100, 100), "source_test")))
    assert due.complete and due.found[0].clips == 4209


def test_2023_is_complete_by_its_counts(lay):
    names = sections("fan", ("00",), above="dev_data/")
    root = lay(names)
    report = check(root)
    assert report.complete and report.found[0].clips == 1200
    (root / names[0]).unlink()
    assert check(root).found[0].missing == ("source train: 989 of 990",)


def test_what_was_fetched_is_checked_against_its_own_count(lay):
    root = lay(["0dB/fan/id_00/normal/1.wav", "0dB/fan/id_00/normal/2.wav"])
    ledger = Ledger(root)
    ledger.begin("mimii", "CC BY-SA 4.0")
    ledger.note("0_dB_fan.zip", hash="md5:0", folders={"0dB/fan/id_00/normal": 2})
    assert check(root).complete
    (root / "0dB/fan/id_00/normal/1.wav").unlink()
    assert check(root).found[0].missing == ("0dB/fan/id_00/normal: 1 of 2 files",)


def test_troubles_are_named(lay):
    names = ["eval_data/AutoTrash/test/section_00_0000.wav", "archives/dev_fan.zip.part"]
    root = lay([*names, "archives/dev_bearing.zip"])
    (root / names[0]).write_bytes(b"")
    assert check(root).troubles == (
        "dev_fan.zip is half downloaded (1 bytes).",
        "dev_bearing.zip is downloaded but not all unpacked.",
        f"1 recordings are empty, the first {root / names[0]}.",
        "1 test clips have no labels: --parts=truth fetches them.",
    )


def test_the_command_says_it_and_exits_1_where_something_is_missing(lay, capsys, tmp_path):
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["test"])
    root = lay(["0_dB_fan/id_00/normal/1.wav"])
    with flagsaver.flagsaver(check=[str(root)]):
        assert fetch.main(["fetch"]) == 1
    said = capsys.readouterr().out
    assert "0 dB fan" in said and "id_00 normal: 1 of 1011" in said
    (root / "fetch.json").write_text(json.dumps({"data": "mimii", "archives": []}))
    with pytest.raises(UserError, match=r"not as asd_jax\.fetch wrote it"):
        check(root)
    with pytest.raises(UserError, match="is no folder"):
        check(tmp_path / "nowhere")


def test_every_archive_has_something_to_expect():
    for data in DATA_SETS.values():
        for archive in data.archives:
            assert list(cells(data.name, archive)), archive
    mimii = DATA_SETS["mimii"].archives
    counts = {a.machine: sum(c.clips for c in cells("mimii", a)) for a in mimii}
    assert counts == {"fan": 5550, "pump": 4205, "slider": 4094, "valve": 4170}


def test_the_tables_have_the_archives_of_the_records():
    sizes = {
        data.name: (len(data.archives), sum(bool(a.md5) for a in data.archives))
        for data in DATA_SETS.values()
    }
    assert sizes == {
        "mimii": (12, 12),
        "mimii_due": (15, 10),  # its test clips are those of DCASE 2021
        "dcase2020": (18, 18),
        "dcase2021": (21, 0),
        "dcase2022": (21, 0),
        "dcase2023": (21, 21),
        "dcase2024": (25, 0),
        "dcase2025": (23, 0),
    }
    assert sum(a.size for a in DATA_SETS["mimii_due"].archives) == 9_428_046_039
