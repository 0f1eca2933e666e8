"""Whole runs of the ensemble, on tiny networks: what a run leaves, and what a user can do to it."""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile

from asd_jax import score
from asd_jax.detector import load_detector
from asd_jax.errors import UserError
from asd_jax.recipes.ensemble import stages
from asd_jax.report.files import read_results, read_scores
from asd_jax.runs import recipe as runs
from asd_jax.train import loop
from asd_jax.train.ahead import THREAD
from tests.recipes import tiny

CONFIGS = pathlib.Path(__file__).resolve().parents[3] / "configs"


@pytest.fixture(scope="module", autouse=True)
def tiny_networks(tmp_path_factory):
    with tiny.in_place(tmp_path_factory):
        yield


def config(argument="smoke", **changes):
    small = {"data__clip_seconds": 1.0, "synthetic__seconds": 1.0, "features__n_mels": 64}
    return tiny.resolved("ensemble", argument, **(small | changes)).to_dict()


def smoke(argument="smoke", **changes):
    small = {f"{stage}__epochs": 0.5 for stage in ("pretrain", "finetune", "temporal", "fusion")}
    small |= {f"{stage}__batch_size": 8 for stage in ("pretrain", "finetune", "temporal", "fusion")}
    return config(argument, **(small | {"scoring__bootstrap": 50} | changes))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_networks):
    folder = tmp_path_factory.mktemp("finished")
    runs.run(config(), str(folder))
    return folder


def test_a_finished_run_leaves_what_the_readme_says(finished):
    names = {p.name for p in finished.iterdir()}
    expected = {"config.json", "metrics.jsonl", "scores.csv", "results.json", "report.html"}
    assert expected | {"detector", "checkpoints"} <= names
    files = {p.name for p in (finished / "detector").iterdir()}
    assert files == {"detector.json", "arrays.npz", "README.md"}
    rows, results = read_scores(finished / "scores.csv"), read_results(finished / "results.json")
    assert len(rows) == 2 * 2 * (4 + 4)
    assert {"score_fusion", "score_statistics", "threshold", "decision"} <= rows[0].keys()
    assert len(results["groups"]) == 4 and results["protocol"]["name"] == "recommended"
    assert all(0 <= group["auc"] <= 1 for group in results["groups"])
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert results["verdict"].split(".")[0] in page


def test_the_same_command_again_ends_at_once_and_changes_nothing(finished, monkeypatch, capsys):
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.is_file()}
    monkeypatch.setattr(stages, "STAGES", None)
    runs.run(config(), str(finished))
    assert {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.is_file()} == before
    assert "report.html" in capsys.readouterr().out


def test_another_config_is_refused_with_the_fields_that_differ(finished):
    with pytest.raises(UserError, match=r"seed: 0 there, 5 now"):
        runs.run(config(seed=5), str(finished))


def test_nothing_waits_to_compile_after_a_run(finished):
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(THREAD)]
    for thread in threads:
        thread.join(60.0)
    assert not any(thread.is_alive() for thread in threads)


def test_the_detector_gives_the_scores_of_the_run(finished):
    rows = read_scores(finished / "scores.csv")
    detector = load_detector(str(finished / "detector"))
    again, unreadable = score.score_paths(detector, [row["path"] for row in rows])
    assert not unreadable
    assert [(r["machine_type"], r["machine_id"]) for r in again] == [
        (r["machine_type"], r["machine_id"]) for r in rows
    ]
    np.testing.assert_allclose(
        [r["score"] for r in again], [r["score"] for r in rows], rtol=1e-4, atol=1e-4
    )
    assert [r["decision"] for r in again] == [r["decision"] for r in rows]


def interrupted(batches):
    """Sends the process a Ctrl-C while the first step has its batch."""

    @contextlib.contextmanager
    def open_batches(*arguments):
        with batches(*arguments) as inner:

            def generate():
                for number, batch in enumerate(inner):
                    if number == 0:
                        os.kill(os.getpid(), signal.SIGINT)
                    yield batch

            yield generate()

    return open_batches


@pytest.mark.slow
def test_interrupted_in_every_stage_and_taken_up_again_the_scores_are_the_same_bytes(
    finished, tmp_path, monkeypatch
):
    stops, original = [], loop._run

    def stop_once(stage, *arguments):
        if stage.name not in stops:
            stops.append(stage.name)
            stage = dataclasses.replace(stage, batches=interrupted(stage.batches))
        return original(stage, *arguments)

    monkeypatch.setattr(loop, "_run", stop_once)
    for _ in range(4):
        with pytest.raises(loop.Interrupted):
            runs.run(config(), str(tmp_path))
    runs.run(config(), str(tmp_path))
    assert stops == ["pretrain", "finetune", "temporal", "fusion"]
    assert (tmp_path / "scores.csv").read_bytes() == (finished / "scores.csv").read_bytes()


