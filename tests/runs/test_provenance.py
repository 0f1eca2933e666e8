"""What a run says of itself, and that its page names nobody's folders."""

import dataclasses
import os
import subprocess
import types

from asd_jax.data.clips import ANOMALY, NORMAL, Clip
from asd_jax.recipes.ensemble.settings import Ensemble
from asd_jax.report.contents import Report
from asd_jax.report.html import render
from asd_jax.runs import provenance
from asd_jax.runs.settings import Data


def recordings(root, sizes):
    clips = []
    for k, size in enumerate(sizes):
        path = root / ("normal" if k % 2 else "abnormal") / f"{k}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
        clips.append(Clip(str(path), "pump", "00", "test", NORMAL if k % 2 else ANOMALY))
    return clips


def run_of(root, clips):
    config = Ensemble(data=Data(layout="folder", root=str(root)))
    return types.SimpleNamespace(
        config=config,
        corpus=types.SimpleNamespace(clips=clips),
        workdir=types.SimpleNamespace(folder=str(root / "runs" / "mine")),
    )


def test_a_digest_is_of_names_and_sizes_wherever_they_lie(tmp_path):
    config = Ensemble(data=Data(layout="folder", root="x"))
    first = recordings(tmp_path / "a", (10, 20, 30, 40))
    again = recordings(tmp_path / "b" / "c", (10, 20, 30, 40))
    other = recordings(tmp_path / "d", (10, 20, 30, 41))
    assert provenance.digest(first, config) == provenance.digest(again[::-1], config)
    assert provenance.digest(first, config) != provenance.digest(other, config)
    assert provenance.digest(first, config) != provenance.digest(first[:3], config)
    made = [Ensemble(synthetic=dataclasses.replace(Ensemble().synthetic, seed=k)) for k in (0, 1)]
    assert provenance.digest(first, made[0]) != provenance.digest(first, made[1])


def test_a_run_says_by_what_and_of_what_it_was_made(tmp_path):
    clips = recordings(tmp_path / "pumps", (10, 20, 30))
    found = provenance.made(run_of(tmp_path / "pumps", clips), {clips[0].name})
    assert found["run"] == "mine" and found["processes"] == 1
    assert found["data"]["name"] == "pumps" and found["data"]["clips"] == 3
    assert found["data"]["digest"] != found["data"]["tested"]
    assert {"asd_jax", "jax", "numpy", "python"} <= found["versions"].keys()
    assert "missing" not in found["versions"].values() and " x " in found["devices"]
    assert str(tmp_path) not in repr(found)


def test_the_commit_is_that_of_the_clone_and_of_nothing_else(tmp_path, monkeypatch):
    clone = os.path.dirname(os.path.dirname(os.path.abspath(provenance.asd_jax.__file__)))
    if os.path.exists(os.path.join(clone, ".git")):
        head = subprocess.check_output(["git", "-C", clone, "rev-parse", "HEAD"], text=True)
        assert head.startswith(provenance.commit().removesuffix("-dirty"))
    inside = tmp_path / "site-packages" / "asd_jax" / "__init__.py"  # of a wheel in a clone
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.setattr(provenance.asd_jax, "__file__", str(inside))
    assert provenance.commit() is None


def test_a_page_has_the_run_in_its_head_and_no_private_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    root = tmp_path / "pumps"
    clips = recordings(root, (10, 20, 30, 40))
    rows = tuple(
        {"path": c.name, "machine_type": "pump", "machine_id": "00", "label": c.label, "score": 1.0}
        for c in clips
    )
    report = Report(
        results={"made": provenance.made(run_of(root, clips), ()), "rescored": "/home/ann/runs/a"},
        rows=rows,
        warnings=(f"{root}/normal/1.wav is short.", "See /home/ann/notes."),
        config={"data": {"root": str(root), "cache": "/home/ann/cache"}},
        version="1.2",
    )
    page = render(provenance.without_paths(report, str(root)))
    assert str(tmp_path) not in page and "/home/ann" not in page
    assert "normal/1.wav is short." in page and "See ~/notes." in page
    head = page[page.index("<header>") : page.index("</header>")]
    for said in ("Run mine", "UTC", "pumps, 4 clips", "pump", "asd_jax 1.2 on "):
        assert said in head
    assert rows[0]["path"] == clips[0].name  # what scores.csv keeps
