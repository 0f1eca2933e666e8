"""The views of a clip that are scored: each branch turns a waveform into one feature vector."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from asd_jax.features.logmel import LogMel, log_mel, mel_power, power_to_db
from asd_jax.features.normalise import normalise
from asd_jax.features.statistics import pool_time, reference_views
from asd_jax.features.views import clip_views
from asd_jax.recipes.ensemble.networks import Networks
from asd_jax.recipes.ensemble.settings import Ensemble
from asd_jax.types import BranchFeatures, Tree, Waves

Extract = Callable[[Mapping[str, Tree], Waves], BranchFeatures]

NETWORKS = ("fusion", "spectral", "temporal", "early_layers")  # branches that a network learned
USED = ("normaliser", "encoder", "temporal", "fusion")  # the variables of all branches
REFERENCE_MELS = 64  # bands of the simple references


def make_extractor(config: Ensemble, nets: Networks, spec: LogMel) -> Extract:
    """Returns `extract(variables, wave) -> features` of every branch of the config, pure, for jit.

    `variables` holds the networks' variables by name and the `normaliser`. Besides the branches it
    returns `frame_mean` and `frame_square` `[batch, mels]`, the moments of each mel band's level in
    dB over the frames: what is normal at that frequency, to show where a clip departs from it; and
    `frame_level` `[batch, 1]`, the clip's level in dB, and `frame_references`
    `[batch, 4 * 64]`, `reference_views` side by side, for the references.
    """
    wanted = config.scoring.branches
    views = make_views(config, nets, spec, wanted)

    def extract(variables: Mapping[str, Tree], wave: Waves) -> BranchFeatures:
        features = views(variables, wave)
        if "fusion" in wanted:
            features["fusion"] = fuse(nets, variables, features)
        return {k: v for k, v in features.items() if k in wanted or k.startswith("frame_")}

    return extract


def make_views(config: Ensemble, nets: Networks, spec: LogMel, wanted: Sequence[str]) -> Extract:
    """All of `make_extractor` but the fusion, which needs only what this returns."""

    def views(variables: Mapping[str, Tree], wave: Waves) -> BranchFeatures:
        power = mel_power(wave, spec=spec)
        level = power_to_db(power)
        features = {"frame_mean": level.mean(-1), "frame_square": jnp.square(level).mean(-1)}
        features["frame_level"] = power_to_db(jnp.square(wave).mean(-1, keepdims=True))
        coarse = mel_power(wave, spec=dataclasses.replace(spec, n_mels=REFERENCE_MELS))
        features["frame_references"] = _side_by_side(reference_views(coarse))
        features["statistics"] = _statistics(config, spec, wave)
        if set(NETWORKS) & set(wanted):
            features |= _learned(nets, spec, variables, wave, wanted)
        return features

    return views


def fuse(nets: Networks, variables: Mapping[str, Tree], features: BranchFeatures) -> Array:
    """The fused embedding `[batch, dim]` of both networks' embeddings."""
    inputs = (features["temporal"], features["spectral"])
    return nets.fusion.apply(variables["fusion"], *inputs, train=False)[0][0]


def seen_by(wanted: Sequence[str]) -> tuple[str, ...]:
    """These branches, and those that the fusion is made of."""
    return tuple(
        dict.fromkeys([*wanted, *(("temporal", "spectral") if "fusion" in wanted else ())])
    )


def needed(wanted: Sequence[str]) -> set[str]:
    """The variables that these branches use, by name."""
    names = {"normaliser"}
    if {"fusion", "spectral", "early_layers"} & set(wanted):
        names.add("encoder")
    if {"fusion", "temporal"} & set(wanted):
        names.add("temporal")
    if "fusion" in wanted:
        names.add("fusion")
    return names


def _statistics(config: Ensemble, spec: LogMel, wave: Waves) -> Array:
    """The statistics branch `[batch, dim]`."""
    bands = config.statistics.n_mels or spec.n_mels
    spec = dataclasses.replace(spec, n_mels=bands)
    if config.statistics.pool == "views":
        return clip_views(wave, spec=spec)
    return pool_time(mel_power(wave, spec=spec), settings=config.statistics)


def _side_by_side(views: Float[Array, "batch views mels"]) -> Float[Array, "batch dim"]:
    return views.reshape(views.shape[0], -1)


def _learned(
    nets: Networks, spec: LogMel, variables: Mapping[str, Tree], wave: Waves, wanted: Sequence[str]
) -> BranchFeatures:
    features = {}
    if {"fusion", "spectral", "early_layers"} & set(wanted):
        x = normalise(log_mel(wave, spec=spec), variables["normaliser"])
        (features["spectral"], intermediates), _ = nets.encoder.apply(
            variables["encoder"], x, train=False
        )
        if "early_layers" in wanted:
            features["early_layers"] = pool_early_layers(intermediates["stage2"])
    if "fusion" in wanted or "temporal" in wanted:
        (temporal, _), _ = nets.temporal.apply(variables["temporal"], wave, train=False)
        features["temporal"] = temporal
    return features


def pool_early_layers(x: Float[Array, "batch mels frames channels"]) -> Float[Array, "batch dim"]:
    """An early map averaged over time with its frequency axis kept: what pooled heads lose.

    Neighbouring frequencies are averaged in pairs: the map is smooth, and half the numbers make a
    better covariance from few clips.
    """
    profile = x.mean(axis=2)
    even = profile.shape[1] // 2 * 2
    return 0.5 * (profile[:, 0:even:2] + profile[:, 1:even:2]).reshape(x.shape[0], -1)
