"""The notebooks on Colab's versions: a fresh environment and kernel, without the package."""

import glob
import hashlib
import json
import os
import shutil
import subprocess

import nbformat
import pytest

from tests.colab.test_notebooks import COLAB, PATHS, PINNED, mimii_pump, tagged
from tests.data import server as loopback

PYENV = os.path.join(os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv")), "versions")
PYTHON = "3.13"
PACKAGES = ("jax==0.7.2", "flax==0.11.2", "numpy==2.1.3", "ipykernel")
SHIPPED = ("asd_jax", "configs", "launch", "colab", "pyproject.toml", "README.md", "LICENSE")

pytestmark = pytest.mark.slow


def run(*line, **more):
    done = subprocess.run([str(word) for word in line], capture_output=True, text=True, **more)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository of the project as it is now, to clone from."""
    folder = tmp_path_factory.mktemp("published")
    for name in SHIPPED:
        copy = shutil.copytree if (COLAB.parent / name).is_dir() else shutil.copy
        copy(COLAB.parent / name, folder / name)
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    run("git", "init", "-q", cwd=folder)
    run("git", "add", "-A", cwd=folder)
    run("git", *who, "commit", "-q", "-m", "as it is", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """An environment with what Colab has."""
    pythons = sorted(glob.glob(os.path.join(PYENV, f"{PYTHON}*", "bin", "python3")))
    if not pythons:
        pytest.skip(f"no Python {PYTHON} under pyenv")
    folder = tmp_path_factory.mktemp("fresh") / "env"
    run(pythons[-1], "-m", "venv", folder)
    run(folder / "bin" / "python", "-m", "pip", "install", "-q", *PACKAGES)
    return folder


@pytest.fixture
def colab(fresh, tmp_path, monkeypatch):
    """A machine as Colab's, in an empty folder; returns that."""
    for name in ("PYTHONPATH", "XLA_FLAGS"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(fresh, tmp_path / "env", symlinks=True)  # a link tells Python where it is
    python = tmp_path / "env" / "bin" / "python"
    spec = {"argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]}
    spec |= {"display_name": "Colab", "language": "python"}
    kernel = tmp_path / "jupyter" / "kernels" / "colab"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(kernel.parents[1]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    content = tmp_path / "content"
    content.mkdir()
    return content


def execute(path, repository, content, *, cells=None, **parameters):
    """Runs a notebook's first code cells, or all, in the folder `content`."""
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    install = tagged(notebook, "install")
    install.source = install.source.replace('REPOSITORY = "', f'REPOSITORY = "{repository}"  # "')
    for key, value in parameters.items():
        tagged(notebook, "parameters").source += f"\n{key} = {value!r}"
    if cells:
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        notebook.cells = code[:cells]
    resources = {"metadata": {"path": str(content)}}
    NotebookClient(notebook, timeout=1800, kernel_name="colab", resources=resources).execute()
    return notebook


def test_quickstart_runs_whole(colab, repository):
    execute(PATHS[1], repository, colab, CONFIG="ensemble:smoke")
    assert (colab / "asd_jax" / "runs" / "notebook" / "report.html").exists()


@pytest.mark.parametrize("path", [p for p in PATHS if p.stem != "quickstart"], ids=lambda p: p.stem)
def test_the_first_four_cells_run(path, colab, repository, tmp_path, monkeypatch):
    if path.stem != "reproduce":
        execute(path, repository, colab, cells=4)
        return
    # The archive that it fetches is a small one of loopback's, beside the published checksums.
    content = mimii_pump(tmp_path / "synthetic")
    pinned = PINNED.format(size=len(content), md5=hashlib.md5(content).hexdigest())
    first = tmp_path / "first"
    first.mkdir()
    lines = "".join(f"    {line}\n" for line in pinned.strip().splitlines() if line)
    (first / "sitecustomize.py").write_text(f"try:\n{lines}except ImportError:\n    pass\n")
    monkeypatch.setenv("PYTHONPATH", str(first))
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    with loopback.serving() as server:
        server.files["/records/3384388/files/0_dB_pump.zip"] = content
        monkeypatch.setenv("ASD_JAX_MIRROR", server.url)
        execute(path, repository, colab, cells=4, ACCEPT_LICENCE=True)
    project = colab / "asd_jax"
    assert (project / "asd_jax_reproduce/mimii/0dB/pump/id_02").is_dir()
    assert not (project / "asd_jax" / "mimii").exists()
