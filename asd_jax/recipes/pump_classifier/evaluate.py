"""The last stage: test clips through the classifier, and the files that a finished run leaves."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from asd_jax.data.clips import NORMAL
from asd_jax.features.logmel import to_float
from asd_jax.features.pictures import picture
from asd_jax.recipes.pump_classifier import network
from asd_jax.recipes.pump_classifier.clips import LabelledCorpus
from asd_jax.recipes.pump_classifier.decision import (
    Calibrated,
    calibrate,
    how_set,
    references,
    sentences,
)
from asd_jax.recipes.pump_classifier.detector import ClassifierDetector
from asd_jax.recipes.pump_classifier.stages import ClassifierRun
from asd_jax.recipes.pump_classifier.wide import deep_part, has_wide, with_wide
from asd_jax.report.card import About
from asd_jax.report.contents import Classification, Embedding, Example
from asd_jax.runs.batched_apply import BatchedApply
from asd_jax.runs.finish import EXAMPLES, Rows, examples, leave, normal_frames, score_rows
from asd_jax.runs.workdir import Stopwatch
from asd_jax.scoring import classification, metrics
from asd_jax.scoring.summary import summarise
from asd_jax.train.progress import say
from asd_jax.types import Tree, Variables

ABOUT = About(
    method="The supervised classifier of Sun (2025): it has learned from labelled normal and "
    "faulty clips, and knows only faults like those.",
    score="The score is the probability of a fault of the kinds that it has learned from; a fault "
    "of another kind may pass for health.",
)


def make_detector(
    run: ClassifierRun,
    variables: Tree,
    calibrated: Calibrated,
    logit: np.ndarray,
    moments: Mapping[str, np.ndarray],
) -> ClassifierDetector:
    """The detector of trained variables, with what is normal for each machine.

    Args:
        run: with the clips.
        variables: of the network.
        calibrated: how its logits become decisions.
        logit: of the validation clips, `[clips]`.
        moments: of the training clips, from `network.level_moments`.
    """
    corpus, config = run.corpus, run.config
    quiet = corpus.label[corpus.parts.validation] == NORMAL
    held, scores = corpus.parts.validation[quiet], calibrated.calibration(logit[quiet])
    healthy = corpus.label[corpus.parts.train] == NORMAL
    normals = corpus.parts.train[healthy]
    moments = {name: values[healthy] for name, values in moments.items()}
    groups = [corpus.group(held), corpus.group(normals)]
    members = [groups[1] == g for g in range(len(corpus.groups))]
    everything = np.ones(len(normals), bool)
    members = [own if own.any() else everything for own in members]
    mean, std = normal_frames(moments["mean"], moments["square"], [*members, everything])
    return ClassifierDetector(
        config=config,
        groups=corpus.groups,
        variables=variables,
        normal_scores=(
            *(np.sort(scores[groups[0] == g]) for g in range(len(corpus.groups))),
            np.sort(scores),
        ),
        frame_mean=mean,
        frame_std=std,
        calibration=calibrated.calibration,
        threshold=calibrated.threshold,
    )


def conclude(run: ClassifierRun, trained: Variables, stopwatch: Stopwatch) -> None:
    """Writes the detector's folder, scores.csv, report.html and results.json."""
    corpus, config, variables = run.corpus, run.config, trained[network.NAME]
    held, tested = len(corpus.parts.validation), len(corpus.parts.test)
    say("calibrate", f"probabilities by {held} validation clips, scores of {tested} test clips")
    alone = {
        name: run.read(variables, corpus.waves, getattr(corpus.parts, name))["logit"]
        for name in ("validation", "test")
    }
    logit = alone["validation"]
    if has_wide(variables):
        variables = with_wide(run, variables, logit)
        logit = run.read(variables, corpus.waves, corpus.parts.validation)["logit"]
    calibrated = calibrate(corpus, logit, config.decision, network=alone["validation"])
    clips = np.concatenate([corpus.parts.train, corpus.parts.test])
    read = BatchedApply(network.level_moments(config), batch_size=config.eval_batch_size)
    moments, number = read({}, corpus.waves, clips), len(corpus.parts.train)
    own = {name: values[:number] for name, values in moments.items()}
    detector = make_detector(run, variables, calibrated, logit, own)
    detector.save(run.workdir.path("detector"))
    stopwatch.lap("judge")
    evaluate(run, detector, calibrated, alone["test"], moments, stopwatch.seconds)


