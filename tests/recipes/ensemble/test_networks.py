"""The networks of the ensemble: how wide, how many, and what a clip is."""

import dataclasses

import jax
import pytest

from asd_jax.recipes.ensemble import networks
from asd_jax.recipes.ensemble.settings import Ensemble
from asd_jax.runs.settings import from_config
from tests.recipes import tiny


def settings(argument="smoke", **changes):
    return from_config(Ensemble, tiny.resolved("ensemble", argument, **changes).to_dict())


def test_clips_and_spectrograms_are_as_long_as_the_settings_say():
    config = settings(data__clip_seconds=1.5, features__n_mels=48)
    assert networks.clip_samples(config) == round(1.5 * config.data.sample_rate)
    assert networks.front_end(config).n_mels == 48
    assert networks.front_end(config).sample_rate == config.data.sample_rate


@pytest.mark.parametrize("classes", [2, 5])
def test_centres_are_as_many_as_machines_and_as_wide_as_their_embedding(classes):
    config = settings()
    nets = networks.build(config, classes)
    widths = {
        "identify": config.encoder.embed_dim,
        "temporal_identify": networks.temporal_dim(config),
        "fusion_identify": networks.FUSED,
    }
    for name, width in widths.items():
        drawn = jax.eval_shape(getattr(nets, name).init, jax.random.key(0))
        (shape,) = {leaf.shape for leaf in jax.tree.leaves(drawn["params"])}
        assert shape[0] == classes and shape[-1] == width


def test_only_the_spectral_branch_has_networks_side_by_side():
    config = settings()
    two = dataclasses.replace(config, encoder=dataclasses.replace(config.encoder, members=2))
    assert [networks.members(two, name) for name in ("spectral", "temporal", "fusion")] == [2, 1, 1]
