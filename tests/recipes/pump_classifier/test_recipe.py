"""Whole runs of the pump classifier, on a tiny network: what a run leaves, and what it says."""

import shutil

import jax
import numpy as np
import pytest
import soundfile

from asd_jax import score
from asd_jax.detector import load_detector
from asd_jax.detector_folder import read_folder
from asd_jax.errors import UserError
from asd_jax.recipes.pump_classifier import stages as classifier_training
from asd_jax.recipes.pump_classifier.detector import ClassifierDetector
from asd_jax.report.files import read_results, read_scores
from asd_jax.runs import recipe as runs
from asd_jax.train import loop
from tests.recipes import tiny


@pytest.fixture(scope="module", autouse=True)
def tiny_network(tmp_path_factory):
    with tiny.in_place(tmp_path_factory):
        yield


def config(argument="smoke", **changes):
    return tiny.resolved("pump_classifier", argument, **changes).to_dict()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_network):
    folder = tmp_path_factory.mktemp("finished")
    runs.run(config(), str(folder))
    return folder


def test_a_finished_run_leaves_what_an_ensembles_does(finished):
    names = {p.name for p in finished.iterdir()}
    expected = {"config.json", "metrics.jsonl", "scores.csv", "results.json", "report.html"}
    assert expected | {"detector", "checkpoints"} <= names
    files = {p.name for p in (finished / "detector").iterdir()}
    assert files == {"detector.json", "arrays.npz", "README.md"}
    rows, results = read_scores(finished / "scores.csv"), read_results(finished / "results.json")
    limits = {row["threshold"] for row in rows}
    assert all(0 <= row["score"] <= 1 for row in rows) and len(limits) == 1
    assert limits != {0.5}  # set by validation recordings
    assert len({row["label"] for row in rows}) == 2
    found = results["classification"]
    assert sum(found["confusion"].values()) == found["clips"] == len(rows)
    assert found["recordings"] == len(rows) / 2  # two noise levels, kept together
    right = np.mean([row["label"] == row["decision"] for row in rows])
    assert found["accuracy"] == pytest.approx(right)
    assert set(found["conditions"]) == {"0 dB", "-6 dB"}
    assert results["protocol"]["leaking_clips"] == 0
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert 'id="decisions"' in page and "gets most wrong" in page
    assert "set on healthy validation recordings" in page
    assert {"logistic_regression", "level"} == set(results["references"])
    assert "Beside simple references" in page and "unlike what it knows" not in page
    assert "The picture that the network saw" in page and 'id="branches"' not in page
    assert "unlike" not in (finished / "detector" / "README.md").read_text(encoding="utf-8")


def test_the_verdict_names_the_references_and_whether_it_has_learned(finished):
    results = read_results(finished / "results.json")
    assert f"AUC {results['classification']['auc']:.3f}; a logistic" in results["verdict"]
    assert results["validation"]["learned"] is (results["validation"]["p_value"] < 0.01)
    told = "has not learned" in results["verdict"]
    assert told is (results["validation"]["learned"] is False)
    for group in results["groups"]:
        assert group["auc_interval"][0] <= group["auc"] <= group["auc_interval"][1]


def test_metrics_hold_both_stages_and_the_validation(finished):
    events = loop.MetricsLog(str(finished / "metrics.jsonl")).read()
    assert {e["stage"] for e in events} == {"pretrain", "finetune"}
    validated = [e for e in events if "validation_loss" in e]
    assert validated and all(e["stage"] == "finetune" for e in validated)


def test_the_same_command_again_ends_at_once(finished, monkeypatch):
    monkeypatch.setattr(runs, "Trainer", None)
    before = (finished / "results.json").stat().st_mtime_ns
    runs.run(config(), str(finished))
    assert (finished / "results.json").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="seed: 0 there, 5 now"):
        runs.run(config(seed=5), str(finished))


def test_the_detector_gives_the_scores_of_the_run(finished, tmp_path):
    moved = shutil.copytree(finished / "detector", tmp_path / "moved")
    detector = load_detector(str(moved))
    rows = read_scores(finished / "scores.csv")
    again, unreadable = score.score_paths(detector, [row["path"] for row in rows])
    assert not unreadable
    np.testing.assert_allclose(
        [row["score"] for row in again], [row["score"] for row in rows], atol=2e-5
    )
    machines = [(row["machine_type"], row["machine_id"]) for row in rows]
    assert [(row["machine_type"], row["machine_id"]) for row in again] == machines
    assert all(0 <= row["percentile"] <= 100 for row in again)


