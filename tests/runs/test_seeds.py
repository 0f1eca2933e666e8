"""Mean and standard deviation over the runs of several seeds."""

import json

import pytest

from asd_jax.runs import seeds


@pytest.fixture
def folders(tmp_path):
    found = {}
    for seed, auc in ((0, 0.6), (1, 0.8)):
        group = {"machine_type": "fan", "machine_id": "00", "auc": auc, "pauc": None}
        results = {"mean": {"auc": auc, "pauc": 0.5}, "groups": [group]}
        found[seed] = tmp_path / f"seed={seed}"
        found[seed].mkdir()
        (found[seed] / "results.json").write_text(json.dumps(results))
    return {seed: str(path) for seed, path in found.items()}


def test_mean_and_deviation_of_every_machine_and_of_their_mean(folders):
    summary = seeds.summarise(folders)
    assert summary["seeds"] == [0, 1]
    assert summary["mean"]["auc"] == pytest.approx([0.7, 0.02**0.5])
    assert summary["mean"]["pauc"] == [0.5, 0.0]
    (group,) = summary["groups"]
    assert group["auc"] == pytest.approx([0.7, 0.02**0.5]) and group["pauc"] is None


def test_one_seed_has_no_deviation(folders):
    assert seeds.summarise({0: folders[0]})["mean"]["auc"] == [0.6, 0.0]


def test_the_table_names_machines_and_leaves_out_what_is_not_there(folders, capsys):
    seeds.say(seeds.summarise(folders))
    said = capsys.readouterr().out
    assert "Over seeds 0, 1" in said and "fan 00" in said and "AUC 0.700 +- 0.141" in said
    assert said.count("PAUC") == 1
