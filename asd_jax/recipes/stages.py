"""The training stages of the ensemble: each makes a step and hands it to the one loop.

A stage takes the variables that earlier ones left and returns those of its own networks.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from absl import logging

from asd_jax.data.loader import eval_batches, train_batches
from asd_jax.features.logmel import log_mel, to_float
from asd_jax.features.normalise import collect_moments
from asd_jax.features.normalise import fit_normaliser as fit_from_moments
from asd_jax.recipes import branches, networks, objectives, settings
from asd_jax.recipes.corpus import Corpus
from asd_jax.recipes.workdir import Workdir
from asd_jax.train.loop import Stage, train
from asd_jax.train.optimizer import make_optimizer
from asd_jax.train.sharding import data_mesh, sharded
from asd_jax.train.state import TrainState, create_state, final_variables
from asd_jax.train.step import Loss, make_step

Tree = Any
Variables = dict[str, Tree]


@dataclasses.dataclass(frozen=True)
class Run:
    """What every stage needs."""

    config: settings.Ensemble
    workdir: Workdir
    corpus: Corpus
    nets: networks.Networks

    @property
    def spec(self):
        """The front end."""
        return networks.front_end(self.config)


def fit_normaliser(run: Run) -> Tree:
    """Mean and deviation of each mel bin over the normal clips that train; see the config."""
    kind = run.config.features.normalise
    spec, size = run.spec, run.config.eval_batch_size
    features = jax.jit(lambda wave: log_mel(to_float(wave), spec=spec))
    batches = (
        (features(batch["wave"]), batch["valid"])
        for batch in eval_batches(run.corpus.waves, run.corpus.fit, batch_size=size)
    )
    needed = kind in ("per_bin", "whiten")
    moments = collect_moments(batches, covariance=kind == "whiten") if needed else None
    return fit_from_moments(moments, kind=kind)


def pretrain(run: Run, key: jax.Array, variables: Variables) -> Variables:
    """Contrastive pre-training of the spectrogram network with identification."""
    config, nets = run.config, run.nets
    names = ("encoder", "projector", "predictor", "identify")
    rates = dict.fromkeys(names, config.pretrain.backbone) | {"identify": config.pretrain.auxiliary}
    loss = objectives.pretrain_loss(config, nets, run.spec)
    frozen = {"normaliser": variables["normaliser"]}
    pairs = config.pretrain.pair == "same_class"
    return _train(run, "pretrain", key, loss, rates, frozen, {}, _waves(run, pairs=pairs))


def finetune(run: Run, key: jax.Array, variables: Variables) -> Variables:
    """Fine-tuning of the spectrogram network on anchors, positives and pseudo-anomalies."""
    config = run.config
    names = ("encoder", "identify")
    loss = objectives.finetune_loss(config, run.nets, run.spec)
    start = {name: variables[name] for name in names}
    rates = dict.fromkeys(names, config.finetune.optimizer)
    frozen = {"normaliser": variables["normaliser"]}
    return _train(run, "finetune", key, loss, rates, frozen, start, _waves(run))


def temporal(run: Run, key: jax.Array, variables: Variables) -> Variables:
    """The waveform network, trained to identify."""
    del variables
    rates = dict.fromkeys(("temporal", "temporal_identify"), run.config.temporal.optimizer)
    loss = objectives.temporal_loss(run.config, run.nets)
    return _train(run, "temporal", key, loss, rates, {}, {}, _waves(run))


def fusion(run: Run, key: jax.Array, variables: Variables) -> Variables:
    """The classifier over both frozen networks, trained on embeddings computed once."""
    rates = dict.fromkeys(("fusion", "fusion_identify"), run.config.fusion.optimizer)
    loss = objectives.fusion_loss(run.config, run.nets)
    make = functools.cache(lambda: _embeddings(run, variables))

    def batches(size: int, key_seed: int, mesh, start: int):
        return train_batches(
            make(),
            run.corpus.label[run.corpus.fit],
            np.arange(len(run.corpus.fit)),
            batch_size=size,
            seed=key_seed,
            start_step=start,
            sharding=sharded(mesh),
        )

    return _train(run, "fusion", key, loss, rates, {}, {}, batches)


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


def extractor(run: Run, variables: Variables, wanted: tuple[str, ...] = ()) -> branches.Extractor:
    """What computes the branches' features, of all branches of the config or of those wanted."""
    scoring = run.config.scoring
    if wanted:
        scoring = dataclasses.replace(scoring, branches=wanted, rule="recommended")
    config = dataclasses.replace(run.config, scoring=scoring)
    extract = branches.make_extractor(config, run.nets, run.spec)
    used = {name: variables[name] for name in branches.needed(scoring.branches)}
    return branches.Extractor(extract, used, batch_size=run.config.eval_batch_size)


