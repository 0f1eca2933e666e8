"""The last stage: test clips through the detector, and the files that a finished run leaves."""

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from asd_jax.data.clips import UNKNOWN
from asd_jax.data.layouts.dcase import LAYOUTS as DCASE_LAYOUTS
from asd_jax.data.layouts.dcase import is_evaluation
from asd_jax.naming import first_few
from asd_jax.recipes.ensemble import branches
from asd_jax.recipes.ensemble.backends import BRANCHES, backend_of
from asd_jax.recipes.ensemble.calibrate import identification
from asd_jax.recipes.ensemble.detector import EnsembleDetector
from asd_jax.recipes.ensemble.deviations import deviations, readings
from asd_jax.recipes.ensemble.guard import least_skill
from asd_jax.recipes.ensemble.learned import carried
from asd_jax.recipes.ensemble.material import Material
from asd_jax.recipes.ensemble.settings import Ensemble
from asd_jax.recipes.ensemble.stages import EnsembleRun
from asd_jax.report.card import About
from asd_jax.report.contents import Branch, Embedding, Example, MadeFault
from asd_jax.runs.finish import EXAMPLES, Rows, examples, leave, score_rows
from asd_jax.scoring import metrics
from asd_jax.scoring import references as simple
from asd_jax.scoring.summary import summarise
from asd_jax.scoring.threshold import ORACLES, fit_threshold

ABOUT = About(
    method="The contrastive ensemble of Liao, Yang and Lu (2025, Applied Sciences 15, 1624): it "
    "has learned from normal sound alone, and scores how far a clip departs from it.",
    score="A high score says that a sound is unlike what it knows, not what is wrong, and a low "
    "one does not prove health.",
)


