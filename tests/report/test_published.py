"""A run's numbers beside published ones: told apart, each with its source."""

from asd_jax.report.published import MIMII, beside


def results(layout="mimii"):
    groups = [
        {"machine_type": "fan", "machine_id": "00", "auc": 0.5, "pauc": None},
        {"machine_type": "fan", "machine_id": "02", "auc": 0.7, "pauc": 0.6},
        {"machine_type": "pump", "machine_id": "00", "auc": 0.8, "pauc": 0.75},
    ]
    by_type = {"fan": {"auc": 0.6, "pauc": 0.6}, "pump": {"auc": 0.8, "pauc": 0.75}}
    protocol = {"name": "recommended", "layout": layout, "snr": ["0"]}
    return {"protocol": protocol, "seed": 3, "groups": groups, "mean": {"by_type": by_type}}


def rows(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_measured_and_published_are_told_apart():
    fan, pump = (rows(table) for table in beside(results()).split("\n\n"))
    assert fan[0][:3] == ["fan", "AUC", "pAUC"] and len({len(row) for row in fan}) == 1
    assert fan[2][:4] == ["**this run (recommended, seed 3)**", "0.600", "0.600", "0"]
    assert fan[3][:3] == ["its fan 00", "0.500", "–"]
    measured = [row for row in fan[2:] if row[-1] == "measured here"]
    published = [row for row in fan[2:] if row[-1].startswith("published: ")]
    assert len(measured) == 3 and len(published) == 3 and len(fan) == 8
    assert {row[4] for row in measured} == {"fan, pump"}
    assert ["0.956", "0.873", "not said"] in [row[1:4] for row in published]
    assert pump[3][:2] == ["its pump", "0.800"]  # no other pump to tell it from
    assert [row[1] for row in pump[4:]] == ["0.936", "0.964"]


def test_other_data_sets_stand_alone():
    assert "published" not in beside(results("folder"))


def test_every_machine_type_has_the_published_ensemble():
    assert {p.machine for p in MIMII if p.pauc} == {"fan", "pump", "slider", "valve"}
    assert all(0.5 < p.auc <= 1 and p.source and p.trained for p in MIMII)
