"""A plan made ready: how many steps it takes, of how many clips, and when it has had enough."""

import dataclasses
import types

import jax
import numpy as np
import pytest

from asd_jax.runs.run import Run
from asd_jax.runs.settings import Compute, Optimizer, Schedule
from asd_jax.runs.trainer import Plan, Trainer
from asd_jax.runs.workdir import Workdir


def trainer(tmp_path, count=1000, accumulate=1, patience=0.0, **schedule):
    config = types.SimpleNamespace(compute=Compute(accumulate=accumulate))
    plan = Plan(
        "finetune",
        Schedule(**schedule),
        loss=lambda params, state, batch, key: (0.0, ({}, {})),
        optimizers={"net": Optimizer(learning_rate=0.25)},
        clip=jax.ShapeDtypeStruct((8,), np.int16),
        clips=lambda variables: None,
        count=count,
        tunables=lambda config: {"margin": 0.5},
        patience=patience,
    )
    return Trainer(Run(config, Workdir(str(tmp_path)), None, None), plan)


@pytest.mark.parametrize(
    ("count", "schedule", "size", "steps"),
    [
        (1000, {"epochs": 3.0, "batch_size": 50}, 50, 60),
        (1000, {"epochs": 0.001, "batch_size": 50}, 50, 1),  # never none
        (1000, {"epochs": 2.0, "batch_size": 128, "updates": 0}, 128, 16),
        (320, {"epochs": 2.0, "batch_size": 128, "updates": 16}, 20, 32),
        (160, {"epochs": 2.0, "batch_size": 128, "updates": 16}, 16, 20),  # no smaller batches
        (5, {"epochs": 2.0, "batch_size": 128, "updates": 0}, 5, 2),
    ],
)
def test_epochs_become_steps_of_the_clips_that_train(tmp_path, count, schedule, size, steps):
    made = trainer(tmp_path, count, **schedule)
    assert (made.size, made.total) == (size, steps)
    assert made.part.name == "finetune"
    assert not made.finished()


def test_the_steps_scalars_are_the_optimizers_and_the_losss(tmp_path):
    found = trainer(tmp_path).scalars
    assert found["margin"] == 0.5 and 0.25 in found.values()


def test_patience_counts_epochs_since_the_best(tmp_path):
    made = trainer(tmp_path, 100, batch_size=10, updates=0, epochs=9.0, patience=2.0)
    made._best.save_if_best(10, 0.5, {"net": np.zeros(1)})
    assert not made._enough(29) and made._enough(30)
    assert not trainer(tmp_path, 100, batch_size=10).stage(lambda begin: None).enough(10**6)


def test_the_trainer_of_a_later_run_leaves_its_files_there(tmp_path):
    made = trainer(tmp_path / "a")
    other = dataclasses.replace(made.run, workdir=Workdir(str(tmp_path / "b")))
    later = made.of(other)
    assert later.directory.startswith(str(tmp_path / "b")) and later.step is made.step
    assert made.directory.startswith(str(tmp_path / "a"))
