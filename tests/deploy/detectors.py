"""Detectors of each recipe with tiny networks, made without any training."""

import jax
import numpy as np

from asd_jax.features.logmel import to_float
from asd_jax.features.normalise import Normaliser
from asd_jax.features.settings import Pictures
from asd_jax.features.views import view_sizes
from asd_jax.recipes.ensemble import branches, networks
from asd_jax.recipes.ensemble.detector import EnsembleDetector
from asd_jax.recipes.ensemble.settings import Ensemble, Features, Scoring
from asd_jax.recipes.pump_classifier import network
from asd_jax.recipes.pump_classifier.detector import ClassifierDetector
from asd_jax.recipes.pump_classifier.settings import Network, PumpClassifier
from asd_jax.runs.settings import Data
from asd_jax.scoring import ensemble as ensembles
from asd_jax.scoring import scorers
from asd_jax.scoring.platt import Platt

GROUPS = (("fan", "00"), ("fan", "02"), ("pump", "00"))
BRANCHES = ("fusion", "spectral", "temporal", "early_layers", "statistics")


def ensemble(of_embeddings: str = "gaussian") -> EnsembleDetector:
    """Scorers of random networks' embeddings of noise; every branch has a weight.

    Those of this kind for the embeddings: a Gaussian of 512 numbers fills a megabyte.
    """
    config = Ensemble(
        data=Data(clip_seconds=1.0),
        features=Features(n_mels=32, n_fft=512, hop_length=256),
        scoring=Scoring(branches=BRANCHES),
    )
    nets, spec = networks.build(config, len(GROUPS)), networks.front_end(config)
    keys = jax.random.split(jax.random.key(0), 3)
    names = ("encoder", "temporal", "fusion")
    variables = {n: getattr(nets, n).init(k) for n, k in zip(names, keys, strict=True)}
    bins = np.ones((32, 2), np.float32)
    variables["normaliser"] = Normaliser(mean=-40.0 * bins, scale=0.1 * bins)
    rng = np.random.default_rng(0)
    waves = rng.normal(0, 1000, (36, 16000)) * rng.uniform(0.5, 2.0, (36, 1))
    group = np.arange(36) % 3
    extract = jax.jit(branches.make_extractor(config, nets, spec))
    features = jax.device_get(extract(variables, to_float(waves.astype(np.int16))))
    kinds = dict.fromkeys(BRANCHES, (of_embeddings, {}))
    kinds |= {
        "early_layers": ("gaussian", {}),
        "statistics": ("views", {"sizes": view_sizes(features["statistics"].shape[1])}),
    }
    fitted = {
        b: [scorers.fit(kind, features[b][group == g], **options) for g in range(3)]
        for b, (kind, options) in kinds.items()
    }
    scores = {b: np.zeros(36) for b in BRANCHES}
    for branch in BRANCHES:
        for g in range(3):
            rows = group == g
            scores[branch][rows] = scorers.score(fitted[branch][g], features[branch][rows])
    weighed = ensembles.fit_ensemble(scores, None, [GROUPS[g] for g in group], rule="equal")
    return EnsembleDetector(
        config=config,
        groups=GROUPS,
        variables=variables,
        scorers=fitted,
        ensemble=weighed,
        thresholds=np.array([0.5, 1.0, np.nan]),
        normal_scores=(np.linspace(-1, 1, 9),) * 3,
        frame_mean=np.zeros((3, 32)),
        frame_std=np.ones((3, 32)),
    )


def classifier() -> ClassifierDetector:
    """A random network with all that `configs/pump_classifier.py` puts around it."""
    config = PumpClassifier(
        data=Data(clip_seconds=1.0),
        features=Pictures(kind="mel", size=32, n_mels=32, normalise="per_bin"),
        network=Network(head="rows"),
    )
    variables = jax.device_get(network.build(config).init(jax.random.key(1)))
    variables["params"]["wide"] = np.random.default_rng(0).normal(size=(64, 1)).astype(np.float32)
    return ClassifierDetector(
        config=config,
        groups=(("pump", "00"), ("pump", "02")),
        variables=variables,
        normal_scores=(np.linspace(0, 1, 9),) * 3,
        frame_mean=np.zeros((3, 128)),
        frame_std=np.ones((3, 128)),
        calibration=Platt(0.7, 0.4),
        threshold=0.6,
    )
