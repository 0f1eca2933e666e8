"""One recording scored by a detector of the paper's size, warm: from the file to the row."""

from typing import Any

import jax
import numpy as np

from asd_jax.features.logmel import log_mel, to_float
from asd_jax.features.normalise import collect_moments, fit_normaliser
from asd_jax.features.views import view_sizes
from asd_jax.recipes.ensemble import branches, networks
from asd_jax.recipes.ensemble.detector import EnsembleDetector
from asd_jax.score import score_paths
from asd_jax.scoring import ensemble as ensembles
from asd_jax.scoring import scorers
from tests.benchmarks.ours.networks import PAPER
from tests.benchmarks.protocol import Work
from tests.benchmarks.recordings import written
from tests.benchmarks.sounds import waves

GROUPS = tuple(("fan", f"id_{i:02d}") for i in range(4))
FITTED = 32  # clips that the scorers are fitted to


def detector() -> EnsembleDetector:
    """A detector with random networks: its scores mean nothing and take as long as any."""
    config = PAPER
    nets, spec = networks.build(config, len(GROUPS)), networks.front_end(config)
    wave = to_float(jax.device_put(waves(FITTED)))
    level = jax.jit(lambda x: log_mel(x, spec=spec))(wave)
    variables = {"normaliser": fit_normaliser(collect_moments([(level, None)]))}
    for number, name in enumerate(("encoder", "temporal", "fusion")):
        variables[name] = getattr(nets, name).init(jax.random.key(number))
    extract = jax.jit(branches.make_extractor(config, nets, spec))
    features = jax.device_get(extract(variables, wave))
    label = np.arange(FITTED) % len(GROUPS)
    views = {"statistics": ("views", {"sizes": view_sizes(features["statistics"].shape[1])})}
    fitted = {}
    for name in config.scoring.branches:
        kind, options = views.get(name, ("gaussian", {}))
        own = [features[name][label == g] for g in range(len(GROUPS))]
        fitted[name] = [scorers.fit(kind, part, **options) for part in own]
    drawn = {name: np.random.default_rng(0).normal(size=FITTED) for name in fitted}
    mels = np.ones((len(GROUPS), spec.n_mels), np.float32)
    return EnsembleDetector(
        config=config,
        groups=GROUPS,
        variables=variables,
        scorers=fitted,
        ensemble=ensembles.fit_ensemble(drawn, None, [GROUPS[g] for g in label], rule="equal"),
        thresholds=np.zeros(len(GROUPS)),
        normal_scores=tuple(np.sort(drawn["statistics"][label == g]) for g in range(len(GROUPS))),
        frame_mean=mels,
        frame_std=mels,
    )


def build(variant: dict[str, Any], program: dict[str, Any]) -> Work:
    """Scores one file, or sixteen, as `asd_jax.score` does."""
    found, paths = detector(), written(16, 1)[: program["clips"]]
    rows = score_paths(found, paths, GROUPS[0])[0]
    assert len(rows) == program["clips"]
    return Work(lambda: score_paths(found, paths, GROUPS[0]), {"branches": len(found.scorers)})
