import json

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from asd_jax.scoring import metrics, summary
from asd_jax.scoring.summary import summarise


def make_rows(seed, machine_type="fan", machine_id="00", clips=40, domains=False, **fields):
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(clips):
        label = i % 2
        domain = ("source", "target")[int(rng.random() < 0.3)] if domains else ""
        score = rng.normal() + label
        row = {"path": f"{i}.wav", "machine_type": machine_type, "machine_id": machine_id}
        row |= {"domain": domain, "label": label, "score": score, "score_a": score + rng.normal()}
        rows.append({**row, "threshold": 0.7, "decision": int(score > 0.7), **fields})
    return rows


def arrays(rows, column="score"):
    return np.array([r["label"] for r in rows]), np.array([r[column] for r in rows])


def test_a_group_holds_what_the_metrics_say():
    rows = make_rows(0)
    labels, scores = arrays(rows)
    group = summarise(rows, draws=200)["groups"][0]
    assert (group["machine_type"], group["machine_id"]) == ("fan", "00")
    assert (group["clips_normal"], group["clips_anomaly"]) == (20, 20)
    assert group["auc"] == pytest.approx(roc_auc_score(labels, scores))
    assert group["pauc"] == pytest.approx(roc_auc_score(labels, scores, max_fpr=0.1))
    assert group["pauc_raw"] == pytest.approx(metrics.pauc(labels, scores, raw=True))
    low, high = group["auc_interval"]
    assert low < group["auc"] < high
    assert group["recall"] == pytest.approx(np.mean(scores[labels == 1] > 0.7))
    assert group["false_alarm_rate"] == pytest.approx(np.mean(scores[labels == 0] > 0.7))
    assert group["threshold"] == 0.7
    assert group["recall_at_eer"] == pytest.approx(1 - group["eer"])
    branch = roc_auc_score(labels, arrays(rows, "score_a")[1])
    assert group["branches"]["a"]["auc"] == pytest.approx(branch)
    assert "domains" not in group


def test_means_go_over_ids_then_types():
    rows = [*make_rows(0), *make_rows(1, machine_id="02"), *make_rows(2, "valve")]
    found = summarise(rows, draws=0)
    first, second, third = (group["auc"] for group in found["groups"])
    mean = found["mean"]
    assert mean["by_type"]["fan"]["auc"] == pytest.approx((first + second) / 2)
    assert mean["auc"] == pytest.approx(((first + second) / 2 + third) / 2)
    assert mean["minimum"]["auc"] == min(first, second, third)
    assert mean["official"]["2020"] == pytest.approx((mean["auc"] + mean["pauc"]) / 2)
    assert set(mean["official"]) == {"2020"}
    branches = [group["branches"]["a"]["auc"] for group in found["groups"]]
    assert mean["branches"]["a"]["minimum_auc"] == min(branches)
    assert found["groups"][0]["auc_interval"] is None and found["incomplete"] == []


def test_the_years_official_means():
    rows = [*make_rows(0, domains=True), *make_rows(1, "gearbox", domains=True)]
    found = summarise(rows, draws=0)
    year_2021, year_2022 = [], []
    for machine in ("fan", "gearbox"):
        own = [row for row in rows if row["machine_type"] == machine]
        labels, scores = arrays(own)
        domain = np.array([row["domain"] for row in own])
        for name in ("source", "target"):
            keep = domain == name
            year_2021.append(roc_auc_score(labels[keep], scores[keep]))
            year_2021.append(roc_auc_score(labels[keep], scores[keep], max_fpr=0.1))
            keep |= labels == 1
            year_2022.append(roc_auc_score(labels[keep], scores[keep]))
        year_2022.append(roc_auc_score(labels, scores, max_fpr=0.1))
    assert found["mean"]["official"]["2021"] == pytest.approx(stats.hmean(year_2021))
    assert found["mean"]["official"]["2022"] == pytest.approx(stats.hmean(year_2022))
    assert found["groups"][0]["auc_target"] == pytest.approx(year_2022[1])
    assert found["groups"][0]["domains"]["source"]["auc"] == pytest.approx(year_2021[0])
    assert found["mean"]["auc_source"] == pytest.approx((year_2022[0] + year_2022[3]) / 2)


