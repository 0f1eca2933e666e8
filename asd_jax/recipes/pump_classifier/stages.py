"""The training stages of the classifier: pre-training on one noise level, then fine-tuning."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jax.sharding import NamedSharding
from jaxtyping import Array, Float

from asd_jax.augment.mixup import mixup, smooth_labels
from asd_jax.data.clips import ANOMALY
from asd_jax.data.loader import Batches, Rows, Waves, train_batches
from asd_jax.features.logmel import to_float
from asd_jax.features.pictures import picture
from asd_jax.losses import bce_with_logits
from asd_jax.models import Model
from asd_jax.recipes.pump_classifier import network
from asd_jax.recipes.pump_classifier.clips import LabelledCorpus, balanced
from asd_jax.recipes.pump_classifier.settings import PumpClassifier
from asd_jax.runs.tunables import program_fields
from asd_jax.runs.workdir import Workdir
from asd_jax.train.ahead import Ahead, Executable, batch_shapes
from asd_jax.train.best import Best
from asd_jax.train.loop import Stage, is_finished, train
from asd_jax.train.optimizer import make_optimizer
from asd_jax.train.processes import at_home
from asd_jax.train.resident import Resident, stays
from asd_jax.train.sharding import by_clip, data_mesh, sharded
from asd_jax.train.state import TrainState, create_state, final_variables, own
from asd_jax.train.step import (
    Loss,
    Step,
    compile_step,
    make_step,
    mean_over_batch,
    parts_of,
)

Tree = Any
NAME = "classifier"  # of the one network, in states and detectors


@dataclasses.dataclass(frozen=True)
class Run:
    """What every stage needs."""

    config: PumpClassifier
    workdir: Workdir
    corpus: LabelledCorpus
    net: Model
    beside: "Run | None" = None  # another run of the same network, whose programs serve this too

    @functools.cached_property
    def read(self) -> network.Reading:
        """Logits and embeddings of clips."""
        if self.beside:
            return self.beside.read
        read = network.reader(self.config, self.net)
        return network.Reading(read, batch_size=self.config.eval_batch_size)


def sessions(run: Run) -> "list[Session]":
    """The stages of a run in their order: pre-training, if there is any, and fine-tuning."""
    clips = {"pretrain": pretraining_clips(run), "finetune": run.corpus.parts.train}
    return [Session(run, name, own) for name, own in clips.items() if own is not None]


def compile_ahead(run: Run, stages: "Sequence[Session]") -> None:
    """Starts to compile all that later stages need, in the order in which they need it."""
    ahead = Ahead()
    shapes = functools.cache(lambda: jax.eval_shape(run.net.init, jax.random.key(0)))
    for session in stages:
        session.prepare(shapes, ahead)
    run.read.prepare(shapes, network.clip_shape(run.config), program_fields(run.config), ahead)
    ahead.close()


def pretraining_clips(run: Run) -> np.ndarray | None:
    """The clips of one noise level to begin with, None for no such stage.

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
    return chosen


def _everything(corpus: LabelledCorpus) -> np.ndarray:
    parts = corpus.parts
    return np.concatenate([parts.train, parts.validation, parts.test])


class Session:
    """A stage of a run with its clips: what alone and side by side is the same."""

    def __init__(self, run: Run, name: str, clips: np.ndarray) -> None:
        """Args: the run, the stage's name, and the clips that it trains on."""
        config, label = run.config, run.corpus.label
        if config.labels.imbalance == "balanced":
            clips = balanced(clips, label)
        self.run, self.name, self.clips = run, name, clips
        tunables = loss_tunables(label[clips], config)
        self.training = Training(config, run.net, name, len(clips), tunables)
        self._best = Best(run.workdir.checkpoints(f"{name}_best"))
        self._compiled: Callable[[], Step] | None = None

    def prepare(self, variables: Callable[[], Tree], ahead: Ahead) -> None:
        """Compiles the step beside the caller, unless the stage is finished.

        Args:
            variables: gives shapes and dtypes of the network's variables.
            ahead: does it, in its turn.
        """
        training, config = self.training, self.run.config
        if is_finished(self.run.workdir.checkpoints(self.name), training.total):
            return

        def lowered() -> jax.stages.Lowered:
            state = jax.eval_shape(training.state, jax.random.key(0), variables())
            batch = batch_shapes(training.size, network.clip_shape(config))
            return compile_step(training.step, training.mesh).lower(state, batch)

        about = ["classifier", self.name, program_fields(config), training.size]
        self._compiled = ahead.prepare(Executable(about, training.mesh, lowered))

    def alone(self, key: jax.Array, start: Tree | None) -> Tree:
        """The network's variables after the stage; the best by validation when fine-tuning."""
        run, mesh = self.run, self.training.mesh

        def batches(begin: int) -> Batches:
            waves, setting = run.corpus.waves, run.config.data.on_device
            number, clip = len(np.unique(self.clips)), network.clip_shape(run.config)
            if stays(setting, number, clip, mesh):
                waves = Resident(waves, self.clips, mesh)
            return self.batches(waves, begin, sharded(mesh))

        state = train(
            dataclasses.replace(self.stage(batches), compiled=self._compiled),
            self.initial(key, start),
            directory=run.workdir.checkpoints(self.name),
            logbook=run.workdir.logbook(),
            save_seconds=run.config.save_seconds,
        )
        self._compiled = None  # a program takes as much memory as the network
        return self.chosen(at_home(final_variables(state)))

    def stage(self, batches: Callable[[int], Batches]) -> Stage:
        """What the loop needs to know; `batches` gives those from a step on."""
        name, size = self.name, self.training.size
        return Stage(
            name=name,
            step=self.training.step,
            total_steps=self.training.total,
            batches=batches,
            batch_size=size,
            mesh=self.training.mesh,
            advice=f"lower config.{name}.optimizer.learning_rate, or give it warmup",
            evaluate=self._evaluate if name == "finetune" else None,
            evaluate_every=max(1, len(self.clips) // size),
            enough=self._enough,
        )

    def _enough(self, step: int) -> bool:
        """Whether validation has not got better for as long as the settings are patient."""
        patience = getattr(self.run.config, self.name).patience
        waited = (step - self._best.step()) * self.training.size / len(self.clips)
        return bool(patience) and self.name == "finetune" and waited >= patience

    def _evaluate(self, state: TrainState) -> dict[str, float]:
        variables = at_home(final_variables(state)[NAME])
        values = validate(self.run, variables)
        self._best.offer(int(state.step), values["validation_loss"], variables)
        return values

    def initial(self, key: jax.Array, start: Tree | None) -> TrainState:
        """The state before the first step, from the variables `start`, or new ones for None."""
        draw, root = jax.random.split(key)
        if start is None:
            start = network.initial(self.run.config, self.run.net, draw)
        return self.training.state(root, own(start))

    def batches(
        self, waves: Waves | Rows, begin: int, sharding: NamedSharding | None = None
    ) -> Batches:
        """The batches from step `begin` on, read from `waves`."""
        config = self.run.config
        return train_batches(
            waves,
            self.run.corpus.label,
            self.clips,
            batch_size=self.training.size,
            seed=config.seed,
            start_step=begin,
            sharding=sharding,
            num_threads=config.data.read_threads,
        )

    def chosen(self, last: dict[str, Tree]) -> Tree:
        """The network's variables to go on with, from those after the last step, on the host."""
        variables = last[NAME]
        if self.name == "finetune":
            _, _, variables = self._best.take(variables)
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

    @property
    def scalars(self) -> dict[str, float]:
        """The scalars that its step reads from the state."""
        return {**self._optimizer.tunables, **self._tunables}

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
