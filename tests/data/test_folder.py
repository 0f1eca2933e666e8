"""What a user's folders mean: states in names, links, what may not be read, and how it is told."""

import os

import pytest

from asd_jax.data.clips import ANOMALY, NORMAL, describe, read_clips
from asd_jax.data.layouts import folder
from asd_jax.errors import UserError
from tests.data.test_clips import uses

# Healthy and faulty ones, in languages whose words nobody here has learned by heart: some are told
# by a stem, some by a negation of what stands beside them.
OTHERS = """
i.O|n.i.O;fault_free|fault;fehlerfrei|fehlerhaft;ungestört|gestört;norm|anom;nominal|rattle
normal_0|IR007;normal operation|noisy;functional|dysfunctional;sound|unsound;regular|irregular
pre_repair|post_repair_2;goed|fout;werkt|werkt niet;bon etat|hors service;conforme|non conforme
sano|danado;sano|dañado;bom|ruim;buono|rotto;sprawny|niesprawny;dobry|uszkodzony;dobrý|vadný
ispravan|neispravan;bra|trasig;ehjä|rikki;sağlam|arızalı;İyi|Bozuk;исправен|неисправен;норма|авария
справний|несправний;καλό|χαλασμένο;سليم|تالف;良品|不良品;正常音|異常音;合格|不合格;정상|비정상
양품|불량;ดี|เสีย;baik|rusak
"""


@pytest.mark.parametrize(
    ("healthy", "faulty"),
    [
        ("working", "broken"),
        ("gesund", "defekt"),
        ("after_repair", "before_repair"),
        ("OK", "NG"),
        ("i.O.", "n.i.O."),
        ("Vorher", "Nach Reparatur 2"),
        ("run1", "BrokenBearing"),
        ("IO", "NOK"),  # of which one is known
        ("ok", "not ok"),
        ("in Ordnung", "nicht in Ordnung"),
        ("no leak", "leak"),
        ("bueno", "malo"),
        ("正常", "异常"),
        ("neuf", "de\u0301faut"),  # as macOS stores it
        *(pair.split("|") for pair in OTHERS.strip().replace("\n", ";").split(";")),
    ],
)
def test_names_that_look_like_states_are_asked_about(touch, healthy, faulty):
    root = touch(f"fan/{state}/{k}.wav" for state in (healthy, faulty) for k in range(6))
    with pytest.raises(UserError, match=r"--config\.data\.normal=.* --config\.data\.abnormal="):
        read_clips("folder", root)
    clips = read_clips("folder", root, normal=(healthy,), abnormal=(faulty,))
    assert {c.label for c in clips if f"/{faulty}/" in c.path} == {ANOMALY}
    assert {c.label for c in clips if f"/{healthy}/" in c.path} == {NORMAL}
    assert {clip.group for clip in clips} == {("fan", "00")}


@pytest.mark.parametrize(
    ("healthy", "faulty", "answer"),
    [
        ("IO", "NOK", "normal=IO --config.data.abnormal=NOK;"),
        ("no leak", "leak", "normal='no leak' --config.data.abnormal=leak;"),
        ("io", "not io", "normal=io --config.data.abnormal='not io';"),
        ("i.O.", "nicht in Ordnung", "normal=i.O. --config.data.abnormal='nicht in Ordnung';"),
        ("sound", "unsound", "normal=sound --config.data.abnormal=unsound;"),
        ("normal_0", "IR007", "normal=normal_0 --config.data.abnormal=IR007;"),
        ("werkt", "werkt niet", "normal=werkt --config.data.abnormal='werkt niet';"),
        ("fault_free", "fault", "normal=fault_free --config.data.abnormal=fault;"),
        ("true", "false", "normal=NAME --config.data.abnormal=false,true;"),
    ],
)
def test_the_likely_answer_can_be_pasted_into_a_shell(touch, healthy, faulty, answer):
    root = touch(f"{state}/{k}.wav" for state in (healthy, faulty) for k in range(2))
    with pytest.raises(UserError) as caught:
        read_clips("folder", root)
    assert answer in str(caught.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"abnormal": ("kapput",)}, "names 'kapput', which no folder or file"),
        ({"normal": ("runs",), "abnormal": ("Runs",)}, "both name 'runs'"),
    ],
)
def test_words_of_the_config_that_cannot_be_meant_are_refused(touch, words, message):
    root = touch(f"{state}/{k}.wav" for state in ("runs", "kaputt") for k in range(3))
    with pytest.raises(UserError, match=message):
        read_clips("folder", root, **words)


def test_names_of_other_case_and_with_spaces_mean_the_same(touch):
    paths = [f"Train /GOOD/{k}.wav" for k in range(4)] + ["TEST/Good/5.wav", "TEST/Tooth/6.wav"]
    clips = read_clips("folder", touch([*paths, "Validation/normal/7.wav"]))
    assert [(c.split, c.label) for c in clips] == [("train", NORMAL)] * 5 + [
        ("test", NORMAL),
        ("test", ANOMALY),
    ]
    assert {c.group for c in clips} == {clips[0].group}


def test_the_question_names_counts_and_a_likely_answer(touch):
    root = touch([*(f"fan/working/{k}.wav" for k in range(6)), "fan/broken/1.wav"])
    with pytest.raises(UserError) as error:
        read_clips("folder", root)
    assert "fan/broken (1), fan/working (6)" in str(error.value)
    assert "--config.data.normal=working --config.data.abnormal=broken" in str(error.value)


