"""Files that hold a whole detector, on tiny networks: equal to it, told apart, refused if not."""

import dataclasses
import json
import re
import subprocess
import sys

import jax
import jaxtyping
import numpy as np
import pytest
import soundfile

from asd_jax.deploy import check, files, program
from asd_jax.deploy.export import export
from asd_jax.detector import load_detector
from asd_jax.errors import UserError
from asd_jax.scoring import scorers
from tests.deploy import detectors
from tests.recipes import tiny


@pytest.fixture(scope="module", autouse=True)
def tiny_networks(tmp_path_factory):
    with tiny.in_place(tmp_path_factory) as patch:
        patch.setattr(check, "REPEATS", 1)
        # A batch of any size has no number that shapes could be checked against.
        jaxtyping.config.update("jaxtyping_disable", True)
        yield
        jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_networks):
    """A detector folder of each recipe."""
    folder = tmp_path_factory.mktemp("detectors")
    detectors.ensemble().save(str(folder / "ensemble"))
    detectors.classifier().save(str(folder / "pump_classifier"))
    return {name: str(folder / name) for name in ("ensemble", "pump_classifier")}


@pytest.fixture
def onnx():
    for name in files.PACKAGES[".onnx"]:
        pytest.importorskip(name)


@pytest.fixture
def stablehlo():
    pytest.importorskip("flatbuffers")


