"""The training stages of the ensemble: each is a plan, which `ensemble_training` makes ready.

A stage takes the variables that earlier ones left and returns those of its own networks.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging

from asd_jax.data.download import weights
from asd_jax.data.loader import Waves, eval_batches
from asd_jax.features.logmel import log_mel, to_float
from asd_jax.features.normalise import Moments, collect_moments
from asd_jax.features.normalise import fit_normaliser as fit_from_moments
from asd_jax.models.pretrained import from_timm, load_safetensors
from asd_jax.recipes.ensemble import branches, extractor, networks, objectives, settings
from asd_jax.recipes.ensemble.clips import Corpus
from asd_jax.runs.settings import Optimizer
from asd_jax.runs.workdir import Workdir
from asd_jax.train.ahead import Ahead
from asd_jax.train.processes import one_first
from asd_jax.train.resident import Shelf
from asd_jax.train.step import Loss

Tree = Any
Variables = dict[str, Tree]


@dataclasses.dataclass(frozen=True)
class Run:
    """What every stage needs.

    Attributes:
        config: its settings.
        workdir: its folder.
        corpus: its clips.
        nets: its networks.
        beside: another run of the same networks, whose compiled programs serve this one too.
    """

    config: settings.Ensemble
    workdir: Workdir
    corpus: Corpus
    nets: networks.Networks
    beside: "Run | None" = None

    @property
    def spec(self):
        """The front end."""
        return networks.front_end(self.config)

    @functools.cached_property
    def shelf(self) -> Shelf:
        """Where the clips of a stage lie on the devices."""
        return self.beside.shelf if self.beside else Shelf()

    @functools.cached_property
    def learning(self) -> networks.Networks:
        """The networks as they train: in `config.compute`'s precision."""
        if not self.config.compute.changes_networks:
            return self.nets
        return networks.build_for_training(self.config, len(self.corpus.classes.names))

    @functools.cached_property
    def extract(self) -> extractor.Extractor:
        """The branches' features of clips."""
        if self.beside:
            return self.beside.extract
        return extractor.Extractor(self.config, self.nets, self.spec)


def noted(run: Run, sentence: str) -> Run:
    """The run with one more sentence for its log, its results and its report."""
    logging.warning("%s", sentence)
    corpus = dataclasses.replace(run.corpus, notes=(*run.corpus.notes, sentence))
    return dataclasses.replace(run, corpus=corpus, beside=run.beside or run)


def fit_normaliser(run: Run) -> Tree:
    """Mean and deviation of each mel bin over the normal clips that train; see the config."""
    kind = _normalisation(run.config)
    spec, size = run.spec, run.config.eval_batch_size
    features = jax.jit(lambda wave: log_mel(to_float(wave), spec=spec))
    batches = (
        (features(batch["wave"]), batch["valid"])
        for batch in eval_batches(run.corpus.waves, run.corpus.fit, batch_size=size)
    )
    needed = kind in ("per_bin", "whiten")
    moments = collect_moments(batches, covariance=kind == "whiten") if needed else None
    return fit_from_moments(moments, kind=kind)


@dataclasses.dataclass(frozen=True)
class Clips:
    """What a stage trains on: clips of a source with their classes."""

    waves: Waves
    label: np.ndarray  # of every clip of the source
    indices: np.ndarray  # positions in the source


@dataclasses.dataclass(frozen=True)
class Plan:
    """A stage before any variables are there: enough to compile its step.

    Attributes:
        name: of the stage and of its settings.
        loss: what it minimises.
        rates: the settings of each learning network's optimizer, by the network's name.
        frozen: names of the variables that the loss only reads.
        start: names of the networks that begin where an earlier stage left them.
        clip: shape and dtype of one clip of a batch; of pairs the first axis has both.
        clips: the clips to train on, from all variables.
        pairs: give each clip a partner of its class.
    """

    name: str
    loss: Loss
    rates: Mapping[str, Optimizer]
    frozen: tuple[str, ...]
    start: tuple[str, ...]
    clip: jax.ShapeDtypeStruct
    clips: Callable[[Variables], Clips]
    pairs: bool = False


def pretrain(run: Run) -> Plan:
    """Contrastive pre-training of the spectrogram network with identification."""
    config = run.config
    contrastive = config.pretrain.similarity > 0
    heads = ("projector", "predictor") if contrastive else ()
    names = ("encoder", *heads, "identify")
    pairs = contrastive and config.pretrain.pair == "same_class"
    return Plan(
        name="pretrain",
        loss=objectives.pretrain_loss(config, run.learning, run.spec),
        rates=dict.fromkeys(names, config.pretrain.backbone)
        | {"identify": config.pretrain.auxiliary},
        frozen=("normaliser",),
        start=("encoder",) if config.init_from else (),
        clip=_wave(run, 2) if pairs else _wave(run),
        clips=_waves(run),
        pairs=pairs,
    )