def _embeddings(run: Run, variables: Variables) -> Embeddings:
    """(waveform, spectrogram) embeddings of the clips that train, networks in inference mode."""
    extract = extractor(run, variables, ("temporal", "spectral"))
    features = extract(run.corpus.waves, run.corpus.fit)
    return Embeddings(np.concatenate([features["temporal"], features["spectral"]], axis=1))


def _waves(run: Run, *, pairs: bool = False) -> Callable:
    """Batches of waveforms of the clips that train, as `_train` asks for them."""

    def batches(size: int, seed: int, mesh, start: int):
        return train_batches(
            run.corpus.waves,
            run.corpus.label,
            run.corpus.fit,
            batch_size=size,
            seed=seed,
            start_step=start,
            pairs=pairs,
            sharding=sharded(mesh),
            num_threads=run.config.data.read_threads,
        )

    return batches


def _train(
    run: Run,
    name: str,
    key: jax.Array,
    loss: Loss,
    rates: Mapping[str, settings.Optimizer],
    frozen: Mapping[str, Tree],
    start: Mapping[str, Tree],
    batches: Callable[[int, int, Any, int], contextlib.AbstractContextManager],
) -> Variables:
    """Trains the networks named in `rates`, from `start` where given, else from scratch."""
    schedule = getattr(run.config, name)
    size = min(schedule.batch_size, len(run.corpus.fit))
    if size < schedule.batch_size:
        logging.warning("Stage %s: %d clips train, fewer than a batch: batch %d.", name, size, size)
    total = max(1, round(schedule.epochs * len(run.corpus.fit) / size))
    optimizer, mesh = make_optimizer(rates, total), data_mesh(size)
    state = jax.jit(
        lambda k: _initial(run.nets, rates, start, optimizer, frozen, schedule.ema > 0, k)
    )(key)
    stage = Stage(
        name=name,
        step=make_step(loss, optimizer, ema=schedule.ema),
        total_steps=total,
        batches=lambda begin: batches(size, run.config.seed, mesh, begin),
        batch_size=size,
        mesh=mesh,
        watch=watch_collapse(name),
        advice=f"lower config.{name}'s learning rate, or give it warmup",
    )
    state = train(
        stage,
        state,
        directory=run.workdir.checkpoints(name),
        logbook=run.workdir.logbook(),
        save_seconds=run.config.save_seconds,
    )
    return jax.device_get(final_variables(state))


def _initial(nets, rates, start, optimizer, frozen, average, key) -> TrainState:
    variables = {}
    for number, name in enumerate(rates):
        fresh = getattr(nets, name).init(jax.random.fold_in(key, number))
        variables[name] = start.get(name, fresh)
    root = jax.random.fold_in(key, len(rates))
    return create_state(root, variables, optimizer, frozen=frozen, average=average)


def watch_collapse(stage: str) -> Callable[[dict[str, float]], str]:
    """Warns when all embeddings point the same way: nothing can be told apart by them then."""

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