def evaluate(
    run: ClassifierRun,
    detector: ClassifierDetector,
    calibrated: Calibrated,
    alone: np.ndarray,
    moments: Mapping[str, np.ndarray],
    seconds: Mapping[str, float],
) -> None:
    """Scores the test clips and writes scores.csv, report.html and, last, results.json.

    Args:
        run: with the clips.
        detector: of the run.
        calibrated: what the validation recordings show.
        alone: logits `[clips]` of the test by the network alone, without the head's wide part.
        moments: of the training and the test clips, for the references.
        seconds: of the parts before.
    """
    began = time.monotonic()
    corpus, config, test = run.corpus, run.config, run.corpus.parts.test
    found = run.read(detector.variables, corpus.waves, test)
    score = detector.calibration(found["logit"])
    clips = [corpus.clips[i] for i in test]
    away = moments["mean"][len(corpus.parts.train) :].mean(1) - detector.frame_mean[
        corpus.group(test)
    ].mean(1)
    rows = score_rows(clips, score, np.full(len(test), detector.threshold), away=away)
    draw = {"draws": config.decision.bootstrap, "seed": config.seed}
    beside = references(corpus, moments, found["logit"], alone, **draw)
    figures = classify(corpus, test, score, detector.threshold, **draw)
    figures = dataclasses.replace(
        figures,
        references=beside,
        sentences=tuple(sentences(calibrated.learned, figures.measures["auc"][0], beside)),
        learned=calibrated.learned.certain is not False,
        calibrated=config.decision.calibrate != "none",
    )
    leaks, notes = leaking(run)
    summary = summarise(rows, draws=0)
    by_recording(summary["groups"], rows, corpus.recording[test], **draw)
    notes = [*corpus.notes, *calibrated.notes, *notes, *summary.pop("incomplete")]
    results = {
        "protocol": {
            "name": config.protocol,
            "layout": config.data.layout,
            "split": config.split.rule,
            "draw": config.split.draw,
            "snr": sorted({corpus.clips[i].snr for i in test}),
            "leaking_clips": leaks,
            "oracle": False,
            "threshold_set": how_set(config.decision),
            "calibration": calibrated.calibration._asdict(),
        },
        "seed": config.seed,
        "classification": _plain_figures(figures),
        "validation": {
            **calibrated.learned._asdict(),
            "learned": calibrated.learned.certain,
        },
        "references": beside,
        **summary,
        "notes": notes,
    }
    leave(
        run,
        rows,
        results,
        seconds,
        began,
        about=ABOUT,
        more=_verdict(figures, leaks),
        classification=figures,
        embedding=_embedding(corpus, test, deep_part(detector.variables, found["embedding"])),
        examples=_examples(run, detector, rows),
        title="Machine sound report: supervised classifier",
    )


def by_recording(
    groups: Sequence[dict[str, Any]], rows: Rows, recording: np.ndarray, *, draws: int, seed: int
) -> None:
    """Gives each machine an interval of its AUC that draws recordings, `[clips]` of names."""
    names = [(row["machine_type"], row["machine_id"]) for row in rows]
    for entry in groups:
        machine = (entry["machine_type"], entry["machine_id"])
        own = [k for k, name in enumerate(names) if name == machine]
        label = np.array([rows[k]["label"] for k in own])
        score = np.array([rows[k]["score"] for k in own])
        if len(set(label)) < 2 or not draws:
            continue
        found = classification.bootstrap(
            label, score > 0.5, score, recording[own], draws=draws, seed=seed
        )
        entry["auc_interval"] = list(found["auc"])


def classify(
    corpus: LabelledCorpus,
    test: np.ndarray,
    score: np.ndarray,
    threshold: float,
    *,
    draws: int,
    seed: int,
) -> Classification:
    """Every figure of the decisions, with intervals over recordings, and by noise level.

    Args:
        corpus: the clips.
        test: which of them are judged, positions `[clips]`.
        score: their probabilities of an anomaly, `[clips]`.
        threshold: above which one is called anomalous.
        draws: of the bootstrap.
        seed: of the draws.
    """
    label = corpus.label[test]
    decision, recording = score > threshold, corpus.recording[test]
    table = classification.confusion(label, decision)
    values = classification.measures(np.array(table, float))
    values["auc"] = metrics.auc(label, score)
    intervals = classification.bootstrap(label, decision, score, recording, draws=draws, seed=seed)
    bins = classification.reliability(label, score)
    return Classification(
        confusion=table,
        measures={name: (float(v), *intervals[name]) for name, v in values.items()},
        trivial=classification.trivial_level(label),
        loss=cross_entropy(label, score),
        brier=classification.brier(label, score),
        calibration_error=classification.calibration_error(label, score),
        reliability=tuple(
            (float(p), float(o), int(n))
            for p, o, n in zip(bins.predicted, bins.observed, bins.clips, strict=True)
        ),
        clips=len(test),
        recordings=len(set(recording)),
        conditions=_by_level(corpus, test, score, decision),
    )