def finetune(run: Run) -> Plan:
    """Fine-tuning of the spectrogram network on anchors, positives and pseudo-anomalies."""
    names = ("encoder", "identify")
    return Plan(
        name="finetune",
        loss=objectives.finetune_loss(run.config, run.learning, run.spec),
        rates=dict.fromkeys(names, run.config.finetune.optimizer),
        frozen=("normaliser",),
        start=names,
        clip=_wave(run),
        clips=_waves(run),
    )


def temporal(run: Run) -> Plan:
    """The waveform network, trained to identify."""
    names = ("temporal", "temporal_identify")
    return Plan(
        name="temporal",
        loss=objectives.temporal_loss(run.config, run.learning),
        rates=dict.fromkeys(names, run.config.temporal.optimizer),
        frozen=(),
        start=(),
        clip=_wave(run),
        clips=_waves(run),
    )


def fusion(run: Run) -> Plan:
    """The classifier over both frozen networks, trained on embeddings computed once."""
    names = ("fusion", "fusion_identify")
    both = networks.TEMPORAL + run.config.encoder.embed_dim

    def clips(variables: Variables) -> Clips:
        label = run.corpus.classes.label[run.corpus.fit]
        return Clips(_embeddings(run, variables), label, np.arange(len(label)))

    return Plan(
        name="fusion",
        loss=objectives.fusion_loss(run.config, run.learning),
        rates=dict.fromkeys(names, run.config.fusion.optimizer),
        frozen=(),
        start=(),
        clip=jax.ShapeDtypeStruct((both,), np.float32),
        clips=clips,
    )


def stages_of(config: settings.Ensemble) -> tuple[Callable[[Run], Plan], ...]:
    """The stages that the branches of the config need, in their order; one of 0 epochs is off."""
    needed = branches.needed(config.scoring.branches)
    return tuple(
        stage
        for stage, network in STAGES.items()
        if network in needed and getattr(config, stage.__name__).epochs > 0
    )


def _normalisation(config: settings.Ensemble) -> str:
    """How spectrograms are normalised; not at all where no network reads them."""
    reads = "encoder" in branches.needed(config.scoring.branches)
    return config.features.normalise if reads else "none"


# All stages in their order, and the network without which a stage is not needed.
STAGES = {pretrain: "encoder", finetune: "encoder", temporal: "temporal", fusion: "fusion"}


def initial_variables(run: Run) -> Variables:
    """What is there before the first stage: the normaliser, and an encoder from a file if asked."""
    variables: Variables = {"normaliser": fit_normaliser(run)}
    if run.config.init_from:
        drawn = run.nets.encoder.init(jax.random.key(run.config.seed))
        name = run.config.encoder.name
        with one_first("weights"):
            path = weights.find(run.config.init_from, name)
        variables["encoder"] = from_timm(name, load_safetensors(path), drawn)
    return variables


def compile_ahead(run: Run, trainings: Sequence[Any]) -> None:
    """Starts to compile all that later stages need, in the order in which they need it.

    Args:
        run: its networks.
        trainings: what has a `prepare` as `Training` has, stage by stage.
    """
    ahead = Ahead()

    @functools.cache
    def shapes() -> Variables:
        return variable_shapes(run.config, run.nets)

    *before, last = trainings or (None,)
    for training in before:
        training.prepare(shapes, ahead)
    run.extract.prepare(shapes, ahead)
    if last:
        last.prepare(shapes, ahead)
    ahead.close()


def variable_shapes(config: settings.Ensemble, nets: networks.Networks) -> Variables:
    """Shapes and dtypes of all that a stage or a branch begins with, and the normaliser (zeros).

    Networks that no branch of the config needs are not traced: they take seconds.
    """
    names = branches.needed(config.scoring.branches) - {"normaliser"}
    names |= {"identify"} if "encoder" in names else set()
    drawn = {n: jax.eval_shape(getattr(nets, n).init, jax.random.key(0)) for n in sorted(names)}
    features = config.features
    shape = (features.n_mels, len(features.channels))
    scatter = (shape[1], shape[0], shape[0]) if features.normalise == "whiten" else shape
    moments = Moments(2.0, np.zeros(shape), np.zeros(scatter))
    return drawn | {"normaliser": fit_from_moments(moments, kind=_normalisation(config))}


class Embeddings:
    """Both embeddings of each clip side by side, `[clips, 2 dim]`, as the loader's source."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._values[index]

    def gather(self, indices: np.ndarray) -> np.ndarray:
        """The rows at `indices`."""
        return self._values[indices]


def _embeddings(run: Run, variables: Variables) -> Embeddings:
    """(waveform, spectrogram) embeddings of the clips that train, networks in inference mode."""
    features = run.extract(variables, run.corpus.waves, run.corpus.fit)
    return Embeddings(np.concatenate([features["temporal"], features["spectral"]], axis=1))


def _wave(run: Run, *views: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((*views, networks.clip_samples(run.config)), np.int16)


def _waves(run: Run) -> Callable[[Variables], Clips]:
    """The waveforms of the clips that train."""
    return lambda _: Clips(run.corpus.waves, run.corpus.classes.label, run.corpus.fit)