def write(path, seconds=1.0, seed=0, rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(scale=0.1, size=round(seconds * rate))
    soundfile.write(path, noise, rate)


def normals(root, machine="pump", number=8):
    for k in range(number):
        write(root / machine / "train" / "normal" / f"{k}.wav", seed=k)


def folder_run(root, workdir, **changes):
    runs.run(smoke("folder", data__root=str(root), **changes), str(workdir))
    return read_results(workdir / "results.json")


@pytest.mark.slow
def test_a_folder_of_normals_alone_gives_a_detector(tmp_path):
    for k in range(6):
        write(tmp_path / "in" / f"day {k}" / "Aufnahme ü.WAV", seed=k, seconds=2.5)
    results = folder_run(tmp_path / "in", tmp_path / "run")
    assert results["groups"] == [] and (tmp_path / "run" / "detector" / "arrays.npz").exists()
    detector = load_detector(str(tmp_path / "run" / "detector"))
    write(tmp_path / "new.wav", seed=99)
    rows, _ = score.score_paths(detector, [str(tmp_path / "new.wav")])
    assert np.isfinite(rows[0]["score"]) and rows[0]["decision"] in (0, 1)


@pytest.mark.slow
def test_one_class_only_in_the_test_set(tmp_path):
    normals(tmp_path / "in")
    for k in range(3):
        write(tmp_path / "in" / "pump" / "test" / "abnormal" / f"{k}.wav", seed=50 + k)
    results = folder_run(tmp_path / "in", tmp_path / "run")
    assert results["groups"][0]["auc"] is None
    assert "report.html" in {p.name for p in (tmp_path / "run").iterdir()}


@pytest.mark.slow
def test_an_unreadable_wav_among_good_ones_is_named_and_left_out(tmp_path):
    normals(tmp_path / "in")
    bad = tmp_path / "in" / "pump" / "train" / "normal" / "broken.wav"
    bad.write_bytes(b"RIFF nothing")
    results = folder_run(tmp_path / "in", tmp_path / "run")
    assert any("broken.wav" in note for note in results["notes"])


@pytest.mark.slow
def test_a_machine_without_normal_clips_is_named_and_the_others_go_on(tmp_path):
    normals(tmp_path / "in")
    write(tmp_path / "in" / "fan" / "test" / "abnormal" / "1.wav", seed=70)
    write(tmp_path / "in" / "pump" / "test" / "normal" / "1.wav", seed=71)
    results = folder_run(tmp_path / "in", tmp_path / "run")
    assert any("fan" in note for note in results["notes"])
    assert [g["machine_type"] for g in results["groups"]] == ["pump"]


@pytest.mark.slow
def test_fewer_clips_than_a_batch(tmp_path):
    normals(tmp_path / "in", number=3)
    folder_run(tmp_path / "in", tmp_path / "run", pretrain__batch_size=64)
    logged = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]
    assert {e["stage"] for e in logged} == {"pretrain", "finetune", "temporal", "fusion"}


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_a_missing_or_empty_root_is_one_sentence_that_names_it(tmp_path, make):
    make(tmp_path / "in")
    with pytest.raises(UserError, match=str(tmp_path / "in")):
        folder_run(tmp_path / "in", tmp_path / "run")
    with pytest.raises(UserError, match=r"config\.data\.root"):
        runs.run(smoke("mimii"), str(tmp_path / "run2"))


@pytest.mark.slow
def test_an_error_does_not_lose_what_was_computed(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    (tmp_path / "run" / "scores.csv").unlink()
    runs.run(config(), str(tmp_path / "run"))
    assert (tmp_path / "run" / "scores.csv").read_bytes() == (finished / "scores.csv").read_bytes()


@pytest.mark.slow
def test_literal_has_the_papers_two_branches(tmp_path):
    runs.run(config("smoke,literal"), str(tmp_path))
    results = read_results(tmp_path / "results.json")
    assert results["protocol"]["name"] == "literal"
    assert results["weights"] == {"fusion": 0.9, "statistics": 0.1}


@pytest.mark.slow
def test_real_recordings_run_from_wavs_to_report(real_recordings, tmp_path):
    results = folder_run(real_recordings / "bldc_motors", tmp_path / "run")
    assert results["groups"] and any("motor_4" in note for note in results["notes"])


@pytest.mark.slow
def test_an_oracles_threshold_is_for_the_report_and_marked(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    for name in ("results.json", "config.json"):
        (tmp_path / "run" / name).unlink()
    runs.run(config(scoring__threshold="eer"), str(tmp_path / "run"))
    results = read_results(tmp_path / "run" / "results.json")
    assert results["protocol"]["oracle"]
    rows = read_scores(tmp_path / "run" / "scores.csv")
    for group in {(row["machine_type"], row["machine_id"]) for row in rows}:
        own = [row for row in rows if (row["machine_type"], row["machine_id"]) == group]
        false_alarms = sum(row["decision"] == 1 for row in own if row["label"] == 0)
        missed = sum(row["decision"] == 0 for row in own if row["label"] == 1)
        assert abs(false_alarms - missed) <= 1  # four clips of each: equal but for one
    # The detector is for use: it has the threshold of a run that asked for no oracle.
    kept = load_detector(str(tmp_path / "run" / "detector")).thresholds
    np.testing.assert_array_equal(kept, load_detector(str(finished / "detector")).thresholds)


@pytest.mark.slow
def test_the_encoder_starts_from_a_file(tmp_path, monkeypatch):
    asked = []

    def loaded(name, weights, variables):
        asked.append((name, weights))
        return jax.tree.map(lambda x: jnp.full_like(x, 0.5), variables)

    monkeypatch.setattr(stages, "load_safetensors", lambda path: f"tensors of {path}")
    monkeypatch.setattr(stages, "from_timm", loaded)
    normals(tmp_path / "in", number=4)
    still = {
        "init_from": "some.safetensors",
        "pretrain__backbone__learning_rate": 0.0,
        "pretrain__backbone__weight_decay": 0.0,
        "finetune__optimizer__learning_rate": 0.0,
        "finetune__optimizer__weight_decay": 0.0,
    }
    folder_run(tmp_path / "in", tmp_path / "run", **still)
    assert asked == [("ghostnetv2", "tensors of some.safetensors")]
    variables = load_detector(str(tmp_path / "run" / "detector")).variables["encoder"]
    assert all(np.all(np.asarray(x) == 0.5) for x in jax.tree.leaves(variables["params"]))
