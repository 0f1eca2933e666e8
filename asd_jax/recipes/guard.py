"""A stage that goes on from an earlier one must not unlearn what that one has learned."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from asd_jax import losses
from asd_jax.data.loader import eval_batches
from asd_jax.features.logmel import log_mel, to_float
from asd_jax.features.normalise import normalise
from asd_jax.recipes.stages import Plan, Run

Variables = dict[str, Any]
LOSS = 0.05  # of held-out accuracy that a stage may cost


def kept(run: Run, plan: Plan, before: Variables, after: Variables) -> Variables:
    """The variables after the stage, or those before where held-out identification has fallen.

    Fine-tuning on pseudo-anomalies can move BatchNorm's averages away from normal clips and take
    with them what identification had learned; its branch would then be left out at the end.

    Args:
        run: the run; 'literal' keeps whatever a stage leaves.
        plan: of the stage.
        before: all variables, as earlier stages left them.
        after: those of the stage's networks.
    """
    held = run.corpus.held_out
    goes_on = {"encoder", "identify"} <= set(plan.start) & set(plan.rates)
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


def accuracy(run: Run, variables: Variables) -> float:
    """Share of held-out normals whose class the spectrogram network names rightly."""

    @jax.jit
    def named(variables: Variables, wave: jax.Array) -> jax.Array:
        x = normalise(log_mel(to_float(wave), spec=run.spec), variables["normaliser"])
        (embedding, _), _ = run.nets.encoder.apply(variables["encoder"], x, train=False)
        prototypes, _ = run.nets.identify.apply(variables["identify"], train=False)
        return jnp.argmax(losses.class_cosines(embedding, prototypes), axis=-1)

    used = {name: variables[name] for name in ("normaliser", "encoder", "identify")}
    found = [
        np.asarray(named(used, batch["wave"]))[np.asarray(batch["valid"])]
        for batch in eval_batches(
            run.corpus.waves, run.corpus.held_out, batch_size=run.config.eval_batch_size
        )
    ]
    return float(np.mean(np.concatenate(found) == run.corpus.classes.label[run.corpus.held_out]))
