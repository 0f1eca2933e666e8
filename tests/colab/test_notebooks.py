"""The notebooks run from top to bottom, in a kernel of their own, on the smallest settings."""

import pathlib

import nbformat
import pytest

COLAB = pathlib.Path(__file__).resolve().parents[2] / "colab"


def read(path):
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("path", sorted(COLAB.glob("*.ipynb")), ids=lambda p: p.stem)
def test_opens_with_a_badge_and_keeps_no_output(path):
    notebook = read(path)
    assert "colab-badge.svg" in notebook.cells[0].source
    assert not any(cell.get("outputs") for cell in notebook.cells)


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(COLAB.glob("*.ipynb")), ids=lambda p: p.stem)
def test_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(COLAB.parent))
    notebook = read(path)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = f'CONFIG = "configs/ensemble.py:smoke"\nWORKDIR = "{tmp_path}/run"'
    NotebookClient(
        notebook, timeout=900, resources={"metadata": {"path": str(COLAB.parent)}}
    ).execute()
    assert (tmp_path / "run" / "report.html").exists()
