"""What a finished run of any recipe leaves: score rows, examples, report, card, results."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Int16

import asd_jax
from asd_jax.data import quality
from asd_jax.data.clips import Clip
from asd_jax.detector import Detector, decide
from asd_jax.files import write_json
from asd_jax.report.card import About, write_card
from asd_jax.report.contents import Example, Report
from asd_jax.report.files import write_scores
from asd_jax.report.html import write_report
from asd_jax.report.summary import machines, verdict
from asd_jax.runs import provenance
from asd_jax.runs.run import Run
from asd_jax.scoring.threshold import tail_words

EXAMPLES = 8  # clips shown with their spectrogram
Rows = list[dict[str, Any]]


def normal_frames(
    mean: Float[np.ndarray, "clips mels"],
    square: Float[np.ndarray, "clips mels"],
    members: Sequence[Bool[np.ndarray, "clips"]],
) -> tuple[Float[np.ndarray, "groups mels"], Float[np.ndarray, "groups mels"]]:
    """Mean and deviation of a frame's level in dB, over the normal clips of each group.

    Args:
        mean: of the level over the frames of each clip.
        square: the same of its square.
        members: which clips are of a group.
    """
    means = np.stack([mean[own].mean(0) for own in members])
    squares = np.stack([square[own].mean(0) for own in members])
    return means, np.sqrt(np.maximum(squares - means**2, 0.25))  # at least half a dB


def score_rows(
    clips: Sequence[Clip],
    scores: Float[np.ndarray, "clips"],
    thresholds: Float[np.ndarray, "clips"],
    branches: Mapping[str, Float[np.ndarray, "clips"]] | None = None,
    *,
    away: Float[np.ndarray, "clips"],
    snr: bool = False,
) -> Rows:
    """One row a clip, as scores.csv holds them; no decision where there is no threshold.

    Args:
        clips: that are scored.
        scores: of them; higher is more anomalous.
        thresholds: NaN for none.
        branches: more scores, each for a column `score_<name>`.
        away: their levels' distances from the training's, in dB.
        snr: each row says its signal-to-noise ratio in dB too.
    """
    return [
        {
            "path": clip.name,
            "machine_type": clip.machine_type,
            "machine_id": clip.machine_id,
            "domain": clip.domain,
            "label": clip.label,
            "score": float(scores[i]),
            **{f"score_{name}": float(values[i]) for name, values in (branches or {}).items()},
            "threshold": float(thresholds[i]),
            "decision": decide(scores[i], thresholds[i]),
            **({"snr": clip.snr} if snr else {}),
            "quality": quality.words({*clip.quality.split(), *quality.of_level(float(away[i]))}),
        }
        for i, clip in enumerate(clips)
    ]


def examples(
    detector: Detector,
    rows: Rows,
    waves: Int16[np.ndarray, "clips samples"],
    group: Int[np.ndarray, "clips"],
    *,
    seen: Float[np.ndarray, "clips height width"] | None = None,
) -> tuple[Example, ...]:
    """Clips with where in time and frequency each departs from normal.

    Args:
        detector: that has scored them.
        rows: of `score_rows`, in the order in which they are shown.
        waves: of the same clips.
        group: their machines, as the detector numbers them.
        seen: the pictures that a network sees of them.
    """
    percentiles = detector.percentiles(np.array([row["score"] for row in rows]), group)
    names = ("path", "machine_type", "machine_id", "label", "score")
    return tuple(
        Example(
            **{name: row[name] for name in names},
            threshold=row["threshold"] if np.isfinite(row["threshold"]) else None,
            rarity=tail_words(**detector.rarity(row["score"], own)),
            percentile=float(percentiles[k]) if np.isfinite(percentiles[k]) else None,
            seen=None if seen is None else seen[k],
            **vars(detector.picture(waves[k], own, detector.heard(waves[k], row, own))),
        )
        for k, (row, own) in enumerate(zip(rows, map(int, group), strict=True))
    )


def leave(
    run: Run,
    rows: Rows,
    results: dict[str, Any],
    seconds: Mapping[str, float],
    began: float,
    *,
    about: About,
    more: Sequence[str] = (),
    **shown: Any,
) -> None:
    """Writes scores.csv, report.html, the detector's card and, last, results.json.

    Args:
        run: that has come to its end.
        rows: of the test clips.
        results: of results.json, but for `version`, `made`, `verdict` and `timing`.
        seconds: what each part of the run before this one took.
        began: when this one did, by `time.monotonic`.
        about: the recipe's sentences on its detectors.
        more: sentences at the end of the verdict.
        shown: further fields of `Report`.
    """
    write_scores(run.workdir.path("scores.csv"), rows)
    results["version"] = asd_jax.__version__
    results["made"] = provenance.made(run, {row["path"] for row in rows})
    report = Report(
        results=results,
        rows=tuple(rows),
        history=tuple(run.workdir.metrics_log().read()),
        warnings=tuple(results["notes"]),
        config=run.workdir.config(),
        version=asd_jax.__version__,
        **shown,
    )
    results["verdict"] = " ".join([*verdict(report, machines(report)).headline, *more])
    results["timing"] = {**seconds, "evaluate": round(time.monotonic() - began, 1)}
    report = provenance.without_paths(report, provenance.root_of(run.config))  # it is handed on
    write_report(run.workdir.path("report.html"), report)
    write_card(run.workdir.path("detector"), report.results, report.config, about)
    write_json(run.workdir.path("results.json"), results)
    if loggers := run.workdir.loggers():
        loggers.log("test", 0, {name: results["mean"].get(name) for name in ("auc", "pauc")})
        loggers.close()
