"""The table of a sweep: what it compares, and what it says about it."""

import dataclasses
import json
import math
import pathlib

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from asd_jax.files import write_json
from asd_jax.report.files import write_scores
from asd_jax.scoring.summary import summarise
from launch import collect, comparisons, sweep_file
from launch import table as launch_table

AREAS = """
CONFIG = "configs/ensemble.py"
TITLE = "An ablation"
METRICS = {"AUC": "mean.auc"}
REFERENCE = "whole"

def sweep():
    for seed in (0, 1, 2):
        for row in ("whole", "part"):
            yield {"row": row, "scoring.rule": row, "seed": seed}
"""


def rows(right, snr="0_dB"):
    return [
        {
            "path": f"/data/{snr}_pump/id_00/normal/{k:08d}.wav",
            "machine_type": "pump",
            "machine_id": "00",
            "label": 0,
            "score": 0.5,
            "threshold": 0.5,
            "decision": 0 if ok else 1,
        }
        for k, ok in enumerate(right)
    ]


def test_cells_are_compared_on_the_same_clips_of_the_same_seed(folder):
    table = sweep_file.read_sweep("table.py")
    right = {"a": [1] * 40, "b": [1] * 35 + [0] * 5}
    for run in table.runs:
        place = folder / "out" / run.name
        place.mkdir(parents=True)
        write_json(place / "results.json", {"classification": {"accuracy": 1.0}})
        write_scores(place / "scores.csv", rows(right[run.row]) if run.overrides["seed"] else [])
    found = comparisons.decisions_against(table, str(folder / "out"), "b")
    assert (found["only_first"], found["only_second"], found["clips"]) == (0, 5, 40)
    assert found["difference"] == pytest.approx(-0.125)
    assert found["p_value"] == pytest.approx(2 / 2**5)
    text = collect.write_table(table, str(folder / "out"))
    assert "-0.1250 [" in text and "0.062 (0 : 5 of 40)" in text
    assert "McNemar" in text and "DeLong" not in text
    (folder / "out" / "network.attention=b,seed=1" / "results.json").unlink()  # not finished
    assert comparisons.decisions_against(table, str(folder / "out"), "b") is None


def scored(row, seed):
    """Two fans and a valve, whose scores know the anomalies to some degree."""
    rng = np.random.default_rng([seed, row == "whole"])
    found = []
    for kind, name, strength in (("fan", "00", 0.3), ("fan", "02", 1.0), ("valve", "00", 2.0)):
        for k in range(30):
            score = rng.normal() + (k % 2) * strength * (1.0 + 0.7 * (row == "whole"))
            place = {"path": f"/d/{kind}/id_{name}/test/{k}.wav", "score_early_layers": -score}
            machine = {"machine_type": kind, "machine_id": name, "label": k % 2}
            found.append({**place, **machine, "score": score})
    return found


@pytest.fixture
def ablation(folder):
    """An AUC sweep with all but its last cell finished; returns it, its folder, its results."""
    (folder / "table.py").write_text(AREAS, encoding="utf-8")
    table, results = sweep_file.read_sweep("table.py"), {}
    for run in table.runs[:-1]:
        place, seed = folder / "out" / run.name, run.overrides["seed"]
        place.mkdir(parents=True)
        write_scores(place / "scores.csv", scored(run.row, seed))
        results[run.row, seed] = summarise(scored(run.row, seed), draws=0)
        write_json(place / "results.json", results[run.row, seed])
    return table, str(folder / "out"), results


def test_an_auc_is_compared_over_clips_as_the_runs_average_it(ablation):
    table, out, results = ablation
    found = comparisons.areas_against(table, out, "part")
    apart = [results["part", s]["mean"]["auc"] - results["whole", s]["mean"]["auc"] for s in (0, 1)]
    assert found["difference"] == pytest.approx(np.mean(apart), abs=1e-6) and apart[0] < 0
    assert found["recordings"] == 90  # not 180: both seeds score the same ones
    assert found["interval"][0] < found["difference"] < found["interval"][1]
    text = collect.write_table(table, out)
    low, high = found["interval"]
    assert f"| {found['difference']:+.4f} [{low:+.4f}, {high:+.4f}] |" in text
    assert "DeLong" in text and "McNemar" not in text and "1 runs are not finished." in text


