"""The training stages of the classifier: pre-training on one noise level, then fine-tuning."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jaxtyping import Array, Float

from asd_jax.augment.mixup import mixup, smooth_labels
from asd_jax.data.clips import ANOMALY
from asd_jax.data.loader import Batches, train_batches
from asd_jax.features.logmel import to_float
from asd_jax.features.pictures import picture
from asd_jax.losses import bce_with_logits
from asd_jax.models import Model
from asd_jax.recipes import classifier_network as network
from asd_jax.recipes.classifier_corpus import LabelledCorpus, balanced
from asd_jax.recipes.classifier_settings import PumpClassifier
from asd_jax.recipes.workdir import Workdir
from asd_jax.train.best import Best
from asd_jax.train.loop import Stage, train
from asd_jax.train.optimizer import make_optimizer
from asd_jax.train.processes import at_home
from asd_jax.train.resident import Resident, stays
from asd_jax.train.sharding import by_clip, data_mesh, sharded
from asd_jax.train.state import TrainState, create_state, final_variables
from asd_jax.train.step import Loss, make_step, mean_over_batch, parts_of

Tree = Any
NAME = "classifier"  # of the one network, in states and detectors


@dataclasses.dataclass(frozen=True)
class Run:
    """What every stage needs."""

    config: PumpClassifier
    workdir: Workdir
    corpus: LabelledCorpus
    net: Model

    @functools.cached_property
    def read(self) -> network.Reading:
        """Logits and embeddings of clips."""
        read = network.reader(self.config, self.net)
        return network.Reading(read, batch_size=self.config.eval_batch_size)


def pretrain(run: Run, key: jax.Array) -> Tree | None:
    """The network's variables after training on clips of one noise level, or None without.

    Sun (2025), section 2.1: the -6 dB clips. By default those of the training part, so that no
    tested recording is heard; with `pretrain.clips` 'all' those of every part.
    """
    settings, corpus = run.config.pretrain, run.corpus
    among = corpus.parts.train if settings.clips == "train" else _everything(corpus)
    chosen = np.array([i for i in among if corpus.clips[i].snr == settings.snr], int)
    if not settings.snr:
        return None
    if len(set(corpus.label[chosen])) < 2:
        logging.warning(
            "No pre-training: there are no normal and anomalous clips at %s dB.", settings.snr
        )
        return None
    return _train(run, "pretrain", key, chosen, None)


def finetune(run: Run, key: jax.Array, start: Tree | None) -> Tree:
    """The network's variables with the least validation loss, trained on all that may be."""
    return _train(run, "finetune", key, run.corpus.parts.train, start)


def _everything(corpus: LabelledCorpus) -> np.ndarray:
    parts = corpus.parts
    return np.concatenate([parts.train, parts.validation, parts.test])


