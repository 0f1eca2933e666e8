"""Clip tables of every layout, on files laid out as the archives and users lay them out."""

import collections
import os
import subprocess
import sys

import pytest

from asd_jax.data.clips import (
    ANOMALY,
    LAYOUTS,
    NORMAL,
    UNKNOWN,
    Clip,
    read_clips,
)
from asd_jax.errors import UserError


def mimii(prefix: str, normal: int = 6, abnormal: int = 2) -> list[str]:
    names = [f"{prefix}/id_00/normal/{k:08d}.wav" for k in range(normal)]
    return names + [f"{prefix}/id_00/abnormal/{k:08d}.wav" for k in range(abnormal)]


def uses(clips: tuple[Clip, ...]) -> collections.Counter:
    return collections.Counter((*clip.group, clip.split, clip.label) for clip in clips)


@pytest.mark.parametrize(
    ("prefix", "snr"),
    [
        ("fan", ""),
        ("6_dB_fan/fan", "6"),
        ("-6_dB_fan/fan", "-6"),
        ("0_dB_fan", "0"),
        ("6_dB/fan", "6"),
        ("min6dB/fan", "-6"),
        ("0dB/fan", "0"),
        ("data/MIMII/min6_dB_fan/fan", "-6"),
    ],
)
def test_mimii_layouts(touch, prefix, snr):
    clips = read_clips("mimii", touch(mimii(prefix)))
    assert uses(clips) == {
        ("fan", "00", "train", NORMAL): 4,
        ("fan", "00", "test", NORMAL): 2,
        ("fan", "00", "test", ANOMALY): 2,
    }
    assert {clip.snr for clip in clips} == {snr}
    assert [os.path.basename(c.path) for c in clips if c.split == "test" and not c.label] == [
        "00000000.wav",
        "00000001.wav",
    ]


@pytest.mark.parametrize("below", ["6_dB", "6_dB/fan", "6_dB/fan/.."])
def test_mimii_root_may_be_a_level_or_a_type(touch, below):
    clips = read_clips("mimii", touch(mimii("6_dB/fan")) / below)
    assert {(clip.machine_type, clip.machine_id, clip.snr) for clip in clips} == {
        ("fan", "00", "6")
    }


def test_mimii_levels_are_split_alike_and_chosen(touch):
    root = touch([*mimii("6_dB_fan/fan"), *mimii("min6dB/fan"), *mimii("0_dB/fan")])
    clips = read_clips("mimii", root)
    assert len(clips) == 24
    for name in {os.path.basename(clip.path) for clip in clips}:
        splits = {c.split for c in clips if c.path.endswith(f"normal/{name}") and not c.label}
        assert len(splits) == 1, "a recording under other noise must not cross the split"
    assert {clip.snr for clip in read_clips("mimii", root, snr=("0", "-6"))} == {"0", "-6"}
    with pytest.raises(UserError, match="'5'"):
        read_clips("mimii", root, snr=("5",))
    with pytest.raises(UserError, match=r"holds MIMII at 6 dB, not at 0 dB"):
        read_clips("mimii", root / "6_dB_fan", snr=("0",))


def test_messy_folders(touch):
    junk = ["fan/id_00/normal/._00000000.wav", "fan/id_00/normal/Thumbs.db", ".git/normal/x.wav"]
    junk += ["__MACOSX/fan/id_00/normal/00000009.wav", "notes.txt", "fan/id_00/normal/.DS_Store"]
    shouting = ["Lüfter 1/id_00/normal/Größe 5.WAV", "Lüfter 1/id_00/Normal/b.Flac"]
    root = touch([*mimii("fan"), *junk, *shouting])
    found = uses(read_clips("mimii", root))
    assert found["Lüfter 1", "00", "train", NORMAL] == 2
    assert sum(found.values()) == 10


