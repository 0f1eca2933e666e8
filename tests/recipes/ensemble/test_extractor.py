"""The branches' features of many clips: those of each clip alone, in the order asked for."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from asd_jax.features.logmel import to_float
from asd_jax.features.normalise import Normaliser
from asd_jax.recipes.ensemble import branches, networks
from asd_jax.recipes.ensemble.extractor import Extractor
from asd_jax.recipes.ensemble.settings import Ensemble, Scoring
from asd_jax.runs.settings import from_config
from tests.recipes import tiny

WAVES = (np.random.default_rng(0).normal(size=(5, 16000)) * 1000).astype(np.int16)


class Waves:
    def __len__(self):
        return len(WAVES)

    def gather(self, indices):
        return WAVES[indices]


def test_features_of_many_clips_are_those_of_each():
    small = {"data__clip_seconds": 1.0, "features__n_mels": 32, "eval_batch_size": 2}
    config = from_config(Ensemble, tiny.resolved("ensemble", "smoke", **small).to_dict())
    config = dataclasses.replace(config, scoring=Scoring(branches=("fusion", "statistics")))
    nets, spec = tiny.build(config, 2), networks.front_end(config)
    keys = jax.random.split(jax.random.key(0), 3)
    names = ("encoder", "temporal", "fusion")
    trained = {n: getattr(nets, n).init(k) for n, k in zip(names, keys, strict=True)}
    trained["normaliser"] = Normaliser()
    extract, order = Extractor(config, nets, spec), np.array([3, 0, 4])
    found = extract(trained, Waves(), order)
    alone = jax.jit(branches.make_extractor(config, nets, spec))
    for row, clip in enumerate(order):
        expected = alone(trained, to_float(jnp.asarray(WAVES[clip : clip + 1])))
        for name in ("fusion", "statistics", "frame_mean"):
            np.testing.assert_allclose(found[name][row], expected[name][0], rtol=1e-4, atol=1e-4)
    before = extract({n: v for n, v in trained.items() if n != "fusion"}, Waves(), order)
    assert "fusion" not in before
    np.testing.assert_allclose(before["temporal"], found["temporal"], rtol=1e-5)
