"""The network: what of a clip's mean level in each band it cannot explain by a few numbers."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from flax import linen as nn
from jaxtyping import Array, Float

from asd_jax.features.logmel import LogMel, log_mel, to_float
from asd_jax.models.model import Model, wrap
from tests.recipes.toy.settings import MeanLevel


class Autoencoder(nn.Module):
    """Each band in its deviations from the mean, through a bottleneck, less what comes out."""

    hidden: int = 16
    code: int = 4

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch mels"], *, train: bool
    ) -> tuple[Float[Array, "batch mels"], dict[str, Array]]:
        """Returns (residual, intermediates)."""
        x = nn.BatchNorm(not train, use_bias=False, use_scale=False)(x)
        code = nn.Dense(self.code)(nn.relu(nn.Dense(self.hidden)(x)))
        return x - nn.Dense(x.shape[1])(nn.relu(nn.Dense(self.hidden)(code))), {"code": code}


@dataclasses.dataclass(frozen=True)
class Networks:
    """The networks of a run, by attribute."""

    autoencoder: Model


def build(config: MeanLevel) -> Networks:
    """The one network, whatever the clips."""
    return Networks(wrap(Autoencoder(), (1, config.mels)))


def front_end(config: MeanLevel) -> LogMel:
    """The spectrogram that is averaged over time, and that reports show."""
    return LogMel(sample_rate=config.data.sample_rate, n_mels=config.mels, channels=("power",))


def samples(config: MeanLevel) -> int:
    """Samples of one clip."""
    return round(config.data.clip_seconds * config.data.sample_rate)


def level(config: MeanLevel, wave: Array) -> Float[Array, "batch mels frames"]:
    """Levels in dB of waveforms, 16-bit or float."""
    return log_mel(to_float(wave), spec=front_end(config))[..., 0]


def reader(config: MeanLevel) -> Callable[[Any, Array], dict[str, Array]]:
    """`read(variables, wave)`: `residual`, and mean and mean square of the `level`, pure."""
    net = build(config).autoencoder

    def read(variables: Any, wave: Array) -> dict[str, Array]:
        levels = level(config, wave)
        mean = levels.mean(-1)
        residual, _ = net.apply(variables, mean, train=False)[0]
        return {"residual": residual, "mean": mean, "square": (levels**2).mean(-1)}

    return jax.jit(read)
