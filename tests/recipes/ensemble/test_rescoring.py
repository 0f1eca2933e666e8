"""A finished run scored anew: from the features that it keeps, into a folder of its own."""

import json
import shutil

import numpy as np
import pytest

from asd_jax import score
from asd_jax.detector import load_detector
from asd_jax.errors import UserError
from asd_jax.recipes.ensemble import (
    calibrate,
    evaluate,
    learned,
    networks,
    pretext,
    rescoring,
    stages,
)
from asd_jax.recipes.ensemble import clips as corpus
from asd_jax.recipes.ensemble.material import FILE, Material, fingerprint
from asd_jax.recipes.ensemble.recipe import RECIPE
from asd_jax.recipes.ensemble.settings import Ensemble
from asd_jax.report.files import read_results, read_scores
from asd_jax.runs.settings import from_config
from tests.recipes import tiny
from tests.recipes.ensemble.test_recipe import smoke

WIDTH = {"fusion": 128, "spectral": 128, "temporal": 128, "early_layers": 16}
WIDTH |= {"statistics": 3 * 64 + 32 + 52}
FRAMES = {"frame_mean": 64, "frame_square": 64, "frame_level": 1, "frame_references": 4 * 64}


def heard(rng, clips, shift=0.0):
    """Made-up features of so many clips; a faulty one's are shifted."""
    shift = np.broadcast_to(shift, clips)[:, None]
    return {
        name: rng.normal(size=(clips, width)).astype(np.float32) + shift.astype(np.float32)
        for name, width in (WIDTH | FRAMES).items()
    }


def finish(folder, values):
    """A run as training would have left it, but that its features are made up."""
    config = from_config(Ensemble, values)
    workdir = RECIPE.open_workdir(values, str(folder))
    config, clips = RECIPE.adjust(config, corpus.load(config, progress=False))
    run = stages.EnsembleRun(
        config, workdir, clips, networks.build(config, len(clips.pretext_labels.names))
    )
    rng = np.random.default_rng(0)
    faulty = np.array([clips.clips[i].label for i in clips.test])
    weak = {kind: heard(rng, len(clips.held_out), 0.2) for kind in ("tone -20 dB", "clicks")}
    material = Material(
        trained=heard(rng, len(clips.training)),
        weak=weak,
        tested=heard(rng, len(clips.test), 0.4 * faulty),
        prototypes={"spectral": rng.normal(size=(len(clips.pretext_labels.names), 1, 128))},
        clips=fingerprint(clips.names),
        heard={
            learned.name(*fault): heard(rng, len(learned.chosen(len(clips.held_out))), shift)
            for fault, shift in zip(learned.FAULTS[:3], (0.0, 1.0, 10.0), strict=True)
        },
    )
    material.save(workdir.path(FILE))
    shapes = stages.variable_shapes(run)
    variables = {k: stages.jax.tree.map(lambda s: np.zeros(s.shape), v) for k, v in shapes.items()}
    detector, loud = calibrate.fit_detector(run, variables, Material.load(workdir.path(FILE)))
    shares = [np.mean(loud[learned.name(*fault)]) for fault in learned.FAULTS[:3]]
    assert shares[0] <= shares[1] <= shares[2] == 1.0  # stronger ones are heard more often
    detector.save(workdir.path("detector"))
    (folder / "metrics.jsonl").write_text("")
    evaluate.evaluate(run, detector, Material.load(workdir.path(FILE)), {"pretrain": 1.0})
    return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    with tiny.in_place(tmp_path_factory):
        finish(folder, smoke())
        yield folder


def scores(folder):
    rows = read_scores(folder / "scores.csv")
    return {name: np.array([row[name] for row in rows]) for name in rows[0] if "score" in name}


def states(folder):
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if "rescored" not in str(p)}


def test_the_same_settings_give_the_same_scores_and_the_run_stays_as_it_is(finished, tmp_path):
    before = states(finished)
    rescoring.rescore(str(finished), {"scoring.scorer": "embedding"}, str(tmp_path / "new"))
    assert states(finished) == before
    new = tmp_path / "new"
    names = {p.name for p in new.iterdir()}
    assert {"config.json", "scores.csv", "results.json", "report.html", "detector"} <= names
    for name, values in scores(finished).items():
        np.testing.assert_allclose(scores(new)[name], values, rtol=1e-6)
    old, again = (read_results(f / "results.json") for f in (finished, new))
    assert again["mean"] == old["mean"] and again["identification"] == old["identification"]
    assert again["rescored"]["changes"] == {"scoring.scorer": "embedding"}
    assert any("Scored anew" in note for note in again["notes"])
    assert not any("asd_jax.rescore" in how for _, how in again["learned"]["next"])


