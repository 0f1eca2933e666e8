"""What a run says of its test clips beside the simple references."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score

from asd_jax.recipes.ensemble import evaluate


def test_references_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    trained_group, group = np.repeat([0, 1], 30), np.repeat([0, 1, 2], 20)
    labels = np.tile([0, 1], 30)
    labels[group == 2] = 0  # one class only: not in the mean
    shift = np.linspace(0.0, 1.5, 20)
    trained = {
        "frame_level": rng.normal(size=(60, 1)),
        "frame_references": rng.normal(size=(60, 20)),
    }
    tested = {
        "frame_level": rng.normal(size=(60, 1)) + 2.0 * labels[:, None],
        "frame_references": rng.normal(size=(60, 20)) - shift * labels[:, None],
    }
    found = evaluate.references(trained_group, trained, group, labels, tested)
    names = ("mean_log_mel", "loud_frames", "quiet_frames", "mean_power")
    expected = {name: [] for name in ("level", *names, "equal_sum")}
    for g in range(2):
        own, train = group == g, trained_group == g
        centre = trained["frame_level"][train].mean()
        away = np.abs(tested["frame_level"][own, 0] - centre)
        expected["level"].append(roc_auc_score(labels[own], away))
        total, fold = 0.0, np.arange(30) % 5
        for k, name in enumerate(names):
            x = trained["frame_references"][train][:, 5 * k : 5 * k + 5]
            far = (
                LedoitWolf()
                .fit(x)
                .mahalanobis(tested["frame_references"][own][:, 5 * k : 5 * k + 5])
            )
            expected[name].append(roc_auc_score(labels[own], far))
            held = np.empty(30)
            for f in range(5):
                held[fold == f] = np.log(LedoitWolf().fit(x[fold != f]).mahalanobis(x[fold == f]))
            total = total + (k < 3) * (np.log(far) - held.mean()) / held.std()
        expected["equal_sum"].append(roc_auc_score(labels[own], total))
    assert found == pytest.approx({k: np.mean(v) for k, v in expected.items()}, abs=1e-6)