def cross_entropy(label: np.ndarray, score: np.ndarray) -> float:
    """Mean binary cross entropy of probabilities `[clips]`; one of 0 or 1 to rounding is finite."""
    least = np.finfo(np.float64).tiny
    right = np.where(label == 1, score, 1.0 - score)
    return float(-np.log(np.maximum(right, least)).mean())


def _by_level(
    corpus: LabelledCorpus, test: np.ndarray, score: np.ndarray, decision: np.ndarray
) -> dict[str, dict[str, float]]:
    """The measures at each noise level, if there are several."""
    level = np.array([corpus.clips[i].snr for i in test])
    found = {}
    for snr in sorted(set(level), key=lambda text: -float(text or 0)):
        own = level == snr
        label = corpus.label[test][own]
        values = classification.measures(np.array(classification.confusion(label, decision[own])))
        values["auc"] = metrics.auc(label, score[own])
        values["clips"] = int(own.sum())
        found[f"{snr} dB"] = {name: float(value) for name, value in values.items()}
    return found if len(found) > 1 else {}


def leaking(run: ClassifierRun) -> tuple[int, list[str]]:
    """Test clips whose recording was trained or selected on, in any version; and what to say."""
    corpus, config = run.corpus, run.config
    seen = {corpus.recording[i] for i in (*corpus.parts.train, *corpus.parts.validation)}
    notes = []
    if config.pretrain.clips == "all" and config.pretrain.snr:
        own = [i for i in corpus.parts.test if corpus.clips[i].snr == config.pretrain.snr]
        seen |= {corpus.recording[i] for i in own}
        notes.append(
            f"Pre-training heard {len(own)} of the test clips themselves, with their labels "
            "(config.pretrain.clips is 'all')."
        )
    return sum(corpus.recording[i] in seen for i in corpus.parts.test), notes


def _verdict(figures: Classification, leaks: int) -> list[str]:
    """Returns the last sentences of the verdict."""
    value, low, high = figures.measures["accuracy"]
    balanced = figures.measures["balanced_accuracy"][0]
    ending = [
        f"Accuracy {value:.3f} ({low:.3f} to {high:.3f}), where calling all clips alike gives "
        f"{figures.trivial:.3f}; balanced accuracy {balanced:.3f}."
    ]
    if leaks:
        ending.append(f"The split leaks: {leaks} of {figures.clips} test recordings were heard.")
    return ending


def _plain_figures(figures: Classification) -> dict[str, Any]:
    names = ("normal_as_normal", "normal_as_anomaly", "anomaly_as_normal", "anomaly_as_anomaly")
    found: dict[str, Any] = {
        "clips": figures.clips,
        "recordings": figures.recordings,
        "trivial": figures.trivial,
        "confusion": dict(zip(names, figures.confusion, strict=True)),
    }
    for name, (value, low, high) in figures.measures.items():
        found |= {name: value, f"{name}_interval": [low, high]}
    found |= {
        "loss": figures.loss,
        "brier": figures.brier,
        "calibration_error": figures.calibration_error,
        "reliability": [
            {"predicted": p, "observed": o, "clips": n} for p, o, n in figures.reliability
        ],
        "conditions": figures.conditions,
    }
    return found


def _embedding(corpus: LabelledCorpus, test: np.ndarray, points: np.ndarray) -> Embedding | None:
    if len(test) < 3:
        return None
    clips = [corpus.clips[i] for i in test]
    # By direction: a few clips with long vectors would press all others into one point.
    points = points.astype(np.float64)
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    return Embedding(
        points=points,
        machine_types=tuple(clip.machine_type for clip in clips),
        machine_ids=tuple(clip.machine_id for clip in clips),
        labels=corpus.label[test].astype(np.int64),
        splits=("test",) * len(clips),
        name="before the last layer",
    )


def most_wrong(rows: Sequence[Any], recording: np.ndarray) -> np.ndarray:
    """Places `[recordings]` of the rows furthest from their label, the worst version of each."""
    order = np.argsort([-abs(row["score"] - row["label"]) for row in rows], kind="stable")
    _, first = np.unique(recording[order], return_index=True)
    return order[np.sort(first)]


def _examples(
    run: ClassifierRun, detector: ClassifierDetector, rows: Sequence[Any]
) -> tuple[Example, ...]:
    """The recordings that it gets most wrong: first those furthest from their label."""
    corpus = run.corpus
    order = most_wrong(rows, corpus.recording[corpus.parts.test])[:EXAMPLES]
    chosen = corpus.parts.test[order]
    waves = corpus.waves.gather(chosen)
    seen = picture(to_float(jnp.asarray(waves)), spec=network.front_end(run.config)).mean(-1)
    shown = [rows[k] for k in order]
    return examples(detector, shown, waves, corpus.group(chosen), seen=np.asarray(seen))
