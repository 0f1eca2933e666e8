"""The training stages of the ensemble, from the settings to plans that `runs.trainer` trains.

A stage takes the variables that earlier ones left and returns those of its own networks.
"""

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from asd_jax.data.download import weights
from asd_jax.data.loader import eval_batches
from asd_jax.features.logmel import LogMel, log_mel, to_float
from asd_jax.features.normalise import Moments, collect_moments
from asd_jax.features.normalise import fit_normaliser as fit_from_moments
from asd_jax.features.settings import Normalisation
from asd_jax.models.pretrained import from_timm, load_safetensors
from asd_jax.recipes.ensemble import branches, extractor, networks, objectives, settings
from asd_jax.runs import tunables
from asd_jax.runs.run import Run
from asd_jax.runs.settings import Optimizer, Schedule
from asd_jax.runs.trainer import Clips, Plan
from asd_jax.train.ahead import Ahead
from asd_jax.train.processes import primary_first
from asd_jax.train.step import Loss
from asd_jax.types import Tree, Variables


class EnsembleRun(Run):
    """A run of the ensemble, and what is read off its networks."""

    @property
    def spec(self) -> LogMel:
        """The front end."""
        return networks.front_end(self.config)

    @functools.cached_property
    def learning(self) -> networks.Networks:
        """The networks as they train: in `config.compute`'s precision."""
        if not self.config.compute.changes_networks:
            return self.nets
        return networks.build_for_training(self.config, len(self.corpus.pretext_labels.names))

    @functools.cached_property
    def extract(self) -> extractor.Extractor:
        """The branches' features of clips."""
        if isinstance(self.shares_programs_with, EnsembleRun):
            return self.shares_programs_with.extract
        return extractor.Extractor(self.config, self.nets, self.spec)

    def prepare(self, shapes: Callable[[], Variables], ahead: Ahead) -> None:
        """Compiles the extraction of features ahead of time."""
        self.extract.prepare(shapes, ahead)


def fit_normaliser(run: EnsembleRun) -> Tree:
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


def plans(run: EnsembleRun) -> list[Plan]:
    """The stages that the branches of the config need, in their order; one of 0 epochs is off."""
    semitones = run.config.augment.semitones
    if max(map(abs, semitones)) > 12:
        warnings.warn(f"augment.semitones={semitones} shifts by more than an octave.", stacklevel=2)
    needed = branches.needed(run.config.scoring.branches)
    return [
        stage(run)
        for stage, network in STAGES.items()
        if network in needed and getattr(run.config, stage.__name__).epochs > 0
    ]


def pretrain(run: EnsembleRun) -> Plan:
    """Contrastive pre-training of the spectrogram network with identification."""
    config, schedule = run.config, run.config.pretrain
    contrastive = schedule.similarity > 0
    heads = ("projector", "predictor") if contrastive else ()
    own = {name: schedule.backbone for name in ("encoder", *heads)}
    pairs = contrastive and schedule.pair == "same_class"
    return _plan(
        run,
        schedule,
        "pretrain",
        objectives.pretrain_loss(config, run.learning, run.spec),
        own | {"identify": schedule.auxiliary},
        frozen=("normaliser",),
        start=("encoder",) if config.init_from else (),
        clip=_wave(run, 2) if pairs else _wave(run),
        pairs=pairs,
    )


def finetune(run: EnsembleRun) -> Plan:
    """Fine-tuning of the spectrogram network on anchors, positives and pseudo-anomalies."""
    names, schedule = ("encoder", "identify"), run.config.finetune
    return _plan(
        run,
        schedule,
        "finetune",
        objectives.finetune_loss(run.config, run.learning, run.spec),
        {name: schedule.optimizer for name in names},
        frozen=("normaliser",),
        start=names,
    )


def temporal(run: EnsembleRun) -> Plan:
    """The waveform network, trained to identify."""
    names, schedule = ("temporal", "temporal_identify"), run.config.temporal
    loss = objectives.temporal_loss(run.config, run.learning)
    return _plan(run, schedule, "temporal", loss, {name: schedule.optimizer for name in names})


