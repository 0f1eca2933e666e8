"""The views of a clip that are scored: each branch turns a waveform into one feature vector."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from asd_jax.data.loader import eval_batches
from asd_jax.features.logmel import LogMel, log_mel, mel_power, power_to_db, to_float
from asd_jax.features.normalise import normalise
from asd_jax.features.statistics import TimePooling, pool_time
from asd_jax.recipes.networks import Networks
from asd_jax.recipes.settings import Ensemble
from asd_jax.train.sharding import data_mesh, replicated, sharded

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
    "peaks": "loud moments of the spectrum",
}
NETWORKS = ("fusion", "spectral", "temporal", "tap")  # branches that a network learned


def make_extractor(config: Ensemble, nets: Networks, spec: LogMel) -> Extract:
    """`extract(variables, wave) -> features` of every branch of the config, pure, for jit.

    `variables` holds the networks' variables by name and the `normaliser`. Besides the branches it
    returns `frame_mean` and `frame_square` `[batch, mels]`, the moments of each mel band's level in
    dB over the frames: what is normal at that frequency, to show where a clip departs from it.
    """
    wanted = config.scoring.branches

    def extract(variables: dict[str, Tree], wave: Waves) -> Features:
        power = mel_power(wave, spec=spec)
        level = power_to_db(power)
        features = {"frame_mean": level.mean(-1), "frame_square": jnp.square(level).mean(-1)}
        features |= _statistics(config, power)
        if set(NETWORKS) & set(wanted):
            features |= _learned(nets, spec, variables, wave, wanted)
        return {k: v for k, v in features.items() if k in wanted or k.startswith("frame_")}

    return extract


def _statistics(config: Ensemble, power: Float[Array, "batch mels frames"]) -> Features:
    settings = config.statistics
    pooling = TimePooling(settings.pool, settings.scale, settings.weights)
    return {
        "statistics": pool_time(power, settings=pooling),
        # A fault that strikes now and then raises the upper quantiles, not the mean.
        "peaks": pool_time(power, settings=TimePooling("quantile", "db", quantile=0.9)),
    }


def _learned(
    nets: Networks, spec: LogMel, variables: dict[str, Tree], wave: Waves, wanted: Sequence[str]
) -> Features:
    x = normalise(log_mel(wave, spec=spec), variables["normaliser"])
    (spectral, taps), _ = nets.encoder.apply(variables["encoder"], x, train=False)
    features = {"spectral": spectral, "tap": pool_tap(taps["stage2"])}
    if "fusion" in wanted or "temporal" in wanted:
        (temporal, _), _ = nets.temporal.apply(variables["temporal"], wave, train=False)
        features["temporal"] = temporal
    if "fusion" in wanted:
        inputs = (features["temporal"], spectral)
        (fused, _), _ = nets.fusion.apply(variables["fusion"], *inputs, train=False)
        features["fusion"] = fused
    return features


def pool_tap(x: Float[Array, "batch mels frames channels"]) -> Float[Array, "batch dim"]:
    """An early map averaged over time with its frequency axis kept: what pooled heads lose."""
    return x.mean(axis=2).reshape(x.shape[0], -1)


def extract_clips(
    waves: Any,
    indices: np.ndarray,
    extract: Callable[[Waves, Array], Features],
    *,
    batch_size: int,
) -> dict[str, np.ndarray]:
    """Runs `extract(wave, index)` over clips; returns `[clips, dim]` arrays in their order.

    Args:
        waves: the wave cache.
        indices: which clips.
        extract: takes float waveforms and the clips' indices; jitted here over the mesh.
        batch_size: clips at a time; the last batch is padded, so that nothing compiles twice.
    """
    mesh = data_mesh(batch_size)
    run = jax.jit(
        lambda wave, index: extract(to_float(wave), index),
        in_shardings=(sharded(mesh), sharded(mesh)),
        out_shardings=replicated(mesh),
    )
    parts: list[dict[str, np.ndarray]] = []
    for batch in eval_batches(waves, indices, batch_size=batch_size, sharding=sharded(mesh)):
        valid = np.asarray(batch["valid"])
        features = run(batch["wave"], batch["index"])
        parts.append({name: np.asarray(value)[valid] for name, value in features.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def bind(extract: Extract, variables: dict[str, Tree]) -> Callable[[Waves, Array], Features]:
    """`extract` with its variables put in, as `extract_clips` wants it."""
    return functools.partial(lambda v, wave, index: extract(v, wave), variables)
