"""What a detector has learned from, how rough its threshold is, and what it would hear.

The main case has healthy recordings alone, so no fault tells. Faults are then made from held-out
healthy clips, as for the rule 'discriminant', by scorers that have not seen these clips.
"""

import functools
import os
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Int, Int16

from asd_jax.augment.waveform_faults import weak_fault
from asd_jax.data.samples import to_int16
from asd_jax.features.logmel import to_float
from asd_jax.naming import first_few
from asd_jax.recipes.ensemble.backends import BRANCHES
from asd_jax.recipes.ensemble.detector import EnsembleDetector
from asd_jax.recipes.ensemble.stages import EnsembleRun
from asd_jax.scoring.threshold import false_alarm_range

MOST = 24  # held-out clips that faults are made from: nine faults of each are as many clips more
FAULTS = tuple(  # (kind, strength in dB; see `weak_fault`)
    (kind, strength)
    for kind, strengths in (
        ("tone", (-30.0, -20.0, -10.0)),
        ("band_gain", (1.0, 3.0, 6.0)),
        ("clicks", (-20.0, -10.0, 0.0)),
    )
    for strength in strengths
)
_SAID = {
    "tone": ("a hum or whistle", "{:g} dB"),
    "band_gain": ("a band louder or quieter", "{:g} dB"),
    "clicks": ("clicks, 1 to 20 a second", "{:g} dB"),
}


def name(kind: str, strength: float) -> str:
    """What a made fault is called in files: `tone -20 dB`."""
    return f"{kind} {strength:+g} dB"


def key_of(key: Array) -> Array:
    """The key of the made faults, from that of a run's conclusion."""
    return jax.random.fold_in(key, 1)


def words(kind: str, strength: float) -> tuple[str, str]:
    """A made fault and its strength, for reports."""
    fault, how = _SAID[kind]
    return fault, how.format(strength)


def chosen(held_out: int) -> Int[np.ndarray, "clips"]:
    """Places of the held-out clips that faults are made from: evenly spread, at most `MOST`."""
    return np.unique(np.linspace(0, held_out - 1, min(held_out, MOST)).round().astype(int))


class _Made(NamedTuple):
    """Waveforms where a wave cache is expected."""

    waves: Int16[np.ndarray, "clips samples"]

    def gather(self, indices: np.ndarray) -> Int16[np.ndarray, "batch samples"]:
        return self.waves[indices]


def heard_features(
    run: EnsembleRun, key: jax.Array, variables: dict[str, Any]
) -> dict[str, dict[str, np.ndarray]]:
    """The branches' features `[clips, dim]` of `chosen` clips with each of `FAULTS`, by its name.

    All are read off at once: the last batch is filled up, and few clips fill none.
    """
    held = run.corpus.held_out
    few = held[chosen(len(held))]
    if not len(few):
        return {}
    waves, made = to_float(jnp.asarray(run.corpus.waves.gather(few))), []
    for number, (kind, strength) in enumerate(FAULTS):
        keys = jax.random.split(jax.random.fold_in(key, number), len(few))
        found = changed(keys, waves, strength, kind, run.config.data.sample_rate)
        made.append(to_int16(np.asarray(found)))
    places = np.arange(len(FAULTS) * len(few))
    found = run.extract(variables, _Made(np.concatenate(made)), places)
    parts = {b: np.split(value, len(FAULTS)) for b, value in found.items()}
    return {name(*fault): {b: parts[b][k] for b in parts} for k, fault in enumerate(FAULTS)}


@functools.partial(jax.jit, static_argnums=(3, 4))
def changed(
    keys: Array, waves: Array, strength: float | Array, kind: str, sample_rate: int
) -> Array:
    """Clips with a fault each, `[clips, samples]`, see `weak_fault`."""
    return jax.vmap(
        lambda key, wave: weak_fault(
            key, wave, kind=kind, strength_db=strength, sample_rate=sample_rate
        )
    )(keys, waves)


def about(
    run: EnsembleRun, detector: EnsembleDetector, heard: Mapping[str, Bool[np.ndarray, "clips"]]
) -> dict[str, Any]:
    """The entry `learned` of results.json.

    Args:
        run: that has made the detector.
        detector: of it.
        heard: by made fault, whether each clip with it is above its threshold.

    Returns:
        `sentences` for report and terminal; `heard`, a row for each kind of fault with
        (strength in words, clips heard, clips) for each strength; `next`, (what for, command) with
        RUN for the folder of the run.
    """
    rows = []
    for kind in _SAID:
        found = [(s, heard[name(k, s)]) for k, s in FAULTS if k == kind and name(k, s) in heard]
        cells = [[words(kind, s)[1], int(h.sum()), len(h)] for s, h in found]
        if cells:
            rows.append({"fault": words(kind, 0.0)[0], "cells": cells})
    return {
        "sentences": [_material(run), _threshold(run, detector), carried(detector.weights)],
        "heard": rows,
        "next": [
            (
                "Judge recordings, with a page of what came out",
                "python -m asd_jax.score --detector=RUN/detector --report=scored.html PATH",
            ),
            (
                "Listen to a folder that a recorder fills",
                "python -m asd_jax.monitor --detector=RUN/detector --watch=FOLDER",
            ),
            (
                "Fewer false alarms, and fewer faults caught, without training anew",
                "python -m asd_jax.rescore RUN --config.scoring.false_alarm_rate=0.02",
            ),
        ],
    }


def _material(run: EnsembleRun) -> str:
    """How many recordings of which folders."""
    corpus = run.corpus
    paths = {corpus.clips[i].path for i in corpus.training}
    held = {corpus.clips[i].path for i in corpus.held_out}
    root = run.config.data.root or os.path.commonpath([os.path.dirname(path) for path in paths])
    folders = Counter(os.path.relpath(os.path.dirname(path), root) for path in sorted(paths))
    here = os.path.basename(os.path.abspath(root))
    shown = [f"{here if f == os.curdir else f} ({count})" for f, count in folders.items()]
    said = f"Learned from {len(paths)} healthy recordings: {first_few(shown, 6)}."
    if held == paths:
        return (
            f"{said} All of them set the threshold, too, each judged by a detector that has not "
            "heard it."
        )
    return f"{said} {len(held)} of them were kept from the networks, to set the threshold."


def _threshold(run: EnsembleRun, detector: EnsembleDetector) -> str:
    """How rough the threshold is."""
    rate = run.config.scoring.false_alarm_rate
    clips = min(len(detector.healthy(g)) for g in range(len(detector.groups)))
    if clips < 2:
        return "Too few clips were held out for a threshold."
    low, high = false_alarm_range(clips, rate)
    return (
        f"The threshold comes from {clips} healthy clips, for {rate:.0%} false alarms: from so "
        f"many it may turn out to be anything from {low:.0%} to {high:.0%}. "
        + ("That is rough: record more healthy clips, on other days." if high > 2 * rate else "")
    ).strip()


def carried(weights: Mapping[str, float]) -> str:
    """Which branches carry the score, by their weights."""
    total = sum(weights.values()) or 1.0
    used = sorted(((w / total, b) for b, w in weights.items() if w > 0), reverse=True)
    if len(used) == 1:
        return f"One part makes the score: {used[0][1]} ({BRANCHES[used[0][1]]})."
    parts = [f"{branch} {share:.2f} ({BRANCHES[branch]})" for share, branch in used]
    return f"{len(parts)} parts make the score, by weight: {', '.join(parts[:-1])} and {parts[-1]}."
