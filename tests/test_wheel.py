"""What is built is installed, and used from an empty folder with no clone about."""

import os
import pathlib
import subprocess
import sys
import sysconfig
import tarfile
import venv

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of wheel and sdist; the wheel is built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    line = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """Runs a line in an empty folder, where the wheel is installed; returns what it said.

    What the package needs is that of this Python: only the package itself is the wheel's.
    """
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "env", with_pip=True)
    programs = folder / "env" / "bin"
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "XLA_FLAGS")}
    environment |= {"PATH": f"{programs}{os.pathsep}{environment['PATH']}"}
    environment |= {"XDG_CACHE_HOME": str(folder / "cache"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    empty = folder / "empty"
    empty.mkdir()

    def run(line, status=0):
        done = subprocess.run(
            line, shell=True, cwd=empty, env=environment, capture_output=True, text=True
        )
        assert done.returncode == status, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    (wheel,) = built.glob("*.whl")
    run(f"python -m pip install --no-deps --no-index {wheel}")
    ours = run("python -c \"import sysconfig; print(sysconfig.get_path('purelib'))\"").strip()
    pathlib.Path(ours, "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run.folder, run.cache, run.packages = empty, folder / "cache", ours
    return run


def test_the_package_is_the_wheels_and_leaves_common_names_alone(installed):
    assert installed("python -c 'import asd_jax; print(asd_jax.__file__)'").startswith(
        installed.packages
    )
    names = {path.name for path in pathlib.Path(installed.packages).iterdir()}
    assert "asd_jax" in names and not names & {"launch", "configs", "tests"}


def test_the_quickstarts_smoke_and_a_score_run_from_an_empty_folder(installed):
    installed("asd-jax train --config=ensemble:smoke")
    run = installed.folder / "runs" / "ensemble-smoke"
    assert (run / "report.html").exists()
    finished = (run / "results.json").read_bytes()
    # The README's form names the same run, which is finished.
    installed("python -m asd_jax.main --config=configs/ensemble.py:smoke")
    assert (run / "results.json").read_bytes() == finished
    clip = sorted(installed.cache.rglob("*.wav"))[0]
    said = installed(f"asd-jax score --detector=runs/ensemble-smoke/detector '{clip}'")
    assert clip.name in said


def test_the_other_commands_find_their_files_and_folders(installed):
    assert "--config=configs/pump_classifier.py" in installed("asd-jax sweep sun_table5 --on=print")
    page = installed("timeout -s INT 20 asd-jax monitor --detector=nowhere", status=2)
    assert "nowhere holds no detector" in page
    said = installed("asd-jax doctor")
    assert installed.packages in said and "missing" not in said
    said = installed("asd-jax train --config=nothing", status=2)
    assert "none of ensemble, " in said
    assert "clone" not in installed("asd-jax train --config=ensemble:folder", status=2)


def test_the_sdist_holds_what_its_tests_need(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    wanted = {"README.md", "LICENSE", "pyproject.toml", "tests/conftest.py", "configs/ensemble.py"}
    assert wanted <= names and "launch/sweep.py" in names and "colab/quickstart.ipynb" in names
