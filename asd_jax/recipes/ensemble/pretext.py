"""Tests whether the machines can be distinguished at all, by a linear classifier.

Networks that learn to identify learn nothing where all classes sound alike, and a detector is not
the better for what they then do. So they are trained only where there is something to learn.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from absl import logging
from jaxtyping import Array, Float, Int

from asd_jax.features.decibel import power_to_db
from asd_jax.features.logmel import mel_power, to_float
from asd_jax.naming import first_few
from asd_jax.recipes.ensemble import branches, networks
from asd_jax.recipes.ensemble.clips import Corpus
from asd_jax.recipes.ensemble.settings import Ensemble
from asd_jax.runs.batched_apply import BatchedApply
from asd_jax.types import RawWaves, Tree

FOLDS = 5
SKILL = 0.3  # least share of the way from guessing to knowing


def networks_wanted(config: Ensemble, clips: Corpus) -> tuple[Ensemble, Corpus]:
    """The config and clips as they are, or without networks where these would learn nothing.

    Decided by shrinkage linear discriminants on the mean level of each band, cross-validated over
    normal training clips, and a note of the corpus reports it. Without networks all normal training
    clips calibrate.
    """
    learned = set(branches.NETWORKS) & set(config.scoring.branches)
    if not learned:
        return config, all_calibrate(clips)
    if config.networks != "auto" or "statistics" not in config.scoring.branches:
        return config, clips
    sentence = _why_not(config, clips)
    if not sentence:
        return config, clips
    logging.info("%s", sentence)
    scoring = dataclasses.replace(
        config.scoring, branches=("statistics",), rule="equal", weights=()
    )
    noted = dataclasses.replace(clips, notes=(*clips.notes, sentence))
    return dataclasses.replace(config, scoring=scoring), all_calibrate(noted)


def all_calibrate(clips: Corpus) -> Corpus:
    """The clips with all that train held out, but for those that are a machine's only one.

    No network has heard them, and cross-fitting judges each by a scorer that has not either.
    """
    label = clips.label[clips.training]
    several = np.bincount(label, minlength=len(clips.groups)) > 1
    return dataclasses.replace(clips, held_out=clips.training[several[label]])


def _why_not(config: Ensemble, clips: Corpus) -> str:
    """A sentence on why no network is trained, or ''."""
    labels = clips.pretext_labels
    names = labels.names
    if len(names) < 2:
        return (
            "There is only one machine, so a network would have nothing to identify: none was "
            "trained, and the statistics of the spectrum give the score."
        )
    found = tell_apart(mean_levels(config, clips), labels.label[clips.training])
    if found.apart:
        return ""
    return (
        f"The {labels.kind} sound alike ({first_few(names, 6)}): a linear classifier names "
        f"the right one of {found.accuracy:.0%} of healthy clips, and always naming the commonest "
        f"would of {found.chance:.0%}. No network was trained, and the statistics of the spectrum "
        "give the score."
    )


class Told(NamedTuple):
    """Whether classes can be distinguished, the accuracy, and what guessing would reach."""

    apart: bool
    accuracy: float
    chance: float


def tell_apart(features: Float[np.ndarray, "clips dim"], label: Int[np.ndarray, "clips"]) -> Told:
    """Linear discriminants by cross-validation against naming the commonest class always."""
    accuracy = linear_accuracy(features, label)
    chance = float(np.unique(label, return_counts=True)[1].max() / len(label))
    margin = 2.0 * np.sqrt(chance * (1.0 - chance) / len(label))
    return Told(accuracy > chance + max(margin, SKILL * (1.0 - chance)), accuracy, chance)


def mean_levels(config: Ensemble, clips: Corpus) -> Float[np.ndarray, "clips mels"]:
    """The mean level of each band of the normal training clips, in dB."""
    spec = networks.front_end(config)

    def levels(_: Tree, wave: RawWaves) -> dict[str, Array]:
        return {"mean": power_to_db(mel_power(to_float(wave), spec=spec)).mean(axis=-1)}

    read = BatchedApply(levels, batch_size=config.eval_batch_size)
    return read({}, clips.waves, clips.training)["mean"]


def linear_accuracy(
    features: Float[np.ndarray, "clips dim"], label: Int[np.ndarray, "clips"]
) -> float:
    """Share of clips that linear discriminants of the other folds' clips name rightly.

    The covariance is shrunk as Ledoit and Wolf (2004) do.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    classes, rank = np.unique(label), np.zeros(len(label), int)
    for c in classes:  # folds that share out each class, in the order of its clips
        own = np.flatnonzero(label == c)
        rank[own] = np.arange(len(own))
    right = np.zeros(len(label), bool)
    for fold in range(FOLDS):
        out = rank % FOLDS == fold
        if not out.any() or len(np.unique(label[~out])) < 2:
            continue
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
        model.fit(features[~out], label[~out])
        right[out] = model.predict(features[out]) == label[out]
    return float(right.mean())
