"""Twenty steps of every stage of both recipes, from wav files to losses, as a program.

    python -m tests.runs.steps ANSWER DEVICES ...
    python -m tests.runs.steps ANSWER all PROCESS COORDINATOR

Writes the losses of each stage on so many devices to the file ANSWER, as JSON.
"""

import dataclasses
import json
import sys

import jax
import numpy as np

from asd_jax import commands
from asd_jax.data.loader import train_batches
from asd_jax.data.synthetic.settings import SyntheticMachines
from asd_jax.recipes.ensemble import clips as corpus
from asd_jax.recipes.ensemble import networks, settings, stages
from asd_jax.recipes.pump_classifier import clips as classifier_corpus
from asd_jax.recipes.pump_classifier import stages as classifier_training
from asd_jax.recipes.pump_classifier.settings import PumpClassifier
from asd_jax.runs import tunables
from asd_jax.runs.settings import Optimizer
from asd_jax.runs.trainer import Clips
from asd_jax.runs.workdir import Workdir
from asd_jax.train import processes
from asd_jax.train.optimizer import make_optimizer
from asd_jax.train.sharding import data_mesh, replicated, sharded
from asd_jax.train.state import create_state
from asd_jax.train.step import compile_step, make_step
from tests.recipes import tiny

STEPS, SIZE, SECONDS = 20, 8, 0.5
# A low rate: at a high one rounding grows from step to step, as in any chaotic system.
RATE = Optimizer("sgd", 3e-4, 5e-4, 0.9, "cosine")
DATA = {"clip_seconds": SECONDS, "hold_out": 0.2}
SOUNDS = {"normal": 10, "abnormal": 3, "seconds": 1.0}


@dataclasses.dataclass(frozen=True)
class Case:
    """A stage: its plan's loss, the state that it begins with, and its clips."""

    loss: object
    optimizer: object
    state: object
    clips: Clips
    pairs: bool = False


def ensemble_cases():
    """Pretrain, finetune, temporal and fusion."""
    config = settings.Ensemble()
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, **DATA),
        synthetic=SyntheticMachines(types=("fan", "valve"), **SOUNDS),
        features=dataclasses.replace(config.features, n_mels=32),
    )
    with processes.primary_first("ensemble"):
        clips = corpus.load(config, progress=False)
    run = stages.EnsembleRun(config, Workdir(""), clips, tiny.build(config, len(clips.groups)))
    normaliser = stages.fit_normaliser(run)
    # In the place of the networks' embeddings of the clips, which come at the end of their stages.
    width = networks.temporal_dim(config) + config.encoder.embed_dim
    drawn = np.random.default_rng(0).standard_normal((len(clips.fit), width)).astype(np.float32)
    embedded = Clips(stages.Embeddings(drawn), clips.label[clips.fit], np.arange(len(drawn)))
    for stage in (stages.pretrain, stages.finetune, stages.temporal, stages.fusion):
        plan = stage(run)
        variables = {
            name: jax.jit(getattr(run.nets, name).init)(jax.random.key(number))
            for number, name in enumerate(plan.optimizers)
        }
        optimizer = make_optimizer(dict.fromkeys(plan.optimizers, RATE), STEPS)
        frozen = {"normaliser": normaliser} if plan.frozen else {}
        scalars = tunables.collect(config)
        state = create_state(
            jax.random.key(7), variables, optimizer, tunables=scalars, frozen=frozen
        )
        chosen = embedded if plan.name == "fusion" else plan.clips({})
        yield plan.name, Case(plan.loss, optimizer, state, chosen, plan.pairs)


def classifier_case():
    """Fine-tuning of the classifier."""
    config = PumpClassifier()
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, **DATA),
        synthetic=dataclasses.replace(config.synthetic, snr=(0,), **SOUNDS),
        features=dataclasses.replace(config.features, size=32),
    )
    with processes.primary_first("classifier"):
        clips = classifier_corpus.load(config, progress=False)
    net, train = tiny.build_classifier(config), clips.parts.train
    optimizer = make_optimizer({classifier_training.NAME: RATE}, STEPS)
    state = create_state(
        jax.random.key(7),
        {classifier_training.NAME: jax.jit(net.init)(jax.random.key(0))},
        optimizer,
        tunables=classifier_training.loss_tunables(clips.label[train], config),
    )
    loss = classifier_training.classifier_loss(config, net)
    return Case(loss, optimizer, state, Clips(clips.waves, clips.label, train))


def losses(case, mesh):
    """Of twenty steps; every process reads its own rows of each batch."""
    everywhere = replicated(mesh)
    # Copies: the step takes its state's memory.
    state = jax.tree.map(lambda leaf: processes.place(jax.numpy.copy(leaf), everywhere), case.state)
    step, found = compile_step(make_step(case.loss, case.optimizer), mesh), []
    clips = case.clips
    options = {"batch_size": SIZE, "seed": 3, "pairs": case.pairs, "sharding": sharded(mesh)}
    with train_batches(clips.waves, clips.label, clips.indices, **options) as batches:
        for _ in range(STEPS):
            state, metrics = step(state, next(batches))
            found.append(float(metrics["loss"]))
    return found


def main(argv):
    """Writes the answer."""
    _, answer, *devices = argv
    commands.prepare_jax()
    if devices[0] == "all":
        processes.start("2", int(devices[1]), devices[2])
    numbers = [jax.device_count()] if devices[0] == "all" else list(map(int, devices))
    found = {number: {} for number in numbers}
    for name, case in (*ensemble_cases(), ("classifier", classifier_case())):
        for number in numbers:
            found[number][name] = losses(case, data_mesh(number))
    with open(answer, "w", encoding="utf-8") as file:
        json.dump(found, file)


if __name__ == "__main__":
    sys.argv, arguments = sys.argv[:1], sys.argv
    commands.run(lambda _: main(arguments))
