"""From trained networks to a detector, on normal clips alone.

Scorers are fitted on all normal training clips. The held-out ones calibrate: each is scored by a
scorer that has not seen it, and no network that scores has seen it either. For the rule
'discriminant' so are weak pseudo-anomalies made from it, which measure how sensitive a branch
is. No anomaly, and no test clip, has a part in this.
"""

import dataclasses
import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jaxtyping import Array

from asd_jax.augment.waveform_faults import weak_fault
from asd_jax.data.table import recording_keys
from asd_jax.features.logmel import to_float
from asd_jax.naming import machine_name
from asd_jax.recipes.ensemble import branches, fitting, learned, networks
from asd_jax.recipes.ensemble.backends import PROTOTYPES, backend_of
from asd_jax.recipes.ensemble.detector import EnsembleDetector
from asd_jax.recipes.ensemble.guard import least_skill, named_rightly
from asd_jax.recipes.ensemble.material import Material
from asd_jax.recipes.ensemble.stages import EnsembleRun
from asd_jax.runs.finish import normal_frames
from asd_jax.scoring import ensemble as ensembles
from asd_jax.scoring import scorers
from asd_jax.scoring.domains import balanced
from asd_jax.scoring.threshold import ORACLES, fit_threshold, pooled
from asd_jax.train.progress import over, say
from asd_jax.types import Tree

BranchScores = dict[str, np.ndarray]

# Weak pseudo-anomalies: (kind, strength in dB; see `weak_fault`). A band gain of 1 dB came close to
# ranking branches as true anomalies do; the others ask for what a time average does not show.
WEAK = (("band_gain", 1.0), ("band_gain", 3.0), ("tone", -20.0), ("clicks", -10.0))


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Held-out scores: what everything label-free is derived from."""

    group: np.ndarray  # of each held-out clip
    normal: BranchScores  # by branch
    weak: dict[str, BranchScores]  # by branch, by kind
    heard: dict[str, BranchScores]  # as weak, of the clips `learned.chosen`


def fit_detector(
    run: EnsembleRun, variables: Mapping[str, Tree], material: Material
) -> tuple[EnsembleDetector, dict[str, np.ndarray]]:
    """Fits scorers, weighs the branches, sets the thresholds.

    Args:
        run: the run.
        variables: of the trained networks (folded or not, see `inference.fold`), and of the
            normaliser.
        material: the branches' features. Those of test clips have no part in this.

    Returns:
        the detector, and by made fault whether each clip of `learned.chosen` is above its threshold
        with it.
    """
    trained = material.trained
    clips, config = run.corpus, run.config
    fits = _fits(run, trained, material.prototypes)
    fitted = {name: [fit.fit(g) for g in range(len(clips.groups))] for name, fit in fits.items()}
    say("calibrate", f"scores of {len(clips.held_out)} healthy clips that were held out")
    calibration = _cross_fit(run, fits, material)
    names = [clips.groups[g] for g in calibration.group]
    ensemble = ensembles.fit_ensemble(
        calibration.normal,
        calibration.weak,
        names,
        rule=config.scoring.rule,
        weights=config.scoring.weights,
        learned=_skill(run, material),
    )
    combined = ensembles.combine(ensemble, calibration.normal, names)
    label = clips.label[clips.training]
    frame_mean, frame_std = normal_frames(
        trained["frame_mean"],
        trained["frame_square"],
        [label == g for g in range(len(clips.groups))],
    )
    by_group = [combined[calibration.group == g] for g in range(len(clips.groups))]
    domain = np.array([clips.clips[i].domain for i in clips.held_out])
    alike = [
        balanced(own, domain[calibration.group == g]) if len(own) else own
        for g, own in enumerate(by_group)
    ]
    detector = EnsembleDetector(
        config=config,
        groups=clips.groups,
        variables={k: variables[k] for k in branches.needed(config.scoring.branches)},
        scorers=fitted,
        ensemble=ensemble,
        thresholds=_thresholds(run, alike),
        normal_scores=tuple(np.sort(scores) for scores in by_group),
        frame_mean=frame_mean,
        frame_std=frame_std,
    )
    group = calibration.group[learned.chosen(len(clips.held_out))]
    of = [clips.groups[g] for g in group]
    heard = {
        kind: ensembles.combine(ensemble, {b: calibration.heard[b][kind] for b in fits}, of)
        > detector.thresholds[group]
        for kind in material.heard
    }
    return detector, heard


def identification(run: EnsembleRun, material: Material) -> dict[str, float]:
    """Share of held-out normals whose class each network recognises, by branch; chance is 1/K."""
    if len(run.corpus.pretext_labels.names) < 2 or run.config.data.all_train:
        return {}
    held = np.isin(run.corpus.training, run.corpus.held_out)
    return {
        branch: named_rightly(run, branch, material.trained[branch][held], centres)
        for branch, centres in material.prototypes.items()
        if branch in material.trained
    }


def _skill(run: EnsembleRun, material: Material) -> dict[str, tuple[float, float, int]]:
    """By branch that a network learned: held-out accuracy, the least above chance, classes."""
    classes = len(run.corpus.pretext_labels.names)
    level = least_skill(classes, len(run.corpus.held_out))
    found = identification(run, material)
    if "spectral" in found:  # an early map of the same network
        found["early_layers"] = found["spectral"]
    return {name: (found.get(name, 0.0), level, classes) for name in branches.NETWORKS}


def _fits(
    run: EnsembleRun, features: Mapping[str, np.ndarray], prototypes: Mapping[str, np.ndarray]
) -> dict[str, fitting.Branch]:
    """Collects what each branch's scorers are fitted to, and by which back-end."""
    corpus, scoring = run.corpus, run.config.scoring
    rows = corpus.training
    return {
        name: fitting.Branch(
            name=name,
            backend=backend_of(scoring, name),
            features=features[name],
            group=corpus.label[rows],
            domain=np.array([corpus.clips[i].domain for i in rows]),
            classes=corpus.pretext_labels.label[rows],
            prototypes=prototypes.get(name),
            unseen=np.isin(rows, corpus.held_out),
            members=networks.members(run.config, name),
        )
        for name in scoring.branches
    }