def test_harmonic_mean_clamps_zero():
    eps = np.finfo(float).eps
    assert summary.harmonic([0.0, 1.0]) == pytest.approx(stats.hmean([eps, 1.0]))


def test_one_class_is_none_and_named():
    rows = [*make_rows(0), *make_rows(1, "valve", label=0)]
    found = summarise(rows)
    valve = found["groups"][1]
    assert valve["auc"] is valve["pauc"] is valve["recall"] is valve["eer"] is None
    assert valve["auc_interval"] == [None, None]
    assert valve["false_alarm_rate"] is not None
    assert found["incomplete"] == [
        "valve: 40 normal and 0 anomalous clips with a known label give no AUC."
    ]
    assert found["mean"]["auc"] == found["groups"][0]["auc"]
    assert found["mean"]["by_type"]["valve"]["auc"] is None
    json.dumps(found, allow_nan=False)


def test_unknown_labels_and_missing_scores_count_nowhere():
    rows = make_rows(0)
    unknown = [{**row, "label": -1, "score": 99.0} for row in rows[:5]]
    broken = [{**rows[0], "score": float("nan")}]
    ours, plain = summarise([*rows, *unknown, *broken]), summarise(rows)
    assert ours["groups"] == plain["groups"] and ours["mean"] == plain["mean"]
    assert ours["incomplete"] == ["fan: 1 clips have no finite score."]


def test_all_unknown_and_nothing_at_all():
    found = summarise([{**row, "label": -1} for row in make_rows(0)])
    assert found["groups"][0]["auc"] is None and found["mean"]["official"] == {}
    json.dumps(found, allow_nan=False)
    assert summarise([])["groups"] == []


def test_rows_without_threshold_have_no_recall():
    rows = [{**row, "threshold": None, "decision": None} for row in make_rows(0)]
    group = summarise(rows)["groups"][0]
    assert group["recall"] is None and group["threshold"] is None and group["auc"] is not None
    rows = [{**row, "decision": -1} for row in make_rows(0)]  # the threshold alone is enough
    assert summarise(rows)["groups"][0]["recall"] == summarise(make_rows(0))["groups"][0]["recall"]


def test_several_noise_levels_have_figures_of_their_own():
    rows = [
        row
        for seed, machine in enumerate(("00", "02"))
        for snr in ("-6", "6")
        for row in make_rows(20 * seed + int(snr) + 6, machine_id=machine, snr=snr)
    ]
    found = summarise(rows, draws=0)
    aucs = {"-6": [], "6": []}
    for group in found["groups"]:
        own = [row for row in rows if row["machine_id"] == group["machine_id"]]
        for snr, values in aucs.items():
            labels, scores = arrays([row for row in own if row["snr"] == snr])
            values.append(roc_auc_score(labels, scores))
            assert group["snr"][snr]["auc"] == pytest.approx(values[-1])
    assert list(found["mean"]["by_snr"]) == ["-6", "6"]
    assert found["mean"]["by_snr"]["6"]["auc"] == pytest.approx(np.mean(aucs["6"]))
    one = summarise([row for row in rows if row["snr"] == "6"], draws=0)
    assert "by_snr" not in one["mean"] and "snr" not in one["groups"][0]


def test_development_and_evaluation_machines_have_official_scores_apart():
    dev = [*make_rows(0, "fan", "00", domains=True), *make_rows(1, "pump", "00", domains=True)]
    more = make_rows(2, "Vacuum", "00", domains=True)
    found = summarise(dev + more, draws=0, evaluation=lambda kind, machine: kind == "Vacuum")
    sets = found["mean"]["official_sets"]
    assert list(sets) == ["development", "evaluation"]
    assert sets["development"] == summarise(dev, draws=0)["mean"]["official"]
    assert sets["evaluation"] == summarise(more, draws=0)["mean"]["official"]
    vacuum = found["groups"][2]
    expected = stats.hmean([vacuum["auc_source"], vacuum["auc_target"], vacuum["pauc"]])
    assert sets["evaluation"]["2022"] == pytest.approx(expected)
    for rows in (dev, more):
        alone = summarise(rows, draws=0, evaluation=lambda kind, machine: kind == "Vacuum")
        assert "official_sets" not in alone["mean"]
