"""The ONNX file of a notebook: written where it can be, else a sentence."""

import sys
import types

import pytest

from asd_jax.deploy import files
from asd_jax.errors import UserError
from asd_jax.notebook import colab, command, one_file


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """The commands that a cell ran; the export writes a file."""
    lines = []

    def run(*line):
        lines.append(line)
        if line[0] == "asd_jax.export":
            (tmp_path / "detector.onnx").write_bytes(b"0" * 2_000_000)

    monkeypatch.setattr(command, "run", run)
    return lines


@pytest.fixture
def export_line(tmp_path):
    return ("asd_jax.export", "--detector=d", f"--output={tmp_path}/detector.onnx")


def write(tmp_path):
    one_file.export("d", f"{tmp_path}/detector.onnx")


def test_it_is_written_and_where_it_lies_is_said(ran, export_line, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(files.PACKAGES, ".onnx", ("json",))
    write(tmp_path)
    assert ran == [export_line]
    assert capsys.readouterr().out == f"{tmp_path}/detector.onnx, 2.0 MB\n"


def test_colab_installs_what_is_missing_and_downloads(ran, export_line, tmp_path, monkeypatch):
    downloads = []
    module = types.SimpleNamespace(download=downloads.append)
    for name in ("google", "google.colab", "google.colab.files"):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(files.PACKAGES, ".onnx", ("no_such_package",))
    write(tmp_path)
    assert ran == [("pip", "install", "-q", "-e", ".[onnx]"), export_line]
    assert downloads == [f"{tmp_path}/detector.onnx"]


def test_elsewhere_a_sentence_says_what_to_install(ran, tmp_path, monkeypatch, capsys):
    assert not colab.on_colab()
    monkeypatch.setitem(files.PACKAGES, ".onnx", ("no_such_package",))
    write(tmp_path)
    assert ran == []
    said = capsys.readouterr().out
    assert said.startswith("Not written: a .onnx file needs no_such_package: pip install")


def test_a_refused_file_is_not_handed_over(tmp_path, monkeypatch):
    def refuse(*line):
        raise UserError("asd_jax.export ended with status 1; see what it says above.")

    monkeypatch.setitem(files.PACKAGES, ".onnx", ("json",))
    monkeypatch.setattr(command, "run", refuse)
    monkeypatch.setattr(colab, "hand_over", lambda path: pytest.fail("handed over"))
    with pytest.raises(UserError, match="status 1"):
        write(tmp_path)
