"""An epoch of real networks, four seeds side by side and the same seeds alone, on one device.

On one device, because a batch split over eight is summed in another order. How much that matters
is what "moved" is for: the same runs alone, from weights that differ by one rounding.
Prints one JSON line: by seed, the losses, the weights' distances, and the cosine of the updates.
"""

import json
import os
import sys

import jax
import jax.numpy as jnp
import numpy as np

from asd_jax.recipes.ensemble import stages
from asd_jax.recipes.ensemble.recipe import RECIPE
from asd_jax.runs import cells
from asd_jax.runs.packed import Pack, open_runs
from asd_jax.runs.trainer import Trainer
from asd_jax.train.metrics_log import MetricsLog
from tests.runs.test_settings import get_config

SEEDS = 4
NAMES = ("pretrain", "finetune", "temporal", "fusion")
CHANGES = {
    "pack": SEEDS,
    "features.n_mels": 64,
    "synthetic.normal": 36,  # 32 of them to train on: four steps of 32 clips are an epoch
    "scoring.bootstrap": 20,
}


def main(stage: str, rate: str, folder: str) -> None:
    config = get_config("ensemble", "smoke")
    config.update_from_flattened_dict(CHANGES)
    config[stage].update(epochs=1.0, batch_size=32)
    config[stage].optimizer.update(learning_rate=float(rate))
    values = config.to_dict()
    plan = getattr(stages, stage)
    keys = [RECIPE.stage_key(seed, stage) for seed in range(SEEDS)]

    def begun(kind):
        runs = open_runs(RECIPE, cells.of_seeds(values, os.path.join(folder, kind)))
        known = [stages.initial_variables(run) for run in runs]
        for variables in known:  # the fusion reads embeddings: of encoders as they were drawn
            for seed, name in enumerate(("encoder", "temporal")):
                variables[name] = jax.jit(getattr(runs[0].nets, name).init)(jax.random.key(seed))
        return [Trainer(run, plan(run)) for run in runs], known

    trainings, known = begun("packed")
    starts = [
        training.initial(key, variables).params
        for training, key, variables in zip(trainings, keys, known, strict=True)
    ]
    packed, diverged = Pack(trainings).train([t.run for t in trainings], keys, known, {})
    assert not diverged
    trainings, known = begun("alone")
    alone = [t.train(key, v) for t, key, v in zip(trainings, keys, known, strict=True)]
    trainings, known = begun("moved")
    moved = [
        Moved(t.run, t.plan).train(key, v) for t, key, v in zip(trainings, keys, known, strict=True)
    ]
    print(
        json.dumps(
            [
                {
                    "packed": losses(f"{folder}/packed/seed={seed}"),
                    "alone": losses(f"{folder}/alone/seed={seed}"),
                    "moved": losses(f"{folder}/moved/seed={seed}"),
                    "weights": away(packed[seed], alone[seed]),
                    "weights moved": away(moved[seed], alone[seed]),
                    "update": update(starts[seed], packed[seed], alone[seed]),
                }
                for seed in range(SEEDS)
            ]
        )
    )


class Moved(Trainer):
    """The stage from weights that differ by one rounding up or down."""

    def initial(self, key, variables):
        rng = np.random.default_rng(0)

        def move(leaf):
            sides = rng.choice([-1, 1], leaf.shape).astype(np.float32)
            return jnp.asarray(np.nextafter(np.asarray(leaf), sides * np.float32(np.inf)))

        state = super().initial(key, variables)
        return state._replace(params=jax.tree.map(move, state.params))


def losses(folder):
    return [event["loss"] for event in MetricsLog(f"{folder}/metrics.jsonl").read()]


def away(ours, theirs):
    """The largest distance of a leaf, of its largest value."""
    pairs = zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-3)) for a, b in pairs)


def update(starts, ours, theirs):
    """The cosine between the two changes of all weights together."""
    changes = [
        np.concatenate([np.ravel(np.asarray(a) - b) for a, b in _pairs(end, starts)])
        for end in (ours, theirs)
    ]
    return float(changes[0] @ changes[1] / np.prod([np.linalg.norm(c) for c in changes]))


def _pairs(end, starts):
    for name, params in starts.items():
        yield from zip(jax.tree.leaves(end[name]["params"]), jax.tree.leaves(params), strict=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
