"""The sweeps of Sun's tables: every row can be made, and the references stand in every table."""

import pytest

from asd_jax.models.attention import ATTENTION
from launch import sweep_file
from tests.launch.conftest import PROJECT

FOLDER = PROJECT / "configs" / "sweeps"


@pytest.mark.parametrize("table", ["sun_table4", "sun_table5", "sun_table6"])
def test_simple_references_are_columns(table):
    metrics = sweep_file.read_sweep(str(FOLDER / f"{table}.py")).metrics
    # A row's network shows in what it hears alone: the head's regression is the same in all rows.
    assert metrics["network alone"] == "references.network_alone.auc"
    assert metrics["logistic regression"] == "references.logistic_regression.auc"
    assert metrics["level alone"] == "references.level.auc"


def test_the_original_cbam_has_a_row_in_table_5():
    sweep = sweep_file.read_sweep(str(FOLDER / "sun_table5.py"))
    kinds = {run.row: run.overrides["network.attention"] for run in sweep.runs}
    assert kinds["CBAM (Woo 2018)"] == "cbam" and kinds["Improved CBAM"] == "simam_cbam"
    assert set(kinds.values()) <= set(ATTENTION)