def test_links_are_followed_and_may_loop(touch, tmp_path):
    root = touch(mimii("fan"))
    (tmp_path / "elsewhere").mkdir()
    (root / "fan").rename(tmp_path / "elsewhere" / "fan")
    (root / "fan").symlink_to(tmp_path / "elsewhere" / "fan", target_is_directory=True)
    (tmp_path / "elsewhere" / "fan" / "loop").symlink_to(root, target_is_directory=True)
    assert len(read_clips("mimii", root)) == 8


@pytest.mark.parametrize("wrapper", ["", "dev_data/", "dev_data/raw/"])
def test_dcase2020(touch, wrapper):
    names = [f"fan/train/normal_id_00_{k:08d}.wav" for k in range(3)]
    names += ["fan/test/normal_id_00_00000000.wav", "fan/test/anomaly_id_00_00000000.wav"]
    clips = read_clips("dcase2020", touch(wrapper + name for name in names))
    assert uses(clips) == {
        ("fan", "00", "train", NORMAL): 3,
        ("fan", "00", "test", NORMAL): 1,
        ("fan", "00", "test", ANOMALY): 1,
    }


DCASE2020_WITH_EVALUATION = [
    "fan/train/normal_id_00_00000000.wav",
    "fan/test/anomaly_id_00_00000000.wav",
    "fan/train/normal_id_01_00000000.wav",
    "fan/test/id_01_00000000.wav",
    "fan/test/id_01_00000001.wav",
    "ToyCar/train/normal_id_01_00000000.wav",
    "ToyCar/train/normal_id_05_00000000.wav",
]
LIST_2020 = (
    "fan\nid_01_00000000.wav,normal_id_01_00000098.wav,0\r\n"
    "id_01_00000001.wav,anomaly_id_01_00000064.wav,1\npump\nid_01_00000000.wav,x,1\n"
)


@pytest.mark.parametrize("place", ["root", "root/fan", "", "root/lists"])
@pytest.mark.parametrize("name", ["eval_data_list.csv", "eval_data_list_2020.csv"])
def test_dcase2020_evaluation_and_its_list(touch, tmp_path, place, name):
    root = touch(DCASE2020_WITH_EVALUATION)
    assert {clip.group for clip in read_clips("dcase2020", root)} == {
        ("fan", "00"),
        ("ToyCar", "01"),
    }
    unlabelled = read_clips("dcase2020", root, use_additional=True)
    assert uses(unlabelled)["fan", "01", "test", UNKNOWN] == 2
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / name).write_text(LIST_2020)
    (tmp_path / place / "eval_data_list_2019.csv").write_text(
        LIST_2020.replace(",normal", ",anomaly")
    )
    found = uses(read_clips("dcase2020", root, use_additional=True))
    assert found["fan", "01", "test", NORMAL] == found["fan", "01", "test", ANOMALY] == 1
    assert found["fan", "01", "train", NORMAL] == found["ToyCar", "05", "train", NORMAL] == 1


@pytest.mark.parametrize("layout", ["mimii_due", "dcase2021"])
def test_sections_domains_attributes(touch, layout):
    root = touch(
        [
            "gearbox/train/section_00_source_train_normal_0000_strenght_1_none.wav",
            "gearbox/train/section_00_target_train_normal_0001_None.wav",
            "gearbox/source_test/section_00_source_test_normal_0000.wav",
            "gearbox/target_test/section_00_target_test_anomaly_0000.wav",
            "gearbox/train/section_03_source_train_normal_0000_strength_1.wav",
        ]
    )
    clips = read_clips(layout, root)
    rows = [(c.machine_id, c.split, c.label, c.domain, c.attributes) for c in clips]
    assert rows == [
        ("00", "train", NORMAL, "source", "strenght_1_none"),
        ("00", "train", NORMAL, "target", "None"),
        ("00", "test", NORMAL, "source", ""),
        ("00", "test", ANOMALY, "target", ""),
    ]
    assert len(read_clips(layout, root, use_additional=True)) == 5


