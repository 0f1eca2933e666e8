"""The toy recipe: wav -> mean level of each band -> autoencoder -> residual -> Gaussian."""

import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from asd_jax.data.cache import WaveCache
from asd_jax.data.clips import Clip
from asd_jax.data.splits import hold_out
from asd_jax.errors import UserError
from asd_jax.report.card import About
from asd_jax.runs import finish
from asd_jax.runs.recipe import Recipe
from asd_jax.runs.recordings import collected_warnings, open_recordings
from asd_jax.runs.run import Run
from asd_jax.runs.trainer import Clips, Plan
from asd_jax.runs.workdir import Stopwatch
from asd_jax.scoring import metrics, scorers
from asd_jax.scoring.summary import summarise
from asd_jax.scoring.threshold import fit_threshold
from asd_jax.train.state import TrainState
from asd_jax.train.step import mean_over_batch
from asd_jax.types import Variables
from tests.recipes.toy import network
from tests.recipes.toy.detector import MeanLevelDetector
from tests.recipes.toy.settings import MeanLevel

NAME = "autoencoder"  # of the one network
ABOUT = About(
    "An autoencoder of mean levels, and a Gaussian of what it cannot explain.",
    "A high score says that a sound is unlike what it knows.",
)


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Decoded clips and their roles: index arrays into `clips` and `waves`."""

    clips: tuple[Clip, ...]
    waves: WaveCache
    groups: tuple[tuple[str, str], ...]  # the machines
    label: np.ndarray  # machine of each clip, -1 for one that is not known
    fit: np.ndarray  # normal clips that the network and the Gaussians see
    held_out: np.ndarray  # normal clips for thresholds alone
    test: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def told_apart(self) -> tuple:
        """What networks are built for; here the same of any clips."""
        return ()


def load(config: MeanLevel) -> Corpus:
    """Finds, decodes and splits the recordings that the config names."""
    with collected_warnings() as notes:
        opened = open_recordings(config, progress=False)
    clips = opened.clips
    fit, held = hold_out(clips, config.data.hold_out, config.seed)
    groups = tuple(sorted({clips[i].group for i in fit}))
    if not groups:
        raise UserError("there is no readable normal recording to train on.")
    label = np.array([groups.index(c.group) if c.group in groups else -1 for c in clips], np.int32)
    test = [i for i, c in enumerate(clips) if c.split == "test" and label[i] >= 0]
    return Corpus(clips, opened.waves, groups, label, fit, held, np.array(test, int), tuple(notes))


def imagined(config: MeanLevel, count: int) -> Corpus:
    """Machines of which no clip can be read: for plans without recordings."""
    none = np.zeros(0, int)
    groups = tuple(("", str(number)) for number in range(count))
    return Corpus((), WaveCache("", none, network.samples(config)), groups, none, none, none, none)


def loss(config: MeanLevel, nets: network.Networks):
    """From int16 waveforms to the mean square of what the autoencoder misses."""

    def value(params: dict[str, Any], state: TrainState, batch: dict[str, Array], key: Array):
        variables = {"params": params[NAME], "batch_stats": state.stats[NAME]}
        mean = network.level(config, batch["wave"]).mean(-1)
        (residual, _), stats = nets.autoencoder.apply(variables, mean, train=True, key=key)
        return mean_over_batch(jnp.square(residual)), ({NAME: stats}, {})

    return value


def plans(run: Run) -> list[Plan]:
    """The one stage."""
    corpus, schedule = run.corpus, run.config.train
    return [
        Plan(
            "train",
            schedule,
            loss(run.config, run.nets),
            {NAME: schedule.optimizer},
            clip=jax.ShapeDtypeStruct((network.samples(run.config),), np.int16),
            clips=lambda _: Clips(corpus.waves, corpus.label, corpus.fit),
            count=len(corpus.fit),
        )
    ]


def shapes(run: Run) -> Variables:
    """Shapes and dtypes of the variables."""
    return {NAME: jax.eval_shape(run.nets.autoencoder.init, jax.random.key(0))}


def fit_detector(run: Run, variables: Any) -> tuple[MeanLevelDetector, dict[str, np.ndarray]]:
    """The detector of trained variables, and what was read of the normal clips that train."""
    corpus, config = run.corpus, run.config
    read = network.reader(config)
    fit, held = (
        jax.device_get(read(variables, corpus.waves.gather(rows)))
        for rows in (corpus.fit, corpus.held_out)
    )
    own, other = corpus.label[corpus.fit], corpus.label[corpus.held_out]
    everyone = range(len(corpus.groups))
    gaussians = tuple(scorers.fit("gaussian", fit["residual"][own == g]) for g in everyone)
    normal = tuple(
        np.sort(scorers.score(gaussians[g], held["residual"][other == g])).astype(np.float64)
        for g in everyone
    )
    members = [own == g for g in everyone]
    mean, std = finish.normal_frames(fit["mean"], fit["square"], members)
    rate = config.false_alarm_rate
    thresholds = np.array([fit_threshold(s, false_alarm_rate=rate) for s in normal])
    detector = MeanLevelDetector(
        config, corpus.groups, variables, gaussians, thresholds, normal, mean, std
    )
    return detector, fit


def references(run: Run, fit: dict[str, np.ndarray], tested: dict[str, np.ndarray]) -> dict:
    """Mean AUC over the machines of a Gaussian on the mean level itself, without the network."""
    corpus = run.corpus
    label = np.array([corpus.clips[i].label for i in corpus.test])
    aucs = []
    for g in range(len(corpus.groups)):
        own = corpus.label[corpus.test] == g
        gaussian = scorers.fit("gaussian", fit["mean"][corpus.label[corpus.fit] == g])
        aucs.append(
            metrics.auc(label[own], np.asarray(scorers.score(gaussian, tested["mean"])[own]))
        )
    return {"mean_log_mel": float(np.nanmean(aucs))}


def conclude(run: Run, variables: Variables, stopwatch: Stopwatch) -> None:
    """From the trained network to the detector and the files of a finished run."""
    began, corpus, config = time.monotonic(), run.corpus, run.config
    detector, fit = fit_detector(run, variables[NAME])
    detector.save(run.workdir.path("detector"))
    stopwatch.lap("fit")
    group = corpus.label[corpus.test]
    waves = corpus.waves.gather(corpus.test)
    scores = detector.each_score(waves)[np.arange(len(group)), group]
    tested = jax.device_get(network.reader(config)(detector.variables, waves))
    away = tested["mean"].mean(1) - detector.frame_mean[group].mean(1)
    clips = [corpus.clips[i] for i in corpus.test]
    rows = finish.score_rows(clips, scores, detector.thresholds[group], away=away)
    results = {
        "protocol": {"name": config.protocol, "layout": config.data.layout, "oracle": False},
        "seed": config.seed,
        **summarise(rows, draws=0),
        "references": references(run, fit, tested),
        "notes": list(corpus.notes),
    }
    finish.leave(run, rows, results, stopwatch.seconds, began, about=ABOUT)


RECIPE = Recipe(
    settings=MeanLevel,
    stages=("train",),
    load=load,
    build=lambda config, corpus: network.build(config),
    run=Run,
    plans=plans,
    initial=lambda run: {},
    shapes=shapes,
    conclude=conclude,
    imagined=imagined,
)
