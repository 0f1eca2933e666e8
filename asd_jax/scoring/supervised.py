"""What a trained classifier has to stand beside: simple references, and guessing.

Host NumPy in float64. Clips of one recording stand or fall together.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from asd_jax.scoring import metrics
from asd_jax.scoring.metrics import Labels

# The best of several checkpoints is tested on the recordings that chose it, so the level is strict.
CHANCE = 0.01


class Learned(NamedTuple):
    """Whether validation recordings say that a classifier has left chance."""

    auc: float  # of the recordings
    p_value: float  # of guessing, one-sided; NaN where there is one class only
    recordings: int

    @property
    def certain(self) -> bool | None:
        """Whether it has; None where the recordings can't say."""
        return None if math.isnan(self.p_value) else bool(self.p_value < CHANCE)


def has_learned(
    scores: Float[np.ndarray, "clips"], labels: Labels, recordings: Shaped[np.ndarray, "clips"]
) -> Learned:
    """Mann and Whitney's test that anomalous recordings score higher, by their mean scores.

    Args:
        scores: of the clips; higher is more anomalous.
        labels: of the clips.
        recordings: what recording each clip comes from, any values.
    """
    from scipy import stats

    _, first, index = np.unique(np.asarray(recordings), return_index=True, return_inverse=True)
    mean = np.bincount(index, np.asarray(scores, np.float64)) / np.bincount(index)
    label = np.asarray(labels)[first]
    if len(np.unique(label)) < 2:
        return Learned(float("nan"), float("nan"), len(label))
    test = stats.mannwhitneyu(mean[label == 1], mean[label == 0], alternative="greater")
    return Learned(metrics.auc(label, mean), float(test.pvalue), len(label))


def reference_scores(
    features: Mapping[str, Float[np.ndarray, "clips dim"]],
    labels: Int[np.ndarray, "clips"],
    train: Int[np.ndarray, "train"],
    test: Int[np.ndarray, "test"],
) -> dict[str, Float[np.ndarray, "test"]]:
    """Logits of logistic regressions on standardised features, one for each kind of features.

    Both classes weigh the same; the penalty is scikit-learn's own (C = 1), and nothing is chosen.

    Args:
        features: a row for each clip, by the reference's name.
        labels: of the clips, 0 normal and 1 anomalous.
        train: rows to learn from, the same that the network has.
        test: rows to score.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = {}
    for name, rows in features.items():
        model = make_pipeline(
            StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=5000)
        )
        model.fit(rows[train], labels[train])
        found[name] = model.decision_function(rows[test])
    return found
