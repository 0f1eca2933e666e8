"""A machine that hums, and a real detector of it that is made in a second: statistics alone."""

import functools

import jax
import numpy as np

from asd_jax.features.logmel import to_float
from asd_jax.features.views import view_sizes
from asd_jax.recipes.ensemble import branches, networks
from asd_jax.recipes.ensemble.detector import EnsembleDetector
from asd_jax.recipes.ensemble.settings import Ensemble, Features, Scoring
from asd_jax.runs.settings import Data
from asd_jax.scoring import ensemble as ensembles
from asd_jax.scoring import scorers
from asd_jax.scoring.threshold import fit_threshold

RATE, SECONDS = 16000, 1.0
GROUPS = (("hum", "a"),)


def hum(seconds: float = SECONDS, *, seed: int = 0) -> np.ndarray:
    """Healthy: two partials in white noise, int16."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    tone = 1500 * np.sin(2 * np.pi * 120 * time) + 700 * np.sin(2 * np.pi * 940 * time + 1)
    return np.rint(tone + rng.normal(0, 400, len(time))).astype(np.int16)


def with_tone(
    wave: np.ndarray, *, start: float, end: float, hertz: float, height: float = 1500
) -> np.ndarray:
    """The wave with a tone burst at a known time and frequency."""
    time = np.arange(len(wave)) / RATE
    burst = height * np.sin(2 * np.pi * hertz * time) * ((time >= start) & (time < end))
    return np.clip(wave + burst, -32768, 32767).astype(np.int16)


@functools.cache
def detector() -> EnsembleDetector:
    """Fitted to forty clips of `hum`."""
    config = Ensemble(
        data=Data(clip_seconds=SECONDS, sample_rate=RATE, long="windows"),
        features=Features(n_mels=48, hop_length=256),
        scoring=Scoring(branches=("statistics",)),
    )
    nets, spec = networks.build(config, len(GROUPS)), networks.front_end(config)
    extract = jax.jit(branches.make_extractor(config, nets, spec))
    waves = np.stack([hum(seed=seed) for seed in range(1, 41)])
    features = jax.device_get(extract({}, to_float(jax.device_put(waves))))
    heard = features["statistics"]
    fitted = scorers.fit("views", heard[:28], sizes=view_sizes(heard.shape[1]))
    held = np.asarray(scorers.score(fitted, heard[28:]), np.float64)
    weighed = ensembles.fit_ensemble({"statistics": held}, None, [GROUPS[0]] * len(held))
    scores = ensembles.combine(weighed, {"statistics": held}, [GROUPS[0]] * len(held))
    mean = features["frame_mean"].mean(0)
    std = np.sqrt(features["frame_square"].mean(0) - mean**2)
    return EnsembleDetector(
        config=config,
        groups=GROUPS,
        variables={"normaliser": {}},
        scorers={"statistics": [fitted]},
        ensemble=weighed,
        thresholds=np.array([fit_threshold(scores, false_alarm_rate=0.01)]),
        normal_scores=(np.sort(scores),),
        frame_mean=mean[None],
        frame_std=std[None],
    )
