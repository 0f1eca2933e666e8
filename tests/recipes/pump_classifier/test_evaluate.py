"""What a run of the classifier says of its test clips."""

import numpy as np
import pytest

from asd_jax.recipes.pump_classifier import evaluate


def test_a_machines_interval_draws_recordings_too():
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(40) % 2, 10)
    score = np.repeat(rng.normal(size=40), 10) + label
    rows = [
        {"machine_type": "pump", "machine_id": "00", "label": int(y), "score": float(s)}
        for y, s in zip(label, score, strict=True)
    ]
    widths = []
    for recording in (np.arange(400), np.repeat(np.arange(40), 10)):
        entry = {"machine_type": "pump", "machine_id": "00"}
        evaluate.by_recording([entry], rows, recording, draws=300, seed=0)
        widths.append(np.ptp(entry["auc_interval"]))
    assert widths[1] > 2 * widths[0]


def test_of_a_recordings_versions_the_worst_is_shown():
    scores = (0.9, 0.2, 0.8, 0.1, 0.7, 0.6)
    rows = [{"score": score, "label": 0} for score in scores]
    order = evaluate.most_wrong(rows, np.array(["a", "b", "a", "b", "c", "c"]))
    assert order.tolist() == [0, 4, 1]


def test_cross_entropy_of_a_certain_probability_is_finite():
    label, score = np.array([0, 1, 1]), np.array([0.0, 1.0, 0.5])
    assert evaluate.cross_entropy(label, score) == pytest.approx(np.log(2) / 3)
    assert np.isfinite(evaluate.cross_entropy(1 - label, score))
