"""The notebooks run from top to bottom, in a kernel of their own, on the smallest settings."""

import ast
import hashlib
import importlib
import io
import json
import os
import pathlib
import runpy
import subprocess
import sys
import types
import zipfile

import nbformat
import pytest

import asd_jax
from asd_jax.deploy import files as deploy_files
from asd_jax.errors import UserError
from tests.data import server as loopback

COLAB = pathlib.Path(__file__).resolve().parents[2] / "colab"
PATHS = sorted(COLAB.glob("*.ipynb"))
where = types.SimpleNamespace(**runpy.run_path(str(COLAB / "address.py")))
every = pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
SMALL = [
    "--config.data.clip_seconds=2",
    "--config.features.n_mels=64",
    "--config.encoder.width=0.35",
    "--config.scoring.bootstrap=50",
]
for stage in ("pretrain", "finetune", "temporal", "fusion"):
    SMALL += [f"--config.{stage}.epochs=0.5", f"--config.{stage}.batch_size=8"]


def read(path):
    return nbformat.read(path, as_version=4)


def tagged(notebook, tag):
    (cell,) = [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]
    return cell


def execute(name, parameters):
    """Runs a notebook with other parameters; returns it with its outputs."""
    from nbclient import NotebookClient

    notebook = read(COLAB / f"{name}.ipynb")
    known = {node.targets[0].id for node in ast.parse(tagged(notebook, "parameters").source).body}
    assert parameters.keys() <= known
    for key, value in parameters.items():
        tagged(notebook, "parameters").source += f"\n{key} = {value!r}"
    resources = {"metadata": {"path": str(COLAB.parent)}}
    NotebookClient(notebook, timeout=900, resources=resources).execute()
    return notebook


def outputs(notebook, kind):
    """What the cells show of one MIME type."""
    found = [o.get("data", {}).get(kind) for c in notebook.cells for o in c.get("outputs", [])]
    return [text for text in found if text]


@every
def test_says_how_to_open_it_and_keeps_no_output(path):
    notebook = read(path)
    assert "colab.research.google.com" in notebook.cells[0].source
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)


@every
def test_settings_stand_in_one_cell_and_all_install_alike(path):
    notebook = read(path)
    assert tagged(notebook, "install").source == tagged(read(PATHS[0]), "install").source
    names = [node for node in ast.parse(tagged(notebook, "parameters").source).body]
    assert names and all(isinstance(node, ast.Assign) for node in names)


@pytest.mark.parametrize(
    ("device", "extra"),
    [("", "."), ("/dev/nvidia0", ".[cuda]"), ("/dev/accel0", ".[tpu]"), ("/dev/vfio/0", ".[tpu]")],
)
def test_installs_jax_for_the_hardware(device, extra, tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "ensemble.py").touch()
    monkeypatch.chdir(tmp_path)
    exists, ran = os.path.exists, []
    there = lambda path: path == device if str(path).startswith("/dev/") else exists(path)  # noqa: E731

    def run(line, **_):
        ran.append(line)

    monkeypatch.setattr(os.path, "exists", there)
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "asd_jax", asd_jax)  # as from the folder beside it
    # What setuptools leaves in a clone tells pip's packages nothing.
    left = types.SimpleNamespace(read_text=lambda name: None)
    monkeypatch.setattr(importlib.metadata, "distributions", lambda **_: [left])
    exec(tagged(read(PATHS[0]), "install").source, {})
    assert [line[-1] for line in ran] == [extra]
    pip = types.SimpleNamespace(read_text=lambda name: "pip")
    monkeypatch.setattr(importlib.metadata, "distributions", lambda **_: [left, pip])
    exec(tagged(read(PATHS[0]), "install").source, {})
    assert len(ran) == 1


def test_asks_for_an_address_that_it_has_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="Set REPOSITORY to the address"):
        exec(tagged(read(PATHS[0]), "install").source.replace(where.setting(), "a.invalid"), {})


@every
def test_knows_no_address_but_that_of_the_project(path):
    text = path.read_text("utf-8")
    assert where.written(text, where.setting(), path.name) == text
    other = where.written(text, "https://github.com/someone/else", path.name)
    assert "/github/someone/else/blob/main/colab/" in other and "badge" in other
    assert where.written(other, where.setting(), path.name) == text


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("git@github.com:someone/asd_jax.git\n", "https://github.com/someone/asd_jax"),
        ("https://name:token@gitlab.com/a/b/c.git", "https://gitlab.com/a/b/c"),
        ("ssh://git@host.org:2222/a/b", "https://host.org/a/b"),
        ("/work/main", ""),
        ("file:///work/main.git", ""),
        ("", ""),
    ],
)
def test_a_remote_is_an_address_without_its_secrets(remote, address):
    assert where.as_address(remote) == address


# Runs first in every Python of a test: networks of a few weights, so that a run takes seconds.
TINY = """
import importlib.abc
import importlib.util
import sys


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "asd_jax.recipes.ensemble.networks":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def load_and_shrink(module):
            load(module)
            from tests.recipes import tiny

            module.build = tiny.build

        spec.loader.exec_module = load_and_shrink
        return spec


sys.meta_path.insert(0, Finder())
"""