def test_dcase2021_evaluator_lists(touch, tmp_path):
    root = touch(
        [
            "eval_data/raw/fan/train/section_03_source_train_normal_0000.wav",
            "eval_data/raw/fan/source_test/section_03_source_test_0000.wav",
            "eval_data/raw/fan/target_test/section_03_target_test_0000.wav",
        ]
    )
    lists = root / "ground_truth_data"
    lists.mkdir()
    for domain, label in (("source", 1), ("target", 0)):
        (lists / f"ground_truth_fan_section_03_{domain}_test.csv").write_text(
            f"section_03_{domain}_test_0000.wav,{label}\n"
        )
    tested = [c for c in read_clips("dcase2021", root) if c.split == "test"]
    assert {(c.domain, c.label) for c in tested} == {("source", ANOMALY), ("target", NORMAL)}


YEARS = {
    "dcase2022": ("fan", "section_03_0000", "section_03_source_test_normal_0000_m-n_W"),
    "dcase2023": ("bandsaw", "section_00_0005", "section_00_source_test_anomaly_0005_vel_15"),
    "dcase2024": ("3DPrinter", "section_00_0001", "section_00_target_test_normal_0002_mdl_B"),
    "dcase2025": ("ToyPet", "section_00_0000", "section_00_target_test_anomaly_0012_id_C1_spd_2"),
}


@pytest.mark.parametrize("layout", YEARS)
@pytest.mark.parametrize("source", ["list", "evaluator", "renamed"])
def test_evaluation_sets_of_later_years(touch, layout, source):
    machine, name, labelled = YEARS[layout]
    section = name[:10]
    train = f"{section}_source_train_normal_0000_noAttribute.wav"
    root = touch([f"{machine}/train/{train}", f"{machine}/test/{name}.wav"])
    if source == "renamed":
        touch([f"{machine}/test_rename/{labelled}.wav"])
    elif source == "list":
        text = f"\ufeff{machine}\r\n{name}.wav,{labelled}.wav\r\n"
        (root / f"eval_data_list_{layout[-4:]}.csv").write_text(text)
    else:
        truths = {
            "data": str(int("anomaly" in labelled)),
            "domain": str(int("target" in labelled)),
            "attributes": labelled,
        }
        for kind, value in truths.items():
            folder = root / f"ground_truth_{kind}"
            folder.mkdir()
            path = folder / f"ground_truth_{machine}_{section}_test.csv"
            path.write_text(f"{name}.wav,{value}\n")
    clips = read_clips(layout, root)  # no development machine: the evaluation's are read
    assert len(clips) == 2
    (test,) = [clip for clip in clips if clip.split == "test"]
    assert test.label == (ANOMALY if "anomaly" in labelled else NORMAL)
    assert test.domain in labelled and test.domain
    assert test.attributes and labelled.endswith(test.attributes)


def test_2023_machines_and_additional(touch):
    train = "train/section_00_source_train_normal_0000.wav"
    test = "test/section_00_source_test_normal_0000.wav"
    root = touch([f"dev/bearing/{train}", f"dev/bearing/{test}", f"eval/Vacuum/{train}"])
    assert {c.machine_type for c in read_clips("dcase2023", root)} == {"bearing"}
    both = read_clips("dcase2023", root, use_additional=True)
    assert {c.machine_type for c in both} == {"bearing", "Vacuum"}


