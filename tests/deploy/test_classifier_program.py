"""An exported classifier says what the live one says: rows, calibration and threshold with it."""

import jax
import numpy as np
import pytest

from asd_jax.deploy.program import make_program
from asd_jax.detector import load_detector
from asd_jax.features.settings import Pictures
from asd_jax.recipes.pump_classifier import network as classifier_network
from asd_jax.recipes.pump_classifier.detector import ClassifierDetector
from asd_jax.recipes.pump_classifier.settings import Network, PumpClassifier
from asd_jax.runs.settings import Data
from asd_jax.scoring.platt import Platt


@pytest.fixture(scope="module")
def detector():
    config = PumpClassifier(
        data=Data(clip_seconds=1.0),
        features=Pictures(kind="mel", size=32, n_mels=32, normalise="per_bin"),
        network=Network(name="cnn", attention="", width=0.25, head="rows"),
    )
    rng = np.random.default_rng(0)
    variables = jax.device_get(classifier_network.build(config).init(jax.random.key(1)))
    variables["params"]["wide"] = rng.normal(size=(64, 1)).astype(np.float32)
    variables["batch_stats"]["input"]["mean"] = np.linspace(-0.5, 0.5, 32, dtype=np.float32)
    return ClassifierDetector(
        config=config,
        groups=(("pump", "00"), ("pump", "02")),
        variables=variables,
        normal_scores=(np.linspace(0, 1, 9),) * 3,
        frame_mean=np.zeros((3, 128)),
        frame_std=np.ones((3, 128)),
        calibration=Platt(0.3, 0.9),
        threshold=0.6,
    )


def sounds(clips=6):
    rng = np.random.default_rng(1)
    return (rng.normal(size=(clips, 16000)) * np.geomspace(30, 9000, clips)[:, None]).astype(
        np.int16
    )


def test_the_program_gives_the_calibrated_score_and_the_decision(detector):
    program, waves = make_program(detector), sounds()
    score, threshold, decision = jax.jit(program.run)(program.arrays, program.feed(waves))
    live = detector.each_score(waves)
    np.testing.assert_allclose(score, live, atol=1e-5)
    assert np.ptp(live) > 0.05 and np.all(np.asarray(threshold) == np.float32(0.6))
    np.testing.assert_array_equal(np.asarray(decision), live > 0.6)


def test_the_folder_keeps_calibration_and_threshold(detector, tmp_path):
    detector.save(str(tmp_path))
    again, waves = load_detector(str(tmp_path)), sounds()
    assert again.calibration == (0.3, 0.9) and again.threshold == 0.6
    np.testing.assert_allclose(again.each_score(waves), detector.each_score(waves), atol=1e-6)
    rows = again.score([(str(k), wave, (0,)) for k, wave in enumerate(waves)])
    np.testing.assert_allclose([row["score"] for row in rows], again.each_score(waves)[:, 0])
    assert [row["decision"] for row in rows] == [int(row["score"] > 0.6) for row in rows]
