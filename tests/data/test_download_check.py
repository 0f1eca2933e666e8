"""`--check`: how much of what was fetched is there, by its manifest."""

import json

import pytest
from absl import flags
from absl.testing import flagsaver

from asd_jax import fetch
from asd_jax.data.download.manifest import Manifest, check
from asd_jax.data.download.records import DATA_SETS
from asd_jax.errors import UserError

FOLDER = "0dB/fan/id_00/normal"


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


@pytest.fixture
def fan(lay):
    """A folder that MIMII's fan was fetched into, two recordings of it."""
    root = lay([f"{FOLDER}/1.wav", f"{FOLDER}/2.wav"])
    manifest = Manifest(root)
    manifest.begin("mimii", "CC BY-SA 4.0")
    manifest.note("0_dB_fan.zip", hash="md5:0", folders={FOLDER: 2})
    return root


def test_what_was_fetched_is_checked_against_its_own_count(fan):
    lines, whole = check(fan)
    assert whole and lines[0].endswith("MIMII, 1 of 12 archives complete.")
    assert lines[1].split() == ["0_dB_fan.zip", "complete", "2", "files"]
    assert lines[2].startswith("  not there: ") and lines[2].count(".zip") == 11
    (fan / FOLDER / "1.wav").unlink()
    lines, whole = check(fan)
    assert not whole and lines[0].endswith("MIMII, 0 of 12 archives complete.")
    assert lines[2].strip() == f"{FOLDER}: 1 of 2 files"


def test_a_recording_that_a_power_cut_left_empty_is_missing(fan):
    (fan / FOLDER / "1.wav").write_bytes(b"")
    lines, whole = check(fan)
    assert not whole and lines[2].strip() == f"{FOLDER}: 1 of 2 files"
    assert not Manifest(fan).done("0_dB_fan.zip")  # the next fetch mends it


def test_troubles_are_named(lay, fan):
    lay(["archives/0_dB_pump.zip.part", "archives/0_dB_valve.zip"])
    lines, whole = check(fan)
    assert not whole and lines[-2:] == [
        "0_dB_pump.zip is half downloaded (1 bytes).",
        "0_dB_valve.zip is downloaded but not all unpacked.",
    ]


def test_test_clips_without_labels_are_named(lay):
    root = lay(["eval_data/AutoTrash/test/section_00_0000.wav"])
    manifest = Manifest(root)
    manifest.begin("dcase2025", "CC BY-NC-SA 4.0")
    folders = {"eval_data/AutoTrash/test": 1}
    manifest.note("eval_data_AutoTrash_test.zip", folders=folders)
    lines, whole = check(root)
    assert not whole and "--parts=truth fetches them" in lines[-1]
    lay(["eval_data_list_2025.csv"])
    assert check(root)[1]


def test_the_command_says_it_and_exits_1_where_something_is_missing(lay, fan, capsys, tmp_path):
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["test"])
    with flagsaver.flagsaver(check=[str(fan)]):
        assert fetch.main(["fetch"]) == 0
        (fan / FOLDER / "1.wav").unlink()
        assert fetch.main(["fetch"]) == 1
    assert "1 of 2 files" in capsys.readouterr().out
    (fan / "fetch.json").unlink()
    with flagsaver.flagsaver(check=[str(fan)]):
        assert fetch.main(["fetch"]) == 1
    assert "has no fetch.json" in capsys.readouterr().out
    (fan / "fetch.json").write_text(json.dumps({"data": "mimii", "archives": []}))
    with pytest.raises(UserError, match=r"not as asd_jax\.fetch wrote it"):
        check(fan)
    with pytest.raises(UserError, match="is not a folder"):
        check(tmp_path / "nowhere")


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