def test_another_back_end_changes_its_branch_alone(finished, capsys):
    changes = {"scoring.per_branch": ("early_layers:knn,neighbours=2", "spectral:arcface")}
    rescoring.rescore(str(finished), changes)
    (new,) = finished.glob("rescored-*")
    old, now = scores(finished), scores(new)
    for branch in ("fusion", "temporal", "statistics"):
        np.testing.assert_array_equal(now[f"score_{branch}"], old[f"score_{branch}"])
    assert not np.allclose(now["score_early_layers"], old["score_early_layers"])
    material, rows = Material.load(str(finished / FILE)), read_scores(new / "scores.csv")
    unit = material.tested["spectral"] / np.linalg.norm(
        material.tested["spectral"], axis=1, keepdims=True
    )
    machines = sorted({(r["machine_type"], r["machine_id"]) for r in rows})
    own = [machines.index((r["machine_type"], r["machine_id"])) for r in rows]
    centres = material.prototypes["spectral"][own, 0]
    cosine = np.sum(unit * centres / np.linalg.norm(centres, axis=1, keepdims=True), axis=1)
    np.testing.assert_allclose(now["score_spectral"], 1 - cosine, atol=1e-5)
    detector = load_detector(str(new / "detector"))  # as `asd_jax.score` uses it
    found, unreadable = score.score_paths(detector, [rows[0]["path"]])
    assert not unreadable and np.isfinite(found[0]["score"])
    stamp = (new / "results.json").stat().st_mtime_ns
    capsys.readouterr()
    rescoring.rescore(str(finished), changes)
    assert (new / "results.json").stat().st_mtime_ns == stamp
    assert str(new / "report.html") in capsys.readouterr().out


def test_fewer_branches_and_another_threshold(finished, tmp_path):
    changes = {
        "scoring.branches": ("statistics", "early_layers"),
        "scoring.threshold": "quantile",
        "scoring.rule": "equal",
        "scoring.scorer": "gaussian",
        "scoring.smote": 1.0,
    }
    rescoring.rescore(str(finished), changes, str(tmp_path / "new"))
    results = read_results(tmp_path / "new" / "results.json")
    assert results["weights"] == {"statistics": 0.5, "early_layers": 0.5}
    assert any("config.scoring.smote changed nothing" in note for note in results["notes"])
    assert set(load_detector(str(tmp_path / "new" / "detector")).variables) == {
        "normaliser",
        "encoder",
    }
    with pytest.raises(
        UserError, match=r"needs the network fusion, temporal.*statistics, early_layers"
    ):
        shutil.copy(finished / FILE, tmp_path / "new")
        rescoring.rescore(str(tmp_path / "new"), {"scoring.branches": ("fusion",)})


def test_a_run_that_has_trained_no_network_gets_another_threshold(
    tmp_path, tmp_path_factory, monkeypatch
):
    sentence = "No network was trained."
    monkeypatch.setattr(pretext, "_why_not", lambda *_: sentence)
    monkeypatch.setattr(learned, "FAULTS", learned.FAULTS[:3])
    with tiny.in_place(tmp_path_factory):
        run = finish(tmp_path / "run", smoke(networks="auto"))
        (tmp_path / "run" / "metrics.jsonl").unlink()  # nothing was trained
        rescoring.rescore(str(tmp_path / "run"), {"scoring.false_alarm_rate": 0.02})
        with pytest.raises(UserError, match="needs the network encoder"):
            rescoring.rescore(str(tmp_path / "run"), {"scoring.branches": ("spectral",)})
    assert len(run.corpus.held_out) == len(run.corpus.training)
    (new,) = (tmp_path / "run").glob("rescored-*")
    assert (scores(new)["score"] == scores(tmp_path / "run")["score"]).all()
    old, now = (load_detector(str(f / "detector")).thresholds for f in (tmp_path / "run", new))
    assert (now > old).all()
    assert sentence in read_results(new / "results.json")["notes"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 3}, r"config\.seed needs training"),
        ({"pretrain.epochs": 3.0}, r"config\.pretrain\.epochs needs training"),
        ({"scoring.scorer": "svm"}, r"config\.scoring\.scorer"),
        ({"scoring.nothing": 1}, r"config\.scoring\.nothing is not a field"),
    ],
)
def test_what_needs_training_or_is_no_setting_is_refused(finished, changes, said):
    before = states(finished)
    with pytest.raises(UserError, match=said):
        rescoring.rescore(str(finished), changes)
    assert states(finished) == before


def test_a_folder_that_cannot_be_scored_anew_is_named(finished, tmp_path):
    change = {"scoring.scorer": "knn"}
    with pytest.raises(UserError, match=r"nowhere holds no finished run"):
        rescoring.rescore(str(tmp_path / "nowhere"), change)
    with pytest.raises(UserError, match=r"is the run itself"):
        rescoring.rescore(str(finished), change, str(finished))
    for name in ("config.json", "results.json"):
        shutil.copy(finished / name, tmp_path)
    with pytest.raises(UserError, match=r"features\.npz cannot be read"):
        rescoring.rescore(str(tmp_path), change)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | {"recipe": "pump_classifier"}))
    with pytest.raises(UserError, match=r"pump_classifier"):
        rescoring.rescore(str(tmp_path), change)


def test_features_of_other_clips_are_refused(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    with np.load(finished / FILE) as file:
        arrays = dict(file)
    np.savez(tmp_path / "run" / FILE, **(arrays | {"clips": np.array("others")}))
    with pytest.raises(UserError, match=r"recordings are no longer those"):
        rescoring.rescore(str(tmp_path / "run"), {"scoring.scorer": "knn"})
