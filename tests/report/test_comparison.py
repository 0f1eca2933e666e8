"""Runs beside each other: figures, what is beyond the first run's, settings, and the page."""

import numpy as np
import pytest

from asd_jax.errors import UserError
from asd_jax.files import write_json
from asd_jax.report import comparison
from asd_jax.report.files import write_scores
from asd_jax.scoring.summary import summarise

MACHINES = (("fan", "00"), ("fan", "02"), ("valve", "00"))


def scored(skill, seed, clips=80, versions=("0_dB",)):
    """Rows of two classes; what is common to all runs is most of what a score is."""
    common, own = np.random.default_rng(1), np.random.default_rng(seed)
    found = []
    for kind, number in MACHINES:
        for k in range(clips):
            label, level, noise = k % 2, common.normal(), own.normal()
            found += [
                {
                    "path": f"/home/ann/{v}_{kind}/{kind}/id_{number}/{label}/{k:03}.wav",
                    "machine_type": kind,
                    "machine_id": number,
                    "label": label,
                    "score": skill * label + level + 0.2 * noise,
                    "threshold": None,
                    "decision": None,
                }
                for v in versions
            ]
    return found


def run(folder, rows, **config):
    folder.mkdir()
    write_scores(folder / "scores.csv", rows)
    results = summarise(rows, draws=0) | {"made": config.pop("made", {"version": "1"})}
    write_json(folder / "results.json", results)
    write_json(folder / "config.json", {"seed": 0, "scoring": {"scorer": "knn"}, **config})
    return str(folder)


def test_a_gap_is_paired_on_the_same_clips_and_the_figures_are_those_of_the_runs(tmp_path):
    rows = scored(0.5, 2), scored(0.8, 3)
    first, second = (run(tmp_path / n, r) for n, r in zip("ab", rows, strict=True))
    one, two = comparison.compare([first, second], draws=200)
    for member, own in zip((one, two), rows, strict=True):
        mean = summarise(own, draws=0)["mean"]
        assert member.figures["auc"][comparison.ALL] == pytest.approx(mean["auc"])
        assert member.figures["pauc"][comparison.ALL] == pytest.approx(mean["pauc"])
    gap = two.gaps["auc"][comparison.ALL]
    assert gap.sure and gap.interval[0] < gap.difference < gap.interval[1]
    assert set(two.gaps["auc"]) == {"", "fan 00", "fan 02", "valve"} and not one.gaps
    # The same figures from recordings of other names: no longer sure, and it says so.
    moved = [row | {"path": row["path"].replace(".wav", "x.wav")} for row in rows[1]]
    _, apart = comparison.compare([first, run(tmp_path / "c", moved)], draws=200)
    wide = apart.gaps["auc"][comparison.ALL]
    assert np.ptp(wide.interval) > 1.5 * np.ptp(gap.interval)
    assert wide.difference == pytest.approx(gap.difference) and not two.unpaired
    assert "240 clips of the first run are not here" in comparison.how(apart)


def test_the_same_run_in_two_places_differs_in_nothing(tmp_path):
    rows = scored(0.5, 2)
    moved = [row | {"path": row["path"].replace("/home/ann", "/data")} for row in rows]
    _, two = comparison.compare([run(tmp_path / "a", rows), run(tmp_path / "b", moved)], draws=200)
    gap = two.gaps["pauc"][comparison.ALL]
    assert gap.difference == 0 and gap.interval == (0, 0) and not gap.sure and not two.unpaired


def test_versions_of_a_recording_make_no_interval_narrower(tmp_path):
    widths = []
    for name, versions in (("x", ("0_dB",)), ("y", ("0_dB", "6_dB", "-6_dB"))):
        folders = [
            run(tmp_path / f"{name}{k}", scored(skill, seed, versions=versions))
            for k, (skill, seed) in enumerate([(0.5, 2), (0.8, 3)])
        ]
        _, two = comparison.compare(folders, draws=200)
        widths.append(np.ptp(two.gaps["auc"][comparison.ALL].interval))
    assert widths[1] == pytest.approx(widths[0], rel=1e-6)


@pytest.mark.parametrize("change", ["label", "content"])
def test_other_labels_and_other_recordings_of_the_same_names_are_unpaired(tmp_path, change):
    rows, other, tested = scored(0.5, 2), scored(0.5, 2), "a1"
    if change == "label":
        other[0]["label"] = 1
    else:
        tested = "b2"
    folders = [
        run(tmp_path / "a", rows, made={"data": {"tested": "a1"}}),
        run(tmp_path / "b", other, made={"data": {"tested": tested}}),
    ]
    _, two = comparison.compare(folders, draws=200)
    said = {"label": "1 clips are labelled otherwise", "content": "are other recordings"}
    assert said[change] in comparison.how(two)


def test_settings_that_differ_are_told_field_by_field_and_nobodys_home_is(tmp_path):
    folders = [
        run(tmp_path / "a", scored(0.5, 2), data={"root": "/home/ann/mine"}),
        run(tmp_path / "b", scored(0.5, 2), seed=1, data={"root": "/home/bob/ours"}, new=(1, 2)),
    ]
    members = comparison.compare(folders, draws=200)
    settings, made = comparison.differences(members)
    assert dict(settings) == {
        "config.seed": ["0", "1"],
        "config.data.root": ["…/mine", "…/ours"],
        "config.new": ["–", "1, 2"],
    }
    assert made == []
    comparison.write_page(tmp_path / "page.html", members)
    page = (tmp_path / "page.html").read_text("utf-8")
    for text in (page, comparison.as_text(members)):
        assert "config.seed" in text and "…/ours" in text and "valve" in text
        assert "/home" not in text and str(tmp_path) not in text
    assert "<script" not in page and "src=" not in page


def test_runs_without_labelled_faults_have_settings_alone(tmp_path):
    rows = [row | {"label": 0} for row in scored(0.5, 2)]
    members = comparison.compare(
        [run(tmp_path / "a", rows), run(tmp_path / "b", rows, seed=3)], draws=200
    )
    assert "no machine has both" in comparison.as_text(members)
    assert "config.seed: 0 | 3" in comparison.as_text(members)
    comparison.write_page(tmp_path / "page.html", members)


def test_what_cannot_be_compared_is_one_sentence(tmp_path):
    first = run(tmp_path / "a", scored(0.5, 2))
    for folders, said in (
        ([first], "two finished runs"),
        ([first, first], "given twice"),
        ([first, str(tmp_path)], "no finished run"),
    ):
        with pytest.raises(UserError, match=said):
            comparison.compare(folders, draws=200)


def test_the_first_of_many_is_what_all_are_compared_with(tmp_path):
    folders = [run(tmp_path / n, scored(0.5 + 0.2 * k, k)) for k, n in enumerate("abc")]
    members = comparison.compare(folders, draws=200)
    gaps = [m.gaps["auc"][comparison.ALL].difference for m in members[1:]]
    own = [m.figures["auc"][comparison.ALL] for m in members]
    assert gaps == pytest.approx([own[1] - own[0], own[2] - own[0]])
    assert [m.name for m in members] == ["a", "b", "c"]
