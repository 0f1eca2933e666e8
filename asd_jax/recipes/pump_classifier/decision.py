"""What validation recordings say of a trained classifier, and the references that it stands beside.

Calibration, threshold and whether anything was learned: all from recordings that no weight was
trained on. Test clips are scored by the network and by references on the same training clips.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from asd_jax.data.clips import NORMAL
from asd_jax.naming import first_few
from asd_jax.recipes.pump_classifier.clips import LabelledCorpus
from asd_jax.recipes.pump_classifier.settings import Decision
from asd_jax.report.summary import percent
from asd_jax.scoring import classification, metrics
from asd_jax.scoring.metrics import Labels
from asd_jax.scoring.paired import compare_areas
from asd_jax.scoring.platt import Platt, fit_platt
from asd_jax.scoring.threshold import caution, fit_threshold

# What stands beside the score in sentences; the names in results.json are the keys.
NETWORK = "network_alone"
REFERENCES = {
    NETWORK: "the network alone",
    "logistic_regression": "a logistic regression on mean and deviation of the log-mel",
    "level": "the level alone",
}
Figures = dict[str, dict[str, Any]]


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


class Calibrated(NamedTuple):
    """Calibration and threshold of a classifier, and how they were found."""

    calibration: Platt
    threshold: float  # of the probability
    learned: Learned
    notes: tuple[str, ...]


def calibrate(
    corpus: LabelledCorpus,
    logit: Float[np.ndarray, "validation"],
    settings: Decision,
    *,
    network: Float[np.ndarray, "validation"] | None = None,
) -> Calibrated:
    """Calibration and threshold from the validation clips' logits.

    Args:
        corpus: whose validation part the logits are of.
        logit: in the order of `corpus.parts.validation`.
        settings: what is wished.
        network: logits of the network alone, which must have learned; None for `logit`.

    Raises:
        UserError: a calibration or a threshold is wished that these clips can't give.
    """
    part = corpus.parts.validation
    label, recording = corpus.label[part], corpus.recording[part]
    logit = np.asarray(logit, np.float64)
    calibration, threshold, notes = Platt(), settings.threshold, []
    if settings.calibrate == "platt":
        calibration = fit_platt(logit, label, recording)
    if settings.false_alarm_rate:
        wish = {"method": settings.method, "false_alarm_rate": settings.false_alarm_rate}
        normal = label == NORMAL
        # On logits: probabilities crowd at 0, where no distribution fits them.
        limit = fit_threshold(logit[normal], **wish)
        threshold = float(calibration(limit))
        notes = [caution(len(set(recording[normal])), **wish)]
    learned = has_learned(logit if network is None else network, label, recording)
    return Calibrated(calibration, threshold, learned, tuple(filter(None, notes)))


def how_set(settings: Decision) -> str:
    """Explains how the threshold was set, to go on from "The threshold was set"."""
    if settings.false_alarm_rate:
        return (
            "on healthy validation recordings, so that about "
            f"{percent(settings.false_alarm_rate)} of healthy clips raise a false alarm; the "
            "classifier itself has learned from faults"
        )
    return (
        f"by hand, at the probability {settings.threshold:g}, on a classifier that has learned "
        "from faults"
    )


def references(
    corpus: LabelledCorpus,
    features: Mapping[str, np.ndarray],
    logit: Float[np.ndarray, "test"],
    alone: Float[np.ndarray, "test"],
    *,
    draws: int,
    seed: int,
) -> Figures:
    """AUC of each reference on the test clips, and how far the score is above it.

    Args:
        corpus: the clips; the references learn from its training part.
        features: what `network.level_moments` reads of the training and the test clips,
            in this order, `[clips, dim]` each.
        logit: of the test clips.
        alone: the same of the network without the head's wide part.
        draws: of the bootstrap.
        seed: of the draws.

    Returns:
        by the reference's name `auc`, `auc_interval` and `above`, by how much the score is above
        it, with interval and p-value; all over recordings. Empty where either part lacks a class.
    """
    train, test = corpus.parts.train, corpus.parts.test
    label, recording = corpus.label[test], corpus.recording[test]
    if min(len(set(corpus.label[train])), len(set(label))) < 2:
        return {}
    rows = {
        "logistic_regression": np.concatenate([features["mean"], features["deviation"]], axis=1),
        "level": features["level"],
    }
    places = np.arange(len(train) + len(test))
    labels = np.concatenate([corpus.label[train], label])
    scored = reference_scores(rows, labels, places[: len(train)], places[len(train) :])
    if not np.array_equal(logit, alone):
        scored = {NETWORK: np.asarray(alone), **scored}
    one = np.full(len(test), "all")
    found: Figures = {}
    for name, score in scored.items():
        interval = classification.bootstrap(
            label, score > 0, score, recording, draws=draws, seed=seed
        )["auc"]
        apart = compare_areas(label, np.asarray(logit), score, recording, one, {"all": 1.0})
        found[name] = {
            "auc": float(metrics.auc(label, score)),
            "auc_interval": [float(v) for v in interval],
            "above": float(apart.difference),
            "above_interval": [float(v) for v in apart.interval],
            "p_value": float(apart.p_value),
        }
    return found


def sentences(learned: Learned, auc: float, found: Figures) -> list[str]:
    """Returns what a reader must know before any other figure, in sentences.

    Args:
        learned: of the validation recordings.
        auc: of the score, on the test clips.
        found: of the references, on the same clips.
    """
    notes = []
    if learned.certain is False:
        notes.append(
            f"The network has not learned: on {learned.recordings} validation recordings it can't "
            f"be told from guessing (AUC {learned.auc:.3f}, p = {learned.p_value:.2g}). Train it "
            "longer, or on more recordings."
        )
    if found:
        listed = [f"{REFERENCES[name]} {figure['auc']:.3f}" for name, figure in found.items()]
        notes.append(f"AUC {auc:.3f}; {first_few(listed, len(listed))}.")
    others = {name: figure["auc"] for name, figure in found.items() if name != NETWORK}
    best = max(others, key=lambda name: others[name], default="")
    if best and others[best] > auc:
        sure = found[best]["above_interval"][1] < 0
        notes.append(
            f"The classifier is below {REFERENCES[best]} on the same clips"
            f"{'' if sure else ', though so few recordings could show that by chance'}: it is not "
            "worth its training here."
        )
    elif best and NETWORK in found and others[best] > found[NETWORK]["auc"]:
        notes.append(
            f"The network alone is below {REFERENCES[best]}; what the score is above it, by "
            f"{auc - others[best]:.3f}, is what both together hear."
        )
    return notes


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
