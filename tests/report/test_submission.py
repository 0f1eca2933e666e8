"""Submission files, read as the challenges' evaluators read them."""

import csv
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from asd_jax.errors import UserError
from asd_jax.report.files import write_scores
from asd_jax.report.submission import write_submission
from asd_jax.scoring import metrics


def names(year, domain, section, label, number):
    word = ("normal", "anomaly")[label]
    if year == 2020:
        return f"{word}_id_{section}_{number:08d}.wav"
    return f"section_{section}_{domain}_test_{word}_{number:04d}.wav"


def finished(folder, year, **changes):
    rng = np.random.default_rng(year)
    rows = [
        {
            "path": f"/data/{machine}/test/{names(year, domain, section, label, number)}",
            "machine_type": machine,
            "machine_id": section,
            "domain": domain if year > 2020 else "",
            "label": label,
            "score": float(rng.normal() + label) * 1e-3,
            "threshold": 5e-4,
            "decision": int(rng.integers(2)),
        }
        | changes
        for machine in ("fan", "ToyCar")
        for section in ("00", "02")
        for domain in ("source", "target")
        for label in (0, 1)
        for number in range(6)
    ]
    rows = [
        row | {"path": row["path"].replace("_0000", f"_{i:04d}", 1)} for i, row in enumerate(rows)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    write_scores(folder / "scores.csv", [rows[i] for i in rng.permutation(len(rows))])
    (folder / "config.json").write_text(json.dumps({"data": {"layout": f"dcase{year}"}}))
    return rows


def evaluator(folder, year, truth):
    """AUC and pAUC of each file: the truth's names in any order, looked up one by one."""
    found = {}
    for path in sorted(pathlib.Path(folder).glob("anomaly_score_*.csv")):
        with path.open(newline="") as file:
            scores = {row[0]: float(row[1]) for row in csv.reader(file)}
        labels = [truth[name] for name in scores]
        values = list(scores.values())
        found[path.stem.removeprefix("anomaly_score_")] = (
            roc_auc_score(labels, values),
            roc_auc_score(labels, values, max_fpr=0.1),
        )
        decisions = path.with_name(path.name.replace("anomaly_score", "decision_result"))
        assert decisions.exists() == (year > 2020)
        if year > 2020:
            with decisions.open(newline="") as file:
                read = {row[0]: int(row[1]) for row in csv.reader(file)}
            assert read.keys() == scores.keys() and set(read.values()) <= {0, 1}
    return found


@pytest.mark.parametrize("year", range(2020, 2026))
def test_evaluators_find_the_areas_that_we_measure(year, tmp_path):
    rows = finished(tmp_path / "run", year)
    paths = write_submission(str(tmp_path / "run"), str(tmp_path / "out"))
    assert paths == sorted(paths) and {str(p) for p in (tmp_path / "out").iterdir()} == set(paths)
    truth = {row["path"].rsplit("/")[-1]: row["label"] for row in rows}
    found = evaluator(tmp_path / "out", year, truth)
    ending = {2020: "{m}_id_{s}", 2021: "{m}_section_{s}_{d}_test"}.get(
        year, "{m}_section_{s}_test"
    )
    groups = {}
    for row in rows:
        name = ending.format(m=row["machine_type"], s=row["machine_id"], d=row["domain"])
        groups.setdefault(name, []).append(row)
    assert found.keys() == groups.keys()
    for name, own in groups.items():
        labels, scores = (np.array([row[field] for row in own]) for field in ("label", "score"))
        expected = metrics.auc(labels, scores), metrics.pauc(labels, scores)
        assert found[name] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("changes", "year", "said"),
    [
        ({"score": float("nan")}, None, "has no score"),
        ({"decision": -1}, None, "has no decision"),
        ({"domain": ""}, 2021, "has no domain"),
        ({}, 2019, "known are 2020 to 2025"),
    ],
)
def test_what_a_submission_cannot_be_made_of(changes, year, said, tmp_path):
    finished(tmp_path, 2023, **changes)
    with pytest.raises(UserError, match=said):
        write_submission(str(tmp_path), str(tmp_path / "out"), year=year)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("year", range(2020, 2026))
def test_renamed_copies_are_taken_only_where_the_evaluator_knows_them(year, tmp_path):
    rows = finished(tmp_path, year)
    copies = [row | {"path": row["path"].replace("/test/", "/test_rename/")} for row in rows]
    write_scores(tmp_path / "scores.csv", copies)
    if year < 2023:
        with pytest.raises(UserError, match=f"which {year}'s evaluator would take for another"):
            write_submission(str(tmp_path), str(tmp_path / "out"))
    else:
        assert write_submission(str(tmp_path), str(tmp_path / "out"))


def test_the_year_is_asked_for_where_the_data_set_has_none(tmp_path):
    finished(tmp_path, 2023)
    (tmp_path / "config.json").write_text(json.dumps({"data": {"layout": "mimii"}}))
    with pytest.raises(UserError, match="mimii, no DCASE challenge: give --year"):
        write_submission(str(tmp_path), str(tmp_path / "out"))
    assert write_submission(str(tmp_path), str(tmp_path / "out"), year=2024)


def test_the_command_writes_and_names_the_files(tmp_path):
    finished(tmp_path / "run", 2025)
    command = [sys.executable, "-m", "asd_jax.submission", f"--output={tmp_path}/out"]
    done = subprocess.run([*command, f"--workdir={tmp_path}/run"], capture_output=True, text=True)
    assert done.returncode == 0 and len(done.stdout.split()) == 8
    done = subprocess.run([*command, f"--workdir={tmp_path}"], capture_output=True, text=True)
    assert done.returncode == 2 and "is no finished run" in done.stderr