def test_a_machine_never_heard_is_scored_under_its_type(finished, tmp_path):
    detector = load_detector(str(finished / "detector"))
    noise = np.random.default_rng(0).normal(0, 900, 8000).astype(np.int16)
    soundfile.write(tmp_path / "pump.wav", noise, 16000)
    rows, _ = score.score_paths(detector, [str(tmp_path / "pump.wav")])
    assert (rows[0]["machine_type"], rows[0]["machine_id"]) == ("pump", "")
    assert 0 <= rows[0]["score"] <= 1


def test_an_interrupted_run_goes_on_to_the_same_scores(finished, tmp_path, monkeypatch):
    offered = classifier_training.validate

    def interrupt(*args):
        monkeypatch.setattr(classifier_training, "validate", offered)
        raise loop.Interrupted("enough")

    monkeypatch.setattr(classifier_training, "validate", interrupt)
    with pytest.raises(loop.Interrupted):
        runs.run(config(save_seconds=0.0), str(tmp_path))
    runs.run(config(), str(tmp_path))
    assert (tmp_path / "scores.csv").read_bytes() == (finished / "scores.csv").read_bytes()


def test_the_printed_protocol_says_that_it_leaks(tmp_path):
    runs.run(config("smoke,literal"), str(tmp_path))
    results = read_results(tmp_path / "results.json")
    assert {row["threshold"] for row in read_scores(tmp_path / "scores.csv")} == {0.5}
    assert results["protocol"]["calibration"] == {"slope": 1.0, "offset": 0.0}
    assert results["protocol"]["split"] == "sun_721" and results["protocol"]["name"] == "literal"
    assert results["protocol"]["leaking_clips"] > 0
    assert "leaks" in results["verdict"] and any("leaks" in note for note in results["notes"])
    assert any("Pre-training heard" in note for note in results["notes"])
    assert "This split leaks" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_one_machine_left_out(tmp_path):
    runs.run(
        config(split__rule="leave_one_id_out", pretrain__snr="", finetune__ema=0.5), str(tmp_path)
    )
    rows = read_scores(tmp_path / "scores.csv")
    assert {row["machine_id"] for row in rows} == {"02"}
    assert not (tmp_path / "checkpoints" / "pretrain").exists()
    assert "report.html" in {p.name for p in tmp_path.iterdir()}


def test_the_best_by_validation_is_kept_not_the_last(tmp_path, monkeypatch):
    losses = iter([0.2, 0.9, 0.9])
    seen = []

    def validate(run, variables):
        seen.append(jax.device_get(variables))
        return {"validation_loss": next(losses)}

    monkeypatch.setattr(classifier_training, "validate", validate)
    runs.run(config(finetune__epochs=1.5, pretrain__snr=""), str(tmp_path))
    kept = load_detector(str(tmp_path / "detector")).variables
    jax.tree.map(np.testing.assert_array_equal, kept["params"], seen[0]["params"])
    with pytest.raises(AssertionError):
        jax.tree.map(np.testing.assert_array_equal, kept["params"], seen[-1]["params"])


def test_a_detector_of_an_earlier_version_decides_as_it_did(finished):
    detector = load_detector(str(finished / "detector"))
    about, arrays = read_folder(str(finished / "detector"))
    for name in ("calibration", "threshold"):
        arrays = {key: value for key, value in arrays.items() if key != name}
    older = ClassifierDetector.from_parts(about, arrays)
    assert older.threshold == 0.5 and older.calibration == (1.0, 0.0)
    assert detector.calibration != (1.0, 0.0) and detector.calibration.slope > 0


def test_patience_ends_fine_tuning_early(tmp_path, monkeypatch):
    losses = iter([0.2, *[0.9] * 99])
    monkeypatch.setattr(
        classifier_training, "validate", lambda run, variables: {"validation_loss": next(losses)}
    )
    settings = {"finetune__epochs": 30.0, "finetune__patience": 3.0}
    runs.run(config(**settings), str(tmp_path))
    events = loop.MetricsLog(str(tmp_path / "metrics.jsonl")).read()
    validated = [event["step"] for event in events if "validation_loss" in event]
    assert 4 <= len(validated) <= 5
    # As when the run is told to go on: nothing more is trained.
    (tmp_path / "results.json").unlink()
    runs.run(config(**settings), str(tmp_path))
    again = loop.MetricsLog(str(tmp_path / "metrics.jsonl")).read()
    assert max(e["step"] for e in again if e["stage"] == "finetune") == max(validated)