def prototypes(run: EnsembleRun, variables: Mapping[str, Tree]) -> dict[str, np.ndarray]:
    """The class centres of each branch that has learned some, `[classes, centres, dim]`."""
    centres = {
        branch: (getattr(run.nets, name), jax.tree.map(jnp.asarray, variables[name]))
        for branch, name in PROTOTYPES.items()
        if name in variables
    }
    return {b: np.asarray(net.apply(tree, train=False)[0]) for b, (net, tree) in centres.items()}


def weak_features(run: EnsembleRun, key: jax.Array, variables: dict[str, Tree]) -> dict[str, dict]:
    """Features of weakly changed versions of the held-out clips, by kind; `key` draws them.

    None where the ensemble's rule does not ask for them.
    """
    if run.config.scoring.rule != "discriminant":
        return {}

    def changed(kind: str, strength: float, root: jax.Array, wave: Array, index: Array) -> Array:
        keys = jax.vmap(lambda i: jax.random.fold_in(root, i))(index)
        change = functools.partial(
            weak_fault, kind=kind, strength_db=strength, sample_rate=run.config.data.sample_rate
        )
        return jax.vmap(change)(keys, to_float(wave))

    features = {}
    for number, (kind, strength) in enumerate(WEAK):
        change = functools.partial(changed, kind, strength, jax.random.fold_in(key, number))
        name = f"{kind} {strength:+g} dB"
        say("calibrate", f"made fault {number + 1} of {len(WEAK)}, {name.replace('_', ' ')}")
        features[name] = run.extract(variables, run.corpus.waves, run.corpus.held_out, change)
    return features


def _cross_fit(
    run: EnsembleRun, fits: Mapping[str, fitting.Branch], material: Material
) -> Calibration:
    """Scores held-out clips, and their changed versions, by scorers that have not seen them."""
    corpus, folds = run.corpus, run.config.scoring.folds
    held = corpus.held_out
    group, label = corpus.label[held], corpus.label[corpus.training]
    keys = np.array(recording_keys([corpus.clips[i] for i in corpus.training]))
    at = np.searchsorted(corpus.training, held)  # rows of the held-out clips in `features`
    shown = np.full(len(held), -1)
    few = learned.chosen(len(held))
    shown[few] = np.arange(len(few))
    normal = {b: np.zeros(len(held)) for b in fits}
    weak = {b: {k: np.zeros(len(held)) for k in material.weak} for b in normal}
    heard = {b: {k: np.zeros(len(few)) for k in material.heard} for b in normal}
    score = jax.jit(scorers.score)
    machines = np.unique(group)
    for g in over(machines, "calibrate", len(machines)):
        rows = np.flatnonzero(group == g)
        alone = len(set(keys[label == g])) == 1  # its windows are all that there is to part
        for part in _parts(np.arange(len(rows)) if alone else keys[at[rows]], folds):
            out = rows[part]
            some = shown[out][shown[out] >= 0]
            for branch, fit in fits.items():
                scorer = fit.fit(int(g), without=at[out])
                # All versions of the clips at once: a call costs more than what it computes.
                versions = [fit.features[at[out]]]
                versions += [features[branch][out] for features in material.weak.values()]
                versions += [features[branch][some] for features in material.heard.values()]
                found = np.asarray(score(scorer, np.concatenate(versions)))
                found = np.split(found, np.cumsum([len(v) for v in versions])[:-1])
                normal[branch][out] = found[0]
                changed = iter(found[1:])
                for kind in material.weak:
                    weak[branch][kind][out] = next(changed)
                for kind in material.heard:
                    heard[branch][kind][some] = next(changed)
    return Calibration(group, normal, weak, heard)


def _parts(recordings: np.ndarray, folds: int) -> list[np.ndarray]:
    """Rows in at most `folds` parts that keep the windows of a recording together.

    Args:
        recordings: of each row, any values.
        folds: recordings take turns in these.
    """
    number = {recording: n for n, recording in enumerate(dict.fromkeys(recordings))}
    part = np.array([number[recording] % folds for recording in recordings], int)
    return [np.flatnonzero(part == n) for n in np.unique(part)]


def _thresholds(run: EnsembleRun, by_group: list[np.ndarray]) -> np.ndarray:
    """A threshold a machine; one with few held-out clips borrows those of its type, or of all.

    Args:
        run: the run.
        by_group: scores of each machine's held-out clips, in which domains weigh alike.
    """
    settings, groups = run.config.scoring, run.corpus.groups
    thresholds = np.full(len(groups), np.nan)
    for g in range(len(groups)):
        pool = by_group[g] if settings.rule == "literal" else pooled(by_group, groups, g)
        if len(pool) < 2:
            name = machine_name(groups[g], groups)
            logging.warning("%s has too few clips for a threshold.", name)
            continue
        # What is kept for use never knows a label; an oracle is for the report (`evaluate`).
        method = "gamma" if settings.threshold in ORACLES else settings.threshold
        thresholds[g] = fit_threshold(
            pool, method=method, false_alarm_rate=settings.false_alarm_rate
        )
    return thresholds
