"""The sweeps of Liao's tables and of MIMII's noise: every cell can be made, every figure found."""

import runpy

import numpy as np
import pytest

from asd_jax.recipes.ensemble.settings import Ensemble
from asd_jax.runs.settings import from_config
from asd_jax.scoring import references
from asd_jax.scoring.summary import summarise
from launch import sweep, sweep_file
from launch.comparisons import lookup
from tests.launch.conftest import PROJECT

TABLES = ("liao_table4", "liao_table5", "liao_table6", "liao_figure7")
SWEEPS = (*TABLES, "mimii_snr")
ENSEMBLE = runpy.run_path(str(PROJECT / "configs" / "ensemble.py"))["get_config"]


def read(name):
    return sweep_file.read_sweep(str(PROJECT / "configs" / "sweeps" / f"{name}.py"))


@pytest.mark.parametrize("name", SWEEPS)
@pytest.mark.parametrize("argument", ["", "mimii", "mimii,literal", "smoke"])
def test_every_cell_is_a_run_that_can_be(name, argument):
    found = read(name)
    for run in found.runs:
        config = ENSEMBLE(argument or found.config.partition(":")[2])
        config.update_from_flattened_dict(dict(run.overrides))
        settings = from_config(Ensemble, config.to_dict())
        assert settings.seed == run.overrides["seed"]
        if name == "mimii_snr":
            assert [str(level) for level in settings.synthetic.snr] == list(settings.data.snr)
    assert {run.overrides["seed"] for run in found.runs} == {0, 1, 2}
    assert set(found.paper) <= set(found.rows)


def made_results():
    rng = np.random.default_rng(0)
    rows = [
        {"path": f"{k}{i}", "machine_type": k, "machine_id": "a", "domain": "", "label": i % 2}
        | {"score": rng.normal() + i % 2, "threshold": 1.0, "decision": i % 2}
        for k in ("fan", "pump", "slider", "valve")
        for i in range(20)
    ]
    return summarise(rows, draws=0) | {"references": dict.fromkeys(references.NAMES, 0.5)}


@pytest.mark.parametrize("name", SWEEPS)
def test_every_column_is_a_figure_of_a_run(name):
    results = made_results()
    found = read(name)
    missing = [path for path in found.metrics.values() if lookup(results, path) is None]
    assert not missing
    assert all(set(cells) <= set(found.metrics) for cells in found.paper.values())


def test_the_tables_share_the_runs_of_the_whole_system():
    whole = {run.name for run in read("liao_table4").runs}
    for name in TABLES[1:]:
        assert whole <= {run.name for run in read(name).runs}
    assert len({run.name for name in TABLES for run in read(name).runs}) == 9


@pytest.mark.parametrize("name", SWEEPS)
def test_a_dry_run_prints_the_commands(name, capsys, tmp_path):
    path = str(PROJECT / "configs" / "sweeps" / f"{name}.py")
    assert sweep.main([f"--sweep={path}", "--dry_run", f"--out={tmp_path}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(read(name).runs)
    assert all("-m asd_jax.main" in line and "--config.seed=" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("name", SWEEPS)
def test_a_cell_runs_on_synthetic_machines(name, capsys, tmp_path):
    found = read(name)
    last = next(run for run in found.runs if run.row == found.rows[-1])
    argument = "smoke,literal" if "literal" in found.config else "smoke"
    words = [f"--config={PROJECT}/configs/ensemble.py:{argument}", f"--out={tmp_path / 'out'}"]
    words += [f"--config.data.cache={tmp_path / 'cache'}", f"--cell={last.name}", "--retries=0"]
    path = str(PROJECT / "configs" / "sweeps" / f"{name}.py")
    assert sweep.main([f"--sweep={path}", *words]) == 0, capsys.readouterr().err
    text = sweep.write_table(found, str(tmp_path / "out"))
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {last.row} |")]
    assert "1 of 3" in line and "0." in line