def test_a_branch_and_a_pooled_auc_are_other_areas(ablation):
    table, out, results = ablation
    (branch,) = [f"mean.branches.{name}.auc" for name in results["part", 0]["mean"]["branches"]]
    expected = np.mean(
        [
            results["part", s]["mean"]["branches"]["early_layers"]["auc"]
            - results["whole", s]["mean"]["branches"]["early_layers"]["auc"]
            for s in (0, 1)
        ]
    )
    named = dataclasses.replace(table, metrics={"AUC": branch})
    found = comparisons.areas_against(named, out, "part")
    assert found["difference"] == pytest.approx(expected, abs=1e-6) and expected > 0
    pooled = dataclasses.replace(table, metrics={"AUC": "classification.auc"})
    areas = {
        key: roc_auc_score([r["label"] for r in own], [r["score"] for r in own])
        for key in results
        for own in [scored(*key)]
    }
    found = comparisons.areas_against(pooled, out, "part")
    expected = np.mean([areas["part", s] - areas["whole", s] for s in (0, 1)])
    assert found["difference"] == pytest.approx(expected, abs=1e-6)
    other = dataclasses.replace(table, metrics={"pAUC": "mean.pauc"})
    assert comparisons.score_column(other) is None


def test_a_machine_without_anomalies_has_no_part_in_the_mean():
    labels = np.array([0, 1, 0, 1, 0, 0])
    strata = np.array(["0/a", "0/a", "0/b", "0/b", "0/c", "0/c"])
    kinds = {"0/a": ("0", "fan"), "0/b": ("0", "valve"), "0/c": ("0", "fan")}
    weights = comparisons.stratum_weights(labels, strata, kinds)
    assert weights == {"0/a": 0.5, "0/b": 0.5}


def test_seeds_are_compared_in_pairs(ablation):
    table, out, results = ablation
    values = {
        row: [results[row, s]["mean"]["auc"] for s in (0, 1)] for row in ("part", "whole")
    }  # seed 2 of the part is not there, so seed 2 of the whole has no partner
    found = comparisons.seeds_against(table, out, "part")
    assert found["p_value"] == pytest.approx(stats.ttest_rel(*values.values()).pvalue)
    assert found["seeds"] == 2
    text = collect.write_table(table, out)
    assert f"{found['p_value']:.3f} (2 seeds)" in text and "AUC against whole, over seeds" in text
    stored = json.loads(pathlib.Path(out, "table.json").read_text())
    assert stored["rows"][1]["seeds"]["seeds"] == 2


def test_one_seed_says_nothing_about_seeds(folder):
    (folder / "table.py").write_text(AREAS.replace("(0, 1, 2)", "(0,)"), encoding="utf-8")
    table = sweep_file.read_sweep("table.py")
    for run in table.runs:
        place = folder / "out" / run.name
        place.mkdir(parents=True)
        write_scores(place / "scores.csv", scored(run.row, 0))
        write_json(place / "results.json", summarise(scored(run.row, 0), draws=0))
    line = collect.write_table(table, str(folder / "out")).splitlines()[5]
    assert line.startswith("| part | 1 of 1 |") and line.endswith("| – | – |")
    assert math.isnan(comparisons.seeds_against(table, str(folder / "out"), "part")["p_value"])


def test_versions_of_a_recording_are_one_recording():
    first, second = rows([1])[0], rows([1], "-6_dB")[0]
    assert comparisons.recording(first) == comparisons.recording(second)
    window = first | {"path": first["path"] + "#t=10,20"}
    assert comparisons.recording(window) == comparisons.recording(first)
    assert comparisons.recording(first | {"machine_id": "02"}) != comparisons.recording(first)


def test_the_published_difference_is_put_in_its_place(folder):
    sentence = launch_table.judge_published(sweep_file.read_sweep("table.py"))
    assert "+0.0076 is 2 of 270 images" in sentence and "p = 0.50" in sentence
    assert "0.929 to 0.977" in sentence


def test_a_leaking_split_is_shouted(folder):
    table = sweep_file.read_sweep("table.py")
    place = folder / "out" / table.runs[0].name
    place.mkdir(parents=True)
    write_json(place / "results.json", {"protocol": {"leaking_clips": 3}})
    assert "LEAKS" in collect.write_table(table, str(folder / "out"))
    assert "draws its own test clips" not in collect.write_table(table, str(folder / "out"))