def test_features(
    run: EnsembleRun, variables: dict[str, Any], trained: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The branches' features `[clips, dim]` of the test clips.

    `trained`, those of the training clips, has the widths where there are none.
    """
    if not len(run.corpus.test):
        return {name: value[:0] for name, value in trained.items()}
    return run.extract(variables, run.corpus.waves, run.corpus.test)


def evaluate(
    run: EnsembleRun,
    detector: EnsembleDetector,
    material: Material,
    seconds: Mapping[str, float],
    about: Mapping[str, Any] | None = None,
    made: tuple[MadeFault, ...] = (),
) -> None:
    """Scores the test clips and writes scores.csv, report.html and, last, results.json.

    Args:
        run: the run.
        detector: of it.
        material: the branches' features.
        seconds: what each part of the run took.
        about: more entries of results.json.
        made: faults to see and to hear.
    """
    began = time.monotonic()
    corpus, config = run.corpus, run.config
    trained, tested = material.trained, material.tested
    group = corpus.label[corpus.test]
    total, scores = detector.score_features(tested, group)
    test = [corpus.clips[i] for i in corpus.test]
    labels = np.array([clip.label for clip in test])
    thresholds = detector.thresholds
    if config.scoring.threshold in ORACLES:
        thresholds = _oracle_thresholds(thresholds, total, labels, group)
    several = len({clip.snr for clip in test}) > 1
    away = tested["frame_mean"].mean(1) - detector.frame_mean[group].mean(1)
    rows = score_rows(test, total, thresholds[group], scores, away=away, snr=several)
    accuracy = identification(run, material)
    notes = [
        *corpus.notes,
        *_pretext_notes(run, accuracy.get("spectral"), detector.weights),
        *_domain_notes(run),
        *detector.notes,
    ]
    results = {
        "protocol": _protocol(config),
        "seed": config.seed,
        **summarise(
            rows,
            draws=config.scoring.bootstrap,
            seed=config.seed,
            evaluation=_evaluation(config.data.layout),
        ),
        "identification": {
            "classes": corpus.pretext_labels.kind,
            "accuracy": accuracy.get("spectral"),
            "branches": accuracy,
            "chance": 1 / len(corpus.pretext_labels.names),
        },
        "references": references(corpus.label[corpus.training], trained, group, labels, tested),
        "weights": detector.weights,
        "notes": notes,
        **(about or {}),
    }
    leave(
        run,
        rows,
        results,
        seconds,
        began,
        about=ABOUT,
        embedding=_embedding(run, trained, tested),
        examples=_examples(run, detector, rows),
        branches=_branches(run, detector),
        made=made,
        oracle=config.scoring.threshold in ORACLES,
    )


def _protocol(config: Ensemble) -> dict[str, Any]:
    """Describes the protocol of the figures, and where it departs from the paper."""
    return {
        "name": config.protocol,
        "layout": config.data.layout,
        "split": config.data.split,
        "snr": list(config.data.snr),
        "oracle": config.scoring.threshold in ORACLES,
        "false_alarm_rate": config.scoring.false_alarm_rate,
        "deviations": deviations(config),
        "readings": readings(config),
    }


def _evaluation(layout: str) -> Callable[[str, str], bool] | None:
    """Tells the machines of a challenge's evaluation set from those of development."""
    if layout not in DCASE_LAYOUTS:
        return None
    return functools.partial(is_evaluation, layout)


def _oracle_thresholds(
    thresholds: np.ndarray, scores: np.ndarray, labels: np.ndarray, group: np.ndarray
) -> np.ndarray:
    """Finds each machine's threshold of equal error rates, by the labels of its test clips."""
    found = thresholds.copy()
    for g in np.unique(group):
        own = (group == g) & (labels != UNKNOWN)
        if len(set(labels[own])) == 2:
            found[g] = fit_threshold(scores[own], method="eer", labels=labels[own])
    return found


def references(
    trained_group: np.ndarray,
    trained: Mapping[str, np.ndarray],
    group: np.ndarray,
    labels: np.ndarray,
    tested: Mapping[str, np.ndarray],
) -> dict[str, float | None]:
    """Mean AUC over machines of scores that need no network, see `reference_scores`.

    Args:
        trained_group: machine of each normal training clip, `[training]`.
        trained: `frame_level` and `frame_references` of these clips, `[training, dim]`.
        group: machine of each test clip, `[clips]`.
        labels: of the test clips, `[clips]`.
        tested: as `trained`, of the test clips.
    """
    found: dict[str, list[float]] = {name: [] for name in simple.NAMES}
    for g in np.unique(group):
        own = (group == g) & (labels != UNKNOWN)
        if len(set(labels[own])) < 2:
            continue
        normal = {name: trained[name][trained_group == g] for name in trained}
        scores = simple.reference_scores(normal, {name: tested[name][own] for name in tested})
        for name, values in scores.items():
            found[name].append(metrics.auc(labels[own], values))
    return {name: float(np.mean(aucs)) if aucs else None for name, aucs in found.items()}


def _pretext_notes(
    run: EnsembleRun, accuracy: float | None, weights: Mapping[str, float]
) -> list[str]:
    """Says what stood in for machines, and when identification had nothing to teach.

    The learned branches are blind then.
    """
    if not set(branches.NETWORKS) & set(run.config.scoring.branches):
        return []  # none was trained; where that was decided for the user, the corpus says why
    classes, held = run.corpus.pretext_labels, len(run.corpus.held_out)
    count = len(classes.names)
    if count < 2:
        return [
            "There is only one machine, so the networks had nothing to identify. "
            + carried(weights)
        ]
    notes, what = [], "machines"
    if classes.kind != "machines":
        what = {"folders": "sub-folders", "clusters": "clusters of recordings"}[classes.kind]
        notes.append(
            f"The networks learned to tell {count} {what} apart ({first_few(classes.names, 6)}); "
            "the scores and the threshold of a machine are those of all its recordings."
        )
    if accuracy is None:
        return notes
    if accuracy > least_skill(count, held):
        return notes
    chance = 1 / count
    if run.config.networks == "auto":  # a linear classifier can tell them apart
        return [
            *notes,
            f"The network has not learned to tell the {what} apart: on held-out clips it names the "
            f"right one in {accuracy:.0%} of cases, and guessing would in {chance:.0%}.",
        ]
    return [
        *notes,
        f"The {what} sound alike: on held-out clips the network names the right one in "
        f"{accuracy:.0%} of cases, and guessing would in {chance:.0%}. "
        "Identification has taught it little.",
    ]


def _domain_notes(run: EnsembleRun) -> list[str]:
    """Says which options for two domains had none to work on."""
    corpus, scoring = run.corpus, run.config.scoring
    if len({corpus.clips[i].domain for i in corpus.training}) > 1:
        return []
    backends = [backend_of(scoring, branch) for branch in scoring.branches]
    idle = [
        name
        for name, used in (
            ("domains", any(b.domains == "minimum" for b in backends)),
            ("smote", any(b.smote for b in backends)),
        )
        if used
    ]
    return [
        f"config.scoring.{name} changed nothing: the training clips are of one domain."
        for name in idle
    ]


def _embedding(
    run: EnsembleRun, trained: dict[str, Any], tested: dict[str, Any]
) -> Embedding | None:
    """The fused embeddings (or the first branch) of training and test clips."""
    scored = run.config.scoring.branches
    name = "fusion" if "fusion" in scored else scored[0]
    order = [*run.corpus.training, *run.corpus.test]
    clips = [run.corpus.clips[i] for i in order]
    return Embedding(
        points=np.concatenate([trained[name], tested[name]]).astype(np.float64),
        machine_types=tuple(clip.machine_type for clip in clips),
        machine_ids=tuple(clip.machine_id for clip in clips),
        labels=np.array([clip.label for clip in clips]),
        splits=tuple(clip.split for clip in clips),
        name=name,
    )


def _examples(run: EnsembleRun, detector: EnsembleDetector, rows: Rows) -> tuple[Example, ...]:
    """The most anomalous clips: where in time and frequency each departs from normal."""
    if not rows:
        return ()
    corpus = run.corpus
    scores = np.array([row["score"] for row in rows])
    # Machines differ in the unit of their scores: count deviations of the machine's own normals.
    unit = np.array([max(n.std(), 1e-6) if len(n) else 1.0 for n in detector.normal_scores])
    base = np.array([row["threshold"] if np.isfinite(row["threshold"]) else 0.0 for row in rows])
    beyond = (scores - base) / unit[corpus.label[corpus.test]]
    order = np.argsort(-beyond, kind="stable")[:EXAMPLES]
    chosen = corpus.test[order]
    shown = [rows[k] for k in order]
    return examples(detector, shown, corpus.waves.gather(chosen), corpus.label[chosen])


def _branches(run: EnsembleRun, detector: EnsembleDetector) -> tuple[Branch, ...]:
    """The weight of each branch and, where one was gated, why."""
    return tuple(
        Branch(
            name=name,
            weight=detector.weights.get(name),
            gated=name in detector.gated,
            reason=detector.gated.get(name, BRANCHES.get(name, "")),
        )
        for name in run.config.scoring.branches
    )