def fusion(run: EnsembleRun) -> Plan:
    """The classifier over both frozen networks, trained on embeddings computed once."""
    names, schedule = ("fusion", "fusion_identify"), run.config.fusion
    both = networks.temporal_dim(run.config) + run.config.encoder.embed_dim

    def clips(variables: Variables) -> Clips:
        label = run.corpus.pretext_labels.label[run.corpus.fit]
        return Clips(_embeddings(run, variables), label, np.arange(len(label)))

    return _plan(
        run,
        schedule,
        "fusion",
        objectives.fusion_loss(run.config, run.learning),
        {name: schedule.optimizer for name in names},
        clip=jax.ShapeDtypeStruct((both,), np.float32),
        clips=clips,
    )


# All stages in their order, and the network without which a stage is not needed.
STAGES = {pretrain: "encoder", finetune: "encoder", temporal: "temporal", fusion: "fusion"}


def _plan(
    run: EnsembleRun,
    schedule: Schedule,
    name: str,
    loss: Loss,
    optimizers: Mapping[str, Optimizer],
    **more: Any,
) -> Plan:
    """A plan on the clips that train, unless `more` says otherwise."""
    corpus = run.corpus
    own: dict[str, Any] = {
        "clip": _wave(run),
        "clips": lambda _: Clips(corpus.waves, corpus.pretext_labels.label, corpus.fit),
        "count": len(corpus.fit),
        "tunables": tunables.collect,
        "watch": watch_collapse(name),
    }
    return Plan(name, schedule, loss, optimizers, **(own | more))


def _normalisation(config: settings.Ensemble) -> Normalisation:
    """Returns the kind of normalisation; 'none' where no network reads spectrograms."""
    reads = "encoder" in branches.needed(config.scoring.branches)
    return config.features.normalise if reads else "none"


def initial_variables(run: EnsembleRun) -> Variables:
    """Returns the variables before the first stage: normaliser, and encoder if from a file."""
    variables: Variables = {"normaliser": fit_normaliser(run)}
    if run.config.init_from:
        drawn = run.nets.encoder.init(jax.random.key(run.config.seed))
        name = run.config.encoder.name
        with primary_first("weights"):
            path = weights.find(run.config.init_from, name)
        variables["encoder"] = from_timm(name, load_safetensors(path), drawn)
    return variables


def variable_shapes(run: EnsembleRun) -> Variables:
    """Shapes and dtypes of all that a stage or a branch begins with, and the normaliser (zeros).

    Networks that no branch of the config needs are not traced: they take seconds.
    """
    config, nets = run.config, run.nets
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
        """The rows at `indices`, `[clips, 2 dim]`."""
        return self._values[indices]


def _embeddings(run: EnsembleRun, variables: Variables) -> Embeddings:
    """Returns (waveform, spectrogram) embeddings of training clips, networks in inference mode."""
    features = run.extract(variables, run.corpus.waves, run.corpus.fit)
    return Embeddings(np.concatenate([features["temporal"], features["spectral"]], axis=1))


def _wave(run: EnsembleRun, *views: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((*views, networks.clip_samples(run.config)), np.int16)


def watch_collapse(stage: str) -> Callable[[dict[str, float]], str]:
    """Warns when all embeddings point the same way, so that they separate nothing."""

    def watch(metrics: dict[str, float]) -> str:
        for name in ("spread_z", "spread_embedding"):
            if metrics.get(name, 1.0) < 0.05:
                return (
                    f"Stage {stage} has collapsed: its {name[7:]} vectors all point the same way "
                    f"(spread {metrics[name]:.3f}, healthy is near 1). A lower learning rate or "
                    "more varied clips help; its branches will get little weight."
                )
        if metrics.get("clusters", 0.0) < -1e3:
            return (
                "Eq. 6 as printed runs away (its distance has no lower bound); use "
                "--config.finetune.loss=recommended."
            )
        return ""

    return watch
