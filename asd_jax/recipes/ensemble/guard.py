"""What becomes of a stage that does not learn.

A stage that goes on from an earlier one must not unlearn what that one has learned: it is undone.
A first one that has learned nothing is trained once more with a loss that does not collapse. An
embedding that says nothing of the clip is not scored.
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from asd_jax import losses
from asd_jax.errors import UserError
from asd_jax.features.logmel import log_mel, to_float
from asd_jax.features.normalise import normalise
from asd_jax.recipes.ensemble import branches, networks
from asd_jax.recipes.ensemble.stages import EnsembleRun
from asd_jax.runs.batched_apply import BatchedApply
from asd_jax.runs.run import noted
from asd_jax.runs.trainer import Plan, Trainer
from asd_jax.types import RawWaves, Variables

LOSS = 0.05  # of held-out accuracy that a stage may cost
SAFE_SCALE = 10.0  # of the softmax over cosines: with margin 0 it has not been seen to collapse
CONSTANT = 1e-4  # deviation of an embedding, as a share of its length, that rounding could make


def trained_again(
    run: EnsembleRun, trainer: Trainer, key: jax.Array, before: Variables, after: Variables
) -> tuple[EnsembleRun, Variables]:
    """The run and the variables after pre-training, which a margin may have made collapse.

    With all embeddings and class centres in one direction ArcFace's loss is lower than at its
    start where classes are few or close. If held-out clips are named no better than by guessing,
    the stage is trained once more as a plain softmax, and later stages go on so. If that does not
    help either, the ensemble's rule leaves the branch out.

    Args:
        run: the run; 'literal' keeps whatever the stage leaves.
        trainer: of it, which has ended.
        key: its root key.
        before: all variables, as earlier stages left them.
        after: those of the stage's networks.
    """
    arc, held = run.config.arcface, run.corpus.held_out
    first = {"encoder", "identify"} <= set(after) and trainer.plan.name == "pretrain"
    safe = arc.margin == 0.0 and arc.scale <= SAFE_SCALE
    if run.config.protocol == "literal" or safe or not first or not len(held):
        return run, after
    found = accuracy(run, before | after)
    if found > least_skill(len(run.corpus.pretext_labels.names), len(held)):
        return run, after
    safer = dataclasses.replace(arc, margin=0.0, scale=SAFE_SCALE)
    run = dataclasses.replace(
        run, config=dataclasses.replace(run.config, arcface=safer), shares_programs_with=run
    )
    again = Trainer(run, trainer.plan, folder="pretrain_again")
    after = again.train(key, before)
    now = accuracy(run, before | after)
    sentence = (
        f"Pre-training with config.arcface.margin={arc.margin:g} and scale={arc.scale:g} learned "
        f"nothing: it named the right one of {found:.0%} of held-out clips. It was trained once "
        f"more with margin 0 and scale {SAFE_SCALE:g}, and names {now:.0%}."
    )
    return noted(run, sentence), after


def least_skill(classes: int, clips: int) -> float:
    """The share of so many clips that guessing among so many classes hardly names rightly."""
    chance = 1.0 / max(classes, 1)
    return float(chance + 2.0 * np.sqrt(chance * (1.0 - chance) / max(clips, 1)))


def without_constant(run: EnsembleRun, trained: Mapping[str, np.ndarray]) -> EnsembleRun:
    """The run without branches whose features are the same for all training clips.

    The covariance of what rounding leaves makes an alarm of every clip that is not one of these.

    Args:
        run: the run.
        trained: the branches' features `[clips, dim]` of the training clips.

    Raises:
        UserError: no branch is left.
    """
    scoring = run.config.scoring
    learned = [name for name in scoring.branches if name in branches.NETWORKS]
    constant = [name for name in learned if _deviation(trained[name]) < CONSTANT]
    if not constant:
        return run
    left = tuple(name for name in scoring.branches if name not in constant)
    if not left:
        raise UserError(
            f"The network has collapsed: the embedding ({', '.join(constant)}) is the same for all "
            "clips. Add 'statistics' to config.scoring.branches, or lower the learning rate."
        )
    rule = {} if scoring.rule in ("recommended", "discriminant") else {"rule": "equal"}
    scoring = dataclasses.replace(scoring, branches=left, weights=(), **rule)
    run = dataclasses.replace(
        run, config=dataclasses.replace(run.config, scoring=scoring), shares_programs_with=run
    )
    return noted(
        run,
        f"{' and '.join(constant)} is not scored: its network has collapsed, and its embedding is "
        "the same for all clips.",
    )


def _deviation(features: np.ndarray) -> float:
    """Root mean square distance of the rows from their mean, as a share of their length."""
    x = np.asarray(features, np.float64)
    length = np.sqrt(np.mean(np.sum(x**2, axis=1)))
    return float(np.sqrt(np.mean(np.sum((x - x.mean(axis=0)) ** 2, axis=1))) / max(length, 1e-300))


def undo_if_worse(run: EnsembleRun, plan: Plan, before: Variables, after: Variables) -> Variables:
    """Returns the variables after the stage, or those before if held-out accuracy has fallen.

    Fine-tuning on pseudo-anomalies can move BatchNorm's averages away from normal clips and take
    with them what identification had learned; its branch would then be left out at the end.

    Args:
        run: the run; 'literal' keeps whatever a stage leaves.
        plan: of the stage.
        before: all variables, as earlier stages left them.
        after: those of the stage's networks.
    """
    held = run.corpus.held_out
    goes_on = {"encoder", "identify"} <= set(plan.start) & set(plan.optimizers)
    if run.config.protocol == "literal" or not goes_on or not len(held):
        return after
    old, new = accuracy(run, before), accuracy(run, before | after)
    if new >= old - LOSS:
        return after
    logging.warning(
        "Stage %s is undone: before it the network named the right machine of %.0f %% of held-out "
        "clips, after it of %.0f %%. --config.%s.epochs=0 leaves it out.",
        plan.name,
        100 * old,
        100 * new,
        plan.name,
    )
    return {name: before[name] for name in after}


def accuracy(run: EnsembleRun, variables: Variables) -> float:
    """Share of held-out normals whose class the spectrogram network names rightly."""

    def embed(variables: Variables, wave: RawWaves) -> dict[str, jax.Array]:
        x = normalise(log_mel(to_float(wave), spec=run.spec), variables["normaliser"])
        return {"spectral": run.nets.encoder.apply(variables["encoder"], x, train=False)[0][0]}

    used = {name: variables[name] for name in ("normaliser", "encoder")}
    read = BatchedApply(embed, batch_size=run.config.eval_batch_size)
    found = read(used, run.corpus.waves, run.corpus.held_out)["spectral"]
    identify = jax.tree.map(jnp.asarray, variables["identify"])
    centres = run.nets.identify.apply(identify, train=False)[0]
    return named_rightly(run, "spectral", found, centres)


def named_rightly(
    run: EnsembleRun, branch: str, embedding: np.ndarray, centres: np.ndarray | jax.Array
) -> float:
    """Share of held-out normals whose class is the nearest to their embedding.

    Args:
        run: the run.
        branch: whose embeddings they are.
        embedding: of the held-out clips, `[clips, dim]`.
        centres: of the classes, `[classes, centres, dim]`.
    """
    members = networks.members(run.config, branch)
    cosines = losses.class_cosines(jnp.asarray(embedding), jnp.asarray(centres), members=members)
    right = np.argmax(cosines, axis=-1) == run.corpus.pretext_labels.label[run.corpus.held_out]
    return float(np.mean(right))
