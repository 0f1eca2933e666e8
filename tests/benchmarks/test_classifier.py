"""The classifier's benchmark judges on recordings that no run has, and on the network alone."""

import types

import numpy as np

from asd_jax.data.synthetic import render
from asd_jax.data.synthetic.settings import SyntheticMachines
from asd_jax.models.rows import WIDE
from tests.benchmarks import classifier

SYNTHETIC = SyntheticMachines(
    types=("pump",), ids=("id_00",), normal=3, abnormal=2, seconds=1.0, snr=(6, -6)
)


def test_fresh_recordings_begin_where_the_runs_own_end():
    config = types.SimpleNamespace(
        synthetic=SYNTHETIC, data=types.SimpleNamespace(sample_rate=16000)
    )
    fresh = classifier.Fresh(config, {"normal": 1, "abnormal": 2})
    assert fresh.label.tolist() == [0, 0, 1, 1, 1, 1] and fresh.recordings == 3
    settings = SyntheticMachines(
        types=("pump",), ids=("id_00",), normal=3, abnormal=2, seconds=1.0, snr=(6, -6)
    )
    for place, (name, number, snr) in {
        0: ("normal", 3, 6),
        3: ("abnormal", 2, -6),
        4: ("abnormal", 3, 6),
    }.items():
        plan = render.plan_clip(settings, "pump", "id_00", name, number)
        expected = render.mix(render.render_clip(settings, plan), snr)[:, 0]
        np.testing.assert_array_equal(fresh.gather([place])[0], expected)


def test_the_network_alone_lacks_the_heads_regression_and_nothing_else():
    params = {WIDE: np.ones((4, 1)), "classifier": {"kernel": np.ones((3, 1))}}
    alone = classifier.without_wide({"params": params, "folded": {"stem": 1}})
    assert not alone["params"][WIDE].any() and params[WIDE].all()
    assert alone["params"]["classifier"] is params["classifier"] and alone["folded"] == {"stem": 1}


def test_the_table_has_each_seed_and_the_mean():
    auc = dict(zip(classifier.SCORES, (0.9, 0.8, 0.85, 0.5), strict=True))
    row = {"auc": auc, "false alarms": 0.1, "caught": 0.7}
    timed = {**row, "seconds": {"wall": 100.0, "processor": 150.0}}
    worse = {**timed, "auc": {**auc, "classifier": 0.86}}
    lines = classifier.table([{"seed": 0, **timed}, {"seed": 1, **worse}]).splitlines()
    assert lines[-1].split(" | ")[1:6] == ["0.880", "0.800", "0.850", "0.500", "+0.030"]
    assert lines[-2].startswith("| 1 | 0.860") and lines[-1].endswith("| 100 | 150 |")
    assert classifier.table([{"seed": 0, **row}]).endswith("| - | - |")
