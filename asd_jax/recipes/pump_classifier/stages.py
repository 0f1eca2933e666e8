"""The training stages of the classifier: pre-training on one noise level, then fine-tuning."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jaxtyping import Array, Float

from asd_jax.augment.mixup import mixup, smooth_labels
from asd_jax.data.clips import ANOMALY
from asd_jax.features.logmel import to_float
from asd_jax.features.pictures import picture
from asd_jax.losses import bce_with_logits
from asd_jax.models import Model
from asd_jax.recipes.pump_classifier import network
from asd_jax.recipes.pump_classifier.clips import LabelledCorpus, balanced
from asd_jax.recipes.pump_classifier.network import NAME
from asd_jax.recipes.pump_classifier.settings import PumpClassifier, Train
from asd_jax.runs.batched_apply import BatchedApply
from asd_jax.runs.run import Run
from asd_jax.runs.trainer import Clips, Plan
from asd_jax.train.ahead import Ahead
from asd_jax.train.sharding import by_clip
from asd_jax.train.state import TrainState
from asd_jax.train.step import Loss, mean_over_batch
from asd_jax.types import Tree, Variables

STAGES = ("pretrain", "finetune")


class ClassifierRun(Run):
    """A run of the classifier, and what is read off its network."""

    @functools.cached_property
    def read(self) -> BatchedApply:
        """Logits and embeddings of clips."""
        if isinstance(self.shares_programs_with, ClassifierRun):
            return self.shares_programs_with.read
        read = network.reader(self.config, self.nets.classifier)
        return BatchedApply(read, batch_size=self.config.eval_batch_size)

    def prepare(self, shapes: Callable[[], Variables], ahead: Ahead) -> None:
        """Compiles the reading of logits ahead of time."""
        self.read.prepare(lambda: shapes()[NAME], network.clip_shape(self.config), ahead)


def plans(run: ClassifierRun) -> list[Plan]:
    """Pre-training, if there is any, and fine-tuning."""
    config, first = run.config, pretraining_clips(run)
    last = functools.partial(_plan, run, "finetune", config.finetune, run.corpus.parts.train)
    if first is None:
        return [last(begun=bool(config.init_from))]
    return [
        _plan(run, "pretrain", config.pretrain, first, begun=bool(config.init_from)),
        last(begun=True),
    ]


def _plan(
    run: ClassifierRun, name: str, schedule: Train, clips: np.ndarray, *, begun: bool
) -> Plan:
    """A stage; `begun` says that the network has weights, from a file or an earlier stage."""
    config, corpus = run.config, run.corpus
    if config.labels.imbalance == "balanced":
        clips = balanced(clips, corpus.label)
    net = run.nets.classifier
    if config.compute.changes_networks:
        net = network.build_for_training(config)
    tunables = loss_tunables(corpus.label[clips], config)
    last = name == "finetune"
    return Plan(
        name,
        schedule,
        classifier_loss(config, net),
        {NAME: schedule.optimizer},
        clip=network.clip_shape(config),
        clips=lambda _: Clips(corpus.waves, corpus.label, clips),
        count=len(clips),
        start=(NAME,) if begun else (),
        tunables=lambda config: tunables,
        validate=(lambda variables: validate(run, variables[NAME])) if last else None,
        patience=schedule.patience if last else 0.0,
    )


def initial_variables(run: ClassifierRun) -> Variables:
    """Returns the variables before the first stage: the network from a file if asked."""
    if not run.config.init_from:
        return {}
    key = jax.random.key(run.config.seed)
    return {NAME: network.initial(run.config, run.nets.classifier, key)}


def variable_shapes(run: ClassifierRun) -> Variables:
    """Shapes and dtypes of the network's variables."""
    return {NAME: jax.eval_shape(run.nets.classifier.init, jax.random.key(0))}


def pretraining_clips(run: ClassifierRun) -> np.ndarray | None:
    """Positions `[clips]` of the clips of one noise level to begin with, None for no such stage.

    Sun (2025), section 2.1: the -6 dB clips. By default those of the training part, so that no
    tested recording is used; with `pretrain.clips` 'all' those of every part.
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
    return chosen


def _everything(corpus: LabelledCorpus) -> np.ndarray:
    parts = corpus.parts
    return np.concatenate([parts.train, parts.validation, parts.test])


def loss_tunables(label: np.ndarray, config: PumpClassifier) -> dict[str, float]:
    """The scalars of the loss: label smoothing, and a weight for each class of labels `[clips]`.

    The weights are 1, or, with imbalance 'weighted', give both classes equal shares.
    """
    weights = {"weight/normal": 1.0, "weight/anomaly": 1.0}
    if config.labels.imbalance == "weighted":
        share = float(np.mean(label == ANOMALY))
        weights = {"weight/normal": 0.5 / (1.0 - share), "weight/anomaly": 0.5 / share}
    return {"smoothing": config.labels.smoothing, **weights}


def classifier_loss(config: PumpClassifier, net: Model) -> Loss:
    """Returns the loss of int16 waveforms and labels, by mixed pictures and smooth labels."""
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


def validate(run: ClassifierRun, variables: Tree) -> dict[str, float]:
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
    """Mean binary cross entropy over `[clips]`, or over the means of the classes."""
    values = np.logaddexp(0.0, np.where(label == ANOMALY, -logit, logit))
    if not by_class:
        return float(values.mean())
    return float(np.mean([values[label == y].mean() for y in np.unique(label)]))