def test_scorers_of_domains_are_exported_and_a_branch_that_is_left_out_does_not_matter(
    trained, tmp_path, stablehlo
):
    whole = load_detector(trained["ensemble"])
    words = ("early_layers:knn", "spectral:gaussian,domains=minimum")
    scoring = dataclasses.replace(whole.config.scoring, per_branch=words)
    first, second, third = whole.scorers["spectral"]
    pairs = ((first, second), (second, third), (third, first))
    fitted = {**whole.scorers, "spectral": [scorers.Nearest(pair) for pair in pairs]}
    mixing = whole.ensemble.mixing.copy()
    mixing[:, detectors.BRANCHES.index("early_layers")] = 0.0
    changed = dataclasses.replace(
        whole,
        config=dataclasses.replace(whole.config, scoring=scoring),
        scorers=fitted,
        ensemble=dataclasses.replace(whole.ensemble, mixing=mixing),
    )
    changed.save(str(tmp_path / "detector"))
    output = str(tmp_path / "detector.bin")
    assert export(str(tmp_path / "detector"), output, platforms=["cpu"]) == 0
    detector = load_detector(str(tmp_path / "detector"))
    clips = check.generated_clips(detector)
    live = detector.each_score(clips.waves)
    assert np.abs(live - whole.each_score(clips.waves)).max() > 1e-2
    run, _ = files.read(output)
    score, _, _ = run(clips.waves[:3].astype(np.float32) / 32768)
    np.testing.assert_allclose(score, live[:3], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("recipe", ["ensemble", "pump_classifier"])
def test_an_onnx_file_gives_the_detectors_scores_for_any_batch(recipe, trained, tmp_path, onnx):
    output = str(tmp_path / "detector.onnx")
    assert export(trained[recipe], output) == 0
    detector = load_detector(trained[recipe])
    clips = check.generated_clips(detector)
    live = detector.each_score(clips.waves)
    run, about = files.read(output)
    for number in (1, 3):
        wave = clips.waves[:number].astype(np.float32) / 32768
        score, threshold, decision = run(wave)
        np.testing.assert_allclose(score, live[:number], rtol=1e-3, atol=1e-3)
        assert score.shape == threshold.shape == decision.shape
        np.testing.assert_allclose(threshold[0], detector.thresholds[: score.shape[1]], rtol=1e-6)
        expected = np.where(np.isnan(threshold), -1, score > threshold)
        np.testing.assert_array_equal(decision, expected)
    assert about["sample_rate"] == 16000 and about["samples"] == detector.samples
    names = ["/".join(group) for group in detector.groups]
    assert about["machines"] == (names if recipe == "ensemble" else ["any"])
    import onnx as package

    operations = {node.op_type for node in package.load(output).graph.node}
    assert "DFT" not in operations and "Conv" in operations


def test_a_stablehlo_file_needs_jax_alone(trained, tmp_path, stablehlo, capsys):
    output = str(tmp_path / "detector.stablehlo")
    machine = "/".join(load_detector(trained["ensemble"]).groups[2])
    assert export(trained["ensemble"], output, machine=machine, kind="int16") == 0
    said = capsys.readouterr().out
    assert "Largest difference" in said and " ms" in said and "MB" in said
    detector = load_detector(trained["ensemble"])
    clips = check.generated_clips(detector)
    np.save(tmp_path / "waves.npy", clips.waves)
    program_text = f"""
import json, sys, jax, jax.export, numpy as np
exported = jax.export.deserialize(bytearray(open({output!r}, "rb").read()))
out = exported.call(np.load({str(tmp_path / "waves.npy")!r}))
assert "asd_jax" not in sys.modules
about = json.loads(exported.fun_name)
print(json.dumps([about["machines"], np.asarray(out["score"]).tolist(), exported.platforms]))
"""
    told = subprocess.run(
        [sys.executable, "-c", program_text], capture_output=True, text=True, cwd=tmp_path
    )
    machines, score, platforms = json.loads(told.stdout)
    assert machines == [machine] and platforms == ["cpu", "cuda", "tpu"]
    expected = detector.each_score(clips.waves)[:, 2:3]
    np.testing.assert_allclose(score, expected, rtol=1e-3, atol=1e-3)


def test_fewer_bits_are_smaller_and_say_what_they_cost(trained, tmp_path, stablehlo, capsys):
    recordings = tmp_path / "fan" / "id_00"
    detector = load_detector(trained["ensemble"])
    clips = check.generated_clips(detector)
    for number, wave in enumerate(clips.waves):
        folder = recordings / ("normal", "abnormal")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{number}.wav", wave, 16000)
    output = tmp_path / "small.bin"
    options = {"precision": "int8", "recordings": [str(recordings)], "platforms": ["cpu"]}
    assert export(trained["ensemble"], str(output), **options) == 0
    said = capsys.readouterr().out
    assert "Mean AUC on 4 labelled clips" in said and "to the full weights" in said
    full = sum(np.asarray(a).nbytes for a in jax.tree.leaves(program.make_program(detector).arrays))
    assert output.stat().st_size < 0.7 * full


def test_a_branch_without_a_weight_is_left_out_with_its_networks(trained):
    detector = load_detector(trained["ensemble"])
    mixing = np.zeros_like(detector.ensemble.mixing)
    mixing[:, detector.ensemble.branches.index("statistics")] = 1.0
    lone = dataclasses.replace(
        detector, ensemble=dataclasses.replace(detector.ensemble, mixing=mixing)
    )
    made = program.make_program(lone)
    assert made.about["left_out"] == [b for b in detector.ensemble.branches if b != "statistics"]
    assert set(made.arrays.variables) <= {"normaliser"}
    clips = check.generated_clips(lone)
    found = check.traced_scores(made, clips.waves)
    assert check.difference(found, lone.each_score(clips.waves)) < 1e-5


def test_a_file_that_differs_is_removed_and_an_older_one_stays(
    trained, tmp_path, stablehlo, monkeypatch, capsys
):
    output = tmp_path / "detector.bin"
    output.write_bytes(b"older")
    write = files.write

    def wrong(path, made, platforms):
        def run(arrays, wave):
            score, *rest = made.run(arrays, wave)
            return score * 1.01 + 0.1, *rest

        write(path, dataclasses.replace(made, run=run), platforms)

    monkeypatch.setattr(files, "write", wrong)
    assert export(trained["pump_classifier"], str(output), platforms=["cpu"]) == 1
    assert "Refused" in capsys.readouterr().out
    assert [p.name for p in tmp_path.iterdir()] == ["detector.bin"]
    assert output.read_bytes() == b"older"


def test_what_cannot_be_checked_here_says_so(trained, tmp_path, stablehlo, capsys):
    output = tmp_path / "detector.bin"
    export(trained["pump_classifier"], str(output), platforms=["tpu"])
    assert "Not checked" in capsys.readouterr().out and output.exists()


def test_missing_packages_are_one_sentence(monkeypatch):
    monkeypatch.setitem(files.PACKAGES, ".onnx", ("no_such_package",))
    with pytest.raises(UserError, match=r"needs no_such_package: pip install 'asd_jax\[onnx\]'"):
        files.check_packages(".onnx")


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/a/abnormal/1.wav", 1),
        ("/a/normal/1.wav", 0),
        ("/a/test/normal_id_00_1.wav#t=10,20", 0),
        ("/a/section_00_source_test_anomaly_0001.wav", 1),
        ("/a/new/1.wav", -1),
    ],
)
def test_the_path_tells_the_label(path, label):
    clips = check.Clips((path,), np.zeros((1, 4), np.int16), ((0,),))
    assert clips.labels.tolist() == [label]


def test_differences_count_relative_to_large_scores_and_nan_as_infinite():
    assert check.difference(np.array([[1000.5]]), np.array([[1000.0]])) == pytest.approx(5e-4)
    assert check.difference(np.array([[0.1]]), np.array([[0.0]])) == pytest.approx(0.1)
    assert check.difference(np.array([[np.nan]]), np.array([[0.0]])) == np.inf


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give a file to write"),
        (["--output=x.tflite"], "give a file to write"),
        (["--output=x.onnx"], "give a detector"),
    ],
)
def test_the_command_says_what_is_missing(arguments, said):
    done = subprocess.run(
        [sys.executable, "-m", "asd_jax.export", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["ensemble", "pump_classifier"])
def test_on_all_real_recordings_an_onnx_file_gives_the_detectors_scores(
    recipe, trained, tmp_path, onnx, real_recordings, capsys
):
    output = str(tmp_path / "detector.onnx")
    assert export(trained[recipe], output, recordings=[str(real_recordings)]) == 0
    pattern = r"Largest difference to the detector: (\S+), on (\d+) clips"
    said = re.search(pattern, capsys.readouterr().out)
    wavs = sum(1 for path in real_recordings.rglob("*") if path.suffix in (".wav", ".flac"))
    assert float(said[1]) < 1e-3 and int(said[2]) >= wavs > 70
