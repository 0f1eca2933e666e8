"""The classifier's network, what it is fed, and what is read off it."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from asd_jax.features.logmel import LogMel, mel_power, power_to_db, to_float
from asd_jax.features.pictures import Picture, picture
from asd_jax.recipes.pump_classifier.settings import PumpClassifier
from asd_jax.runs.batched_apply import Readout
from asd_jax.runs.settings import Compute
from asd_jax.train.processes import primary_first
from asd_jax.types import RawWaves, Tree

NAME = "classifier"  # of the one network, in states and among a run's networks
Model = Any  # as in `recipes.networks`: flax comes with the networks, and only with them


@dataclasses.dataclass(frozen=True)
class Networks:
    """The networks of a run: the one that classifies."""

    classifier: Model


def front_end(config: PumpClassifier) -> Picture:
    """The pictures that the network sees."""
    return config.features.at(config.data.sample_rate)


def display(config: PumpClassifier) -> LogMel:
    """The spectrogram that reports show, whatever the network sees."""
    return LogMel(sample_rate=config.data.sample_rate, n_mels=128, channels=("power",))


def clip_shape(config: PumpClassifier) -> jax.ShapeDtypeStruct:
    """Shape and dtype of one clip as a batch has it."""
    return jax.ShapeDtypeStruct((config.data.samples,), np.int16)


def build(config: PumpClassifier) -> Model:
    """The network of the run as it scores: one logit, of an anomaly."""
    return build_for_training(dataclasses.replace(config, compute=Compute()))


def build_for_training(config: PumpClassifier) -> Model:
    """The same network as `config.compute` has it train; the variables are the same."""
    from asd_jax.models.classifiers import build_classifier

    network = config.network
    return build_classifier(
        network.name,
        num_outputs=1,
        attention=network.attention or None,
        attention_stages=tuple(network.attention_stages),
        simam=network.simam,
        width=network.width,
        depth=network.depth,
        drop_path=network.drop_path if network.drop_path >= 0 else None,
        rematerialise=config.compute.rematerialise or None,
        dtype=jnp.dtype(config.compute.precision),
        input_size=config.features.size,
        normalise_rows=config.features.normalise == "per_bin",
        head=network.head,
    )


def initial(config: PumpClassifier, net: Model, key: Array) -> Tree:
    """The variables that training starts from: drawn, or a weights file on top of that.

    Raises:
        UserError: the weights are absent, or are of another network or of another padding.
    """
    from asd_jax.data.download import weights
    from asd_jax.models.pretrained import check_padding, from_timm, load_safetensors
    from asd_jax.models.rows import body_of, with_body

    variables = net.init(key)
    if not config.init_from:
        return variables
    with primary_first("weights"):
        path = weights.find(config.init_from, config.network.name)
    state = load_safetensors(path)
    check_padding(config.network.name, path)
    return with_body(variables, from_timm(config.network.name, state, body_of(variables)))


def reader(config: PumpClassifier, net: Model) -> Readout:
    """Returns a pure `read(variables, wave)` to `logit` `[batch]`, `embedding` `[batch, dim]`."""
    spec = front_end(config)

    def read(variables: Tree, wave: RawWaves) -> dict[str, Array]:
        (output, intermediates), _ = net.apply(
            variables, picture(to_float(wave), spec=spec), train=False
        )
        return {"logit": output[:, 0], "embedding": intermediates["embedding"]}

    return read


def level_moments(config: PumpClassifier) -> Readout:
    """Returns a function of each clip for simple references and pictures of a deviation.

    `mean`, `square` and `deviation` over time of each band's level in dB, `[batch, mels]`, and the
    `level` of the whole clip in dB of full scale, `[batch, 1]`.
    """
    spec = display(config)

    def read(variables: Tree, wave: RawWaves) -> dict[str, Array]:
        wave = to_float(wave)
        level = power_to_db(mel_power(wave, spec=spec))
        return {
            "mean": level.mean(-1),
            "square": (level**2).mean(-1),
            "deviation": level.std(-1),
            "level": power_to_db(jnp.square(wave).mean(-1, keepdims=True)),
        }

    return read