def test_states_in_the_names_of_files_are_asked_about(touch):
    root = touch(f"pump_{('normal', 'anomaly')[k % 2]}_{k}.wav" for k in range(12))
    with pytest.raises(UserError, match="anomaly in 6 file names"):
        read_clips("folder", root)
    clips = read_clips("folder", root, normal=("normal",), abnormal=("anomaly",))
    assert [c.label for c in clips if "anomaly" in c.path] == [ANOMALY] * 6
    assert [c.label for c in clips if "normal" in c.path] == [NORMAL] * 6


def test_folders_beside_good_test_ones_are_faults(touch):
    names = [f"fan/train/good/{k}.wav" for k in range(5)]
    names += ["fan/test/good/1.wav", "fan/test/bearing/1.wav", "fan/test/loose_belt/1.wav"]
    found = uses(read_clips("folder", touch(names)))
    assert found["fan", "00", "test", ANOMALY] == 2 and found["fan", "00", "test", NORMAL] == 1
    assert found["fan", "00", "train", NORMAL] == 5


def test_a_link_does_not_double_anything(touch, caplog):
    root = touch(f"pump/2024/{k}.wav" for k in range(5))
    (root / "pump" / "latest").symlink_to("2024")
    (root / "again").symlink_to("pump")
    (root / "pump" / "2024" / "newest.wav").symlink_to("4.wav")
    clips = read_clips("folder", root)
    assert len(clips) == 5 and not any("latest" in c.path or "again" in c.path for c in clips)
    assert f"3 links, the first {root / 'again'}" in caplog.text


def test_a_link_to_what_lies_around_the_root_is_not_followed(touch, caplog):
    root = touch([*(f"site/pump/{k}.wav" for k in range(3)), "site/fan/1.wav", "other/2.wav"])
    (root / "site" / "pump" / "up").symlink_to("../..")
    (root / "site" / "pump" / "more").symlink_to("../../other")
    clips = read_clips("folder", root / "site" / "pump")
    assert sorted(os.path.basename(c.path) for c in clips) == ["0.wav", "1.wav", "2.wav", "2.wav"]
    assert "up is left out: it is a link to a folder around this one" in caplog.text


def test_what_may_not_be_read_is_named(touch, monkeypatch, caplog):
    root = touch(["good/a.wav", "locked/b.wav"])
    os.mkfifo(root / "good" / "pipe.wav")
    (root / "good" / "dangling.wav").symlink_to("nowhere")
    real = os.scandir

    def refuse(folder):
        if str(folder).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert len(read_clips("folder", root)) == 1
    for name in ("locked", "pipe.wav", "dangling.wav"):
        assert f"{name} is left out" in caplog.text


@pytest.mark.parametrize(
    "names",
    [
        ("2023-01", "2023-02"),
        ("pump1", "pump2"),
        ("pos1", "pos2"),  # of the microphone
        ("load", "no load"),
        ("idle", "running", "start"),
        ("default", "fast"),
        ("good mic", "good mic 2"),
        ("Montag", "Dienstag"),
    ],
)
def test_other_names_are_not_asked_about_but_said_to_be_taken_as_healthy(touch, names):
    root = touch(f"{name}/{k}.wav" for name in names for k in range(3))
    clips = read_clips("folder", root)
    assert {(clip.split, clip.label) for clip in clips} == {("train", NORMAL)}
    told = folder.hint(clips, root)
    assert f"{len(names)} folders" in told and "--config.data.abnormal=NAME" in told
    assert "MACHINE/normal" in told


def test_where_names_say_it_there_is_no_hint(touch):
    root = touch(f"{name}/normal/{k}.wav" for name in ("pump1", "pump2") for k in range(3))
    assert folder.hint(read_clips("folder", root), root) == ""
    assert folder.hint(read_clips("folder", root / "pump1" / "normal"), root) == ""


def test_words_of_file_names_are_found_without_their_accents(touch):
    names = [f"pumpe_heil_{k}.wav" for k in range(3)] + ["pumpe_beschädigt_7.wav"]
    root = touch([*names, "pumpe_not_ok_8.wav"])
    with pytest.raises(UserError, match="beschadigt in 1 file names, not in 1 file names"):
        read_clips("folder", root)
    clips = read_clips("folder", root, normal=("heil",), abnormal=("beschadigt", "not"))
    assert sorted(c.label for c in clips) == [NORMAL] * 3 + [ANOMALY] * 2


def test_what_is_taken_as_what(touch):
    names = [f"fan/train/normal/{k}.wav" for k in range(5)] + ["fan/test/abnormal/\x1b1.wav"]
    root = touch([*names, "pump/new\nline/train/1.wav"])
    said = describe(read_clips("folder", root), root)
    assert [" ".join(line.split()) for line in said] == [
        "6 healthy, to learn from: fan/train/normal (5), pump/new\\nline/train (1)",
        "1 faulty, to test: fan/test/abnormal (1)",
    ]


@pytest.mark.parametrize("below", ["healthy", "train/normal", "Training"])
def test_a_state_or_a_split_is_no_machine(touch, below):
    root = touch(f"motor_1/{below}/{k}.wav" for k in range(3))
    clips = read_clips("folder", root / "motor_1" / below)
    assert {clip.group for clip in clips} == {("motor_1", "00")}
