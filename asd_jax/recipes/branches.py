"""The views of a clip that are scored: each branch turns a waveform into one feature vector."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from asd_jax.features.logmel import LogMel, log_mel, mel_power, power_to_db
from asd_jax.features.normalise import normalise
from asd_jax.features.statistics import TimePooling, pool_time, skewness_of_level
from asd_jax.recipes.networks import Networks
from asd_jax.recipes.settings import Ensemble

Tree = Any
Waves = Float[Array, "batch samples"]
Features = dict[str, Float[Array, "batch dim"]]
Extract = Callable[[dict[str, Tree], Waves], Features]

# What each branch looks at, for reports.
BRANCHES = {
    "fusion": "fusion of both networks",
    "spectral": "spectrogram network",
    "temporal": "waveform network",
    "tap": "early layers of the spectrogram network",
    "statistics": "average spectrum",
}
NETWORKS = ("fusion", "spectral", "temporal", "tap")  # branches that a network learned
SEEN = ("normaliser", "encoder", "temporal")  # the variables of all branches but the fusion
USED = (*SEEN, "fusion")
STRIKING = 0.5  # skewness of a machine whose loud moments tell all


def make_extractor(config: Ensemble, nets: Networks, spec: LogMel) -> Extract:
    """`extract(variables, wave) -> features` of every branch of the config, pure, for jit.

    `variables` holds the networks' variables by name and the `normaliser`. Besides the branches it
    returns `frame_mean` and `frame_square` `[batch, mels]`, the moments of each mel band's level in
    dB over the frames: what is normal at that frequency, to show where a clip departs from it; and
    `frame_level` `[batch, 1]`, the clip's level in dB, to compare with. `frame_loud`
    `[batch, mels]` and `frame_skew` `[batch, 1]` are for `blend`, if the statistics are 'auto'.
    """
    wanted = config.scoring.branches
    views = make_views(config, nets, spec, wanted)

    def extract(variables: dict[str, Tree], wave: Waves) -> Features:
        features = views(variables, wave)
        if "fusion" in wanted:
            features["fusion"] = fuse(nets, variables, features)
        return {k: v for k, v in features.items() if k in wanted or k.startswith("frame_")}

    return extract


def make_views(config: Ensemble, nets: Networks, spec: LogMel, wanted: Sequence[str]) -> Extract:
    """All of `make_extractor` but the fusion, which needs only what this returns."""

    def views(variables: dict[str, Tree], wave: Waves) -> Features:
        power = mel_power(wave, spec=spec)
        level = power_to_db(power)
        features = {"frame_mean": level.mean(-1), "frame_square": jnp.square(level).mean(-1)}
        features["frame_level"] = power_to_db(jnp.square(wave).mean(-1, keepdims=True))
        features |= _statistics(config, power)
        if set(NETWORKS) & set(wanted):
            features |= _learned(nets, spec, variables, wave, wanted)
        return features

    return views


def fuse(nets: Networks, variables: dict[str, Tree], features: Features) -> Array:
    """The fused embedding `[batch, dim]` of both networks' embeddings."""
    inputs = (features["temporal"], features["spectral"])
    return nets.fusion.apply(variables["fusion"], *inputs, train=False)[0][0]


def needed(wanted: Sequence[str]) -> set[str]:
    """The variables that these branches use, by name."""
    names = {"normaliser"}
    if set(NETWORKS) & set(wanted):
        names.add("encoder")
    if {"fusion", "temporal"} & set(wanted):
        names.add("temporal")
    if "fusion" in wanted:
        names.add("fusion")
    return names


def _statistics(config: Ensemble, power: Float[Array, "batch mels frames"]) -> Features:
    settings = dataclasses.asdict(config.statistics)
    if config.statistics.pool != "auto":
        return {"statistics": pool_time(power, settings=TimePooling(**settings))}
    mean, loud = (TimePooling(**(settings | {"pool": pool})) for pool in ("mean", "gwrp"))
    return {
        "statistics": pool_time(power, settings=mean),
        "frame_loud": pool_time(power, settings=loud),
        "frame_skew": skewness_of_level(power)[:, None],
    }


def loudness(features: Mapping[str, np.ndarray], group: np.ndarray, groups: int) -> np.ndarray:
    """How much of the loud moments the statistics of each machine take, `[groups]` in [0, 1].

    Args:
        features: of normal training clips.
        group: of each clip.
        groups: their number.
    """
    if "frame_skew" not in features:
        return np.zeros(groups)
    skew = [features["frame_skew"][group == g].mean() for g in range(groups)]
    return np.clip(np.array(skew) / STRIKING, 0.0, 1.0)


def blend(
    features: Mapping[str, Array | np.ndarray], share: Float[Array | np.ndarray, "clips"]
) -> dict[str, Array | np.ndarray]:
    """The features with the statistics that each clip's machine asks for; see `loudness`."""
    features = dict(features)
    if "frame_loud" in features and "statistics" in features:
        mean, loud = features["statistics"], features["frame_loud"]
        features["statistics"] = mean + share[:, None].astype(mean.dtype) * (loud - mean)
    return features


def _learned(
    nets: Networks, spec: LogMel, variables: dict[str, Tree], wave: Waves, wanted: Sequence[str]
) -> Features:
    x = normalise(log_mel(wave, spec=spec), variables["normaliser"])
    (spectral, taps), _ = nets.encoder.apply(variables["encoder"], x, train=False)
    features = {"spectral": spectral, "tap": pool_tap(taps["stage2"])}
    if "fusion" in wanted or "temporal" in wanted:
        (temporal, _), _ = nets.temporal.apply(variables["temporal"], wave, train=False)
        features["temporal"] = temporal
    return features


def pool_tap(x: Float[Array, "batch mels frames channels"]) -> Float[Array, "batch dim"]:
    """An early map averaged over time with its frequency axis kept: what pooled heads lose.

    Neighbouring frequencies are averaged in pairs: the map is smooth, and half the numbers make a
    better covariance from few clips.
    """
    profile = x.mean(axis=2)
    even = profile.shape[1] // 2 * 2
    return 0.5 * (profile[:, 0:even:2] + profile[:, 1:even:2]).reshape(x.shape[0], -1)