def _train(run: Run, name: str, key: jax.Array, clips: np.ndarray, start: Tree | None) -> Tree:
    """Trains on `clips`, from `start` if given; the best by validation when fine-tuning."""
    config, corpus = run.config, run.corpus
    if config.labels.imbalance == "balanced":
        clips = balanced(clips, corpus.label)
    tunables = loss_tunables(corpus.label[clips], config)
    training = Training(config, run.net, name, len(clips), tunables)
    size, mesh = training.size, training.mesh
    best = Best(run.workdir.checkpoints(f"{name}_best"))

    def evaluate(state: TrainState) -> dict[str, float]:
        variables = at_home(final_variables(state)[NAME])
        values = validate(run, variables)
        best.offer(int(state.step), values["validation_loss"], variables)
        return values

    def batches(begin: int) -> Batches:
        waves, setting = corpus.waves, config.data.on_device
        if stays(setting, len(np.unique(clips)), network.clip_shape(config), mesh):
            waves = Resident(waves, clips, mesh)
        return train_batches(
            waves,
            corpus.label,
            clips,
            batch_size=size,
            seed=config.seed,
            start_step=begin,
            sharding=sharded(mesh),
            num_threads=config.data.read_threads,
        )

    stage = Stage(
        name=name,
        step=training.step,
        total_steps=training.total,
        batches=batches,
        batch_size=size,
        mesh=mesh,
        advice=f"lower config.{name}.optimizer.learning_rate, or give it warmup",
        evaluate=evaluate if name == "finetune" else None,
        evaluate_every=max(1, len(clips) // size),
    )
    draw, root = jax.random.split(key)
    if start is None:
        start = network.initial(config, run.net, draw)
    state = train(
        stage,
        jax.jit(training.state)(root, start),
        directory=run.workdir.checkpoints(name),
        logbook=run.workdir.logbook(),
        save_seconds=config.save_seconds,
    )
    variables = final_variables(state)[NAME]
    if name == "finetune":
        _, _, variables = best.take(at_home(variables))
    return jax.device_get(variables)


class Training:
    """A stage before it has seen a clip: its batch, its length, its step, its first state."""

    def __init__(
        self, config: PumpClassifier, net: Model, name: str, clips: int, tunables: dict[str, float]
    ) -> None:
        """Args: the run's settings and network, and the stage's name, clips and loss scalars."""
        schedule = getattr(config, name)
        self.size = min(schedule.batch_size, clips)
        self.total = max(1, round(schedule.epochs * clips / self.size))
        self._average, self._tunables = schedule.ema > 0, tunables
        self._optimizer = make_optimizer({NAME: schedule.optimizer}, self.total)
        if config.compute.changes_networks:
            net = network.build_for_training(config)
        parts = parts_of(self.size, config.compute.accumulate)
        self.mesh = data_mesh(self.size // parts)
        self.step = make_step(
            classifier_loss(config, net), self._optimizer, ema=schedule.ema, accumulate=parts
        )

    def state(self, root: jax.Array, start: Tree) -> TrainState:
        """The state before the first step, from the run's key and the network's variables."""
        return create_state(
            root, {NAME: start}, self._optimizer, tunables=self._tunables, average=self._average
        )


def loss_tunables(label: np.ndarray, config: PumpClassifier) -> dict[str, float]:
    """The scalars of the loss: label smoothing, and a weight for each class.

    The weights are 1, or, with imbalance 'weighted', give both classes equal shares.
    """
    weights = {"weight/normal": 1.0, "weight/anomaly": 1.0}
    if config.labels.imbalance == "weighted":
        share = float(np.mean(label == ANOMALY))
        weights = {"weight/normal": 0.5 / (1.0 - share), "weight/anomaly": 0.5 / share}
    return {"smoothing": config.labels.smoothing, **weights}


def classifier_loss(config: PumpClassifier, net: Model) -> Loss:
    """From int16 waveforms and labels to the loss of mixed pictures with mixed, smooth labels."""
    spec = network.front_end(config)

    def loss(params: dict[str, Tree], state: TrainState, batch: dict[str, Array], key: Array):
        mix_key, drop_key, shift_key = jax.random.split(key, 3)
        wave = to_float(batch["wave"])
        if config.labels.time_shift:
            wave = turn_round(shift_key, wave)
        x = by_clip(lambda wave: picture(wave, spec=spec))(wave)
        label = batch["label"].astype(jnp.float32)
        target = smooth_labels(label, epsilon=state.tunables["smoothing"])
        x, target = mixup(mix_key, x, target, alpha=config.labels.mixup)
        variables = {"params": params[NAME], "batch_stats": state.stats[NAME]}
        (output, _), stats = net.apply(variables, x, train=True, key=drop_key)
        logit = output[:, 0]
        values = bce_with_logits(
            logit,
            target,
            negative_weight=state.tunables["weight/normal"],
            positive_weight=state.tunables["weight/anomaly"],
        )
        right = mean_over_batch((logit > 0) == (target > 0.5))
        return mean_over_batch(values), ({NAME: stats}, {"accuracy": right})

    return loss


def turn_round(key: Array, wave: Float[Array, "batch samples"]) -> Float[Array, "batch samples"]:
    """Each waveform begun at a random time, its start put behind its end."""
    shift = jax.random.randint(key, (wave.shape[0],), 0, wave.shape[1])
    return jax.vmap(jnp.roll)(wave, shift)


def validate(run: Run, variables: Tree) -> dict[str, float]:
    """Loss and balanced accuracy on the validation clips, with plain labels.

    Unless the imbalance is taken as it is, the loss too is the mean of both classes'.
    """
    corpus = run.corpus
    clips = corpus.parts.validation
    logit = run.read(variables, corpus.waves, clips)["logit"].astype(np.float64)
    label = corpus.label[clips]
    loss = mean_loss(logit, label, by_class=run.config.labels.imbalance != "none")
    right = [np.mean((logit[label == y] > 0) == y) for y in np.unique(label)]
    return {"validation_loss": loss, "validation_balanced_accuracy": float(np.mean(right))}


def mean_loss(logit: np.ndarray, label: np.ndarray, *, by_class: bool) -> float:
    """Mean binary cross entropy over the clips, or over the means of the classes."""
    values = np.logaddexp(0.0, np.where(label == ANOMALY, -logit, logit))
    if not by_class:
        return float(values.mean())
    return float(np.mean([values[label == y].mean() for y in np.unique(label)]))