@pytest.fixture
def kernel(monkeypatch, tmp_path):
    """The environment of a kernel and its commands; returns the file of their first lines."""
    monkeypatch.delenv("XLA_FLAGS", raising=False)  # one device, as most notebooks have
    first = tmp_path / "first" / "sitecustomize.py"
    first.parent.mkdir()
    first.touch()
    monkeypatch.setenv("PYTHONPATH", f"{first.parent}{os.pathsep}{COLAB.parent}")
    return first


@pytest.mark.slow
def test_quickstart_runs_from_top_to_bottom(kernel, tmp_path):
    settings = {"CONFIG": "configs/ensemble.py:smoke", "WORKDIR": str(tmp_path / "run")}
    notebook = execute("quickstart", settings)
    assert (tmp_path / "run" / "report.html").exists()
    assert outputs(notebook, "image/png") and "<audio" in "".join(outputs(notebook, "text/html"))


@pytest.mark.slow
def test_own_machine_runs_from_top_to_bottom(kernel, tmp_path):
    kernel.write_text(TINY)
    settings = {"CLIPS": 14, "SECONDS": 2.0, "SETTINGS": SMALL}
    settings |= {"FOLDER": str(tmp_path / "mine"), "WORKDIR": str(tmp_path / "run")}
    notebook = execute("own_machine", settings)
    assert len(outputs(notebook, "image/png")) >= 3  # the example, the training, the new ones
    assert "".join(outputs(notebook, "text/html")).count("<audio") == 4 + 4
    assert "| pump | to learn from | healthy | 14 |" in outputs(notebook, "text/markdown")[0]
    assert len((tmp_path / "run/new_scores.csv").read_text().splitlines()) == 1 + 8
    names = zipfile.ZipFile(tmp_path / "run/detector.zip").namelist()
    assert "detector/detector.json" in names
    said = "".join(o.get("text", "") for o in notebook.cells[-1].outputs)
    try:
        deploy_files.check_packages(".onnx")
    except UserError as error:
        assert said == f"Not written: {error}\n"
    else:
        assert "One clip:" in said and said.endswith(" MB\n")
        assert (tmp_path / "run/detector.onnx").stat().st_size > 1e5


def mimii_pump(folder) -> bytes:
    """An archive as MIMII's: two synthetic pumps before eight microphones."""
    from asd_jax.data import synthetic

    settings = synthetic.SyntheticMachines(
        types=("pump",), normal=14, abnormal=4, seconds=2.0, channels=8
    )
    synthetic.write_machines(folder, settings)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted((folder / "0_dB_pump").rglob("*.wav")):
            archive.write(path, f"pump/{path.relative_to(folder / '0_dB_pump')}")
    return content.getvalue()


# The archive of the test stands in for the published one.
PINNED = """
from asd_jax.data.download import tables

tables.MIMII["0_dB_pump.zip"] = ({size}, "{md5}")
"""


@pytest.mark.slow
def test_reproduce_runs_from_top_to_bottom_and_goes_on_after_a_disconnect(
    kernel, tmp_path, monkeypatch
):
    content = mimii_pump(tmp_path / "synthetic")
    pinned = PINNED.format(size=len(content), md5=hashlib.md5(content).hexdigest())
    kernel.write_text(TINY + pinned)
    monkeypatch.setenv("NO_PROXY", "*")
    drive = tmp_path / "drive"
    settings = {"MACHINE": "pump", "SNR": "0", "ACCEPT_LICENCE": True, "SETTINGS": SMALL}
    settings |= {"FOLDER": str(drive), "ARCHIVES": str(tmp_path / "zips")}
    with loopback.serving() as server:
        server.files["/records/3384388/files/0_dB_pump.zip"] = content
        monkeypatch.setenv("ASD_JAX_MIRROR", server.url)
        notebook = execute("reproduce", settings)
        asked = len(server.requests)
        finished = (drive / "runs/mimii_pump_0dB/scores.csv").read_bytes()
        (table,) = outputs(notebook, "text/markdown")
        assert "**this run (recommended, seed 0)**" in table and "its pump 02" in table
        assert "published: Liao et al. 2025" in table
        assert len(outputs(notebook, "image/png")) >= 2
        assert "".join(outputs(notebook, "text/html")).count("<audio") == 2
        assert os.listdir(tmp_path / "zips") == [] and (drive / "mimii/0dB/pump/id_02").is_dir()
        # The machine is gone, the Drive is not; the last stage had not begun.
        (drive / "runs/mimii_pump_0dB/results.json").unlink()
        again = execute("reproduce", settings)
        assert len(server.requests) == asked
    assert (drive / "runs/mimii_pump_0dB/scores.csv").read_bytes() == finished
    assert outputs(again, "text/markdown") == [table]
    results = json.loads((drive / "runs/mimii_pump_0dB/results.json").read_text())
    assert {group["machine_id"] for group in results["groups"]} == {"00", "02"}


@pytest.mark.slow
def test_reproduce_downloads_nothing_before_the_licence_is_accepted(kernel, tmp_path):
    from nbclient.exceptions import CellExecutionError

    with pytest.raises(CellExecutionError, match="pass --accept_licence"):
        execute("reproduce", {"FOLDER": str(tmp_path)})
    assert not (tmp_path / "mimii").exists()