FOLDERS = {
    "full": (
        ["m/train/normal/a.wav", "m/test/normal/b.wav", "m/test/abnormal/c.wav"],
        {("m", "00", "train", 0): 1, ("m", "00", "test", 0): 1, ("m", "00", "test", 1): 1},
    ),
    "one machine is the root": (
        ["train/normal/a.wav", "test/normal/b.wav", "test/abnormal/c.wav"],
        {("root", "00", "train", 0): 1, ("root", "00", "test", 0): 1, ("root", "00", "test", 1): 1},
    ),
    "no train or test": (
        [*(f"m/Normal/{k}.wav" for k in range(5)), "m/ABNORMAL/2.wav"],
        {("m", "00", "train", 0): 4, ("m", "00", "test", 0): 1, ("m", "00", "test", 1): 1},
    ),
    "train only": (
        ["m 1/train/a.wav", "m 1/train/2024/b.mp3", "m 2/train/a.ogg"],
        {("m 1", "00", "train", 0): 2, ("m 2", "00", "train", 0): 1},
    ),
    "test without labels": (
        ["m/train/a.wav", "m/test/b.wav"],
        {("m", "00", "train", 0): 1, ("m", "00", "test", UNKNOWN): 1},
    ),
    "a folder of normals": (
        ["a.wav", "2024/b.WAV", "2024/may/c.flac"],
        {("root", "00", "train", 0): 3},
    ),
    "types and machines": (
        ["pump/p1/train/a.wav", "pump/line 2/p2/train/a.wav"],
        {("pump", "p1", "train", 0): 1, ("pump", "line 2/p2", "train", 0): 1},
    ),
    "abnormal in train, strays, no normals": (
        ["m/train/normal/a.wav", "m/train/abnormal/b.wav", "n/x.wav", "o/test/abnormal/a.wav"],
        {("m", "00", "train", 0): 1},
    ),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_folder_layouts(touch, case):
    names, expected = FOLDERS[case]
    assert uses(read_clips("folder", touch(names))) == expected


def test_gaps_are_logged_by_name(touch, caplog):
    root = touch(["m/train/a.wav", "o/test/abnormal/a.wav", "n/x.wav"])
    read_clips("folder", root)
    assert "m has no test clip" in caplog.text
    assert "o has no normal training clip" in caplog.text
    assert str(root / "n" / "x.wav") in caplog.text


@pytest.mark.parametrize("layout", LAYOUTS)
def test_errors_name_path_and_expectation(touch, layout, tmp_path):
    with pytest.raises(UserError, match="nowhere' does not exist"):
        read_clips(layout, tmp_path / "nowhere")
    with pytest.raises(UserError, match="does not exist"):
        read_clips(layout, "")
    with pytest.raises(UserError, match="is a file"):
        read_clips(layout, __file__)
    root = touch(["readme.txt"])
    with pytest.raises(UserError, match=r"No recording.*root"):
        read_clips(layout, root)
    touch(["somewhere/test/abnormal/sound.wav"])
    with pytest.raises(UserError, match=str(root)) as error:
        read_clips(layout, root)
    assert str(error.value).count("\n") == 0


def test_unknown_machines_list_the_known(touch):
    root = touch(mimii("fan"))
    with pytest.raises(UserError, match=r"'pump', but .* holds fan"):
        read_clips("mimii", root, machines=("pump",))


def test_machines(touch):
    root = touch([*mimii("fan"), *mimii("pump"), "pump/id_02/normal/0.wav"])
    assert {c.group for c in read_clips("mimii", root, machines=("pump",))} == {
        ("pump", "00"),
        ("pump", "02"),
    }
    assert {c.group for c in read_clips("mimii", root, machines=["pump/02"])} == {("pump", "02")}


def test_window_name_is_a_media_fragment():
    clip = Clip("a b.wav", "fan", "00", "train", 0, start=10.0, windowed=True, seconds=2.5)
    assert clip.name == "a b.wav#t=10,12.5"
    assert Clip("a.wav", "fan", "00", "train", 0).name == "a.wav"


def test_reading_a_table_imports_no_heavy_library():
    code = "import sys, asd_jax.data.clips; print({'jax', 'grain', 'soundfile'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_real_recordings(real_recordings):
    mimii_clips = read_clips("mimii", real_recordings / "mimii")
    assert len(mimii_clips) == 4 and {c.machine_id for c in mimii_clips} == {"00", "06"}
    dcase = read_clips("dcase2023", real_recordings / "dcase2023")
    assert len({c.machine_type for c in dcase}) == 7
    assert uses(dcase) == uses(read_clips("dcase2023", real_recordings / "dcase2023/dev_data/raw"))
    assert sum(c.label == NORMAL for c in dcase) == 23 and len(dcase) == 28
    motors = uses(read_clips("folder", real_recordings / "bldc_motors"))
    assert motors["motor_3", "00", "train", NORMAL] == 6
    assert not [key for key in motors if key[0] == "motor_4"]
