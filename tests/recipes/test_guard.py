"""A stage that unlearns is undone."""

import numpy as np
import pytest

from asd_jax.recipes import guard
from asd_jax.recipes.corpus import Corpus
from asd_jax.recipes.settings import Ensemble
from asd_jax.recipes.stages import Plan, Run
from tests.recipes.tiny import bare

BEFORE = {"encoder": "old", "identify": "old", "normaliser": "same"}
AFTER = {"encoder": "new", "identify": "new"}


def run(held=4, **changes):
    return bare(Run, config=Ensemble(**changes), corpus=bare(Corpus, held_out=np.arange(held)))


def stage(name="finetune", start=("encoder", "identify")):
    return bare(Plan, name=name, start=start, rates={"encoder": None, "identify": None})


@pytest.mark.parametrize(
    "after,kept", [(0.3, {"encoder": "old", "identify": "old"}), (0.86, AFTER), (1.0, AFTER)]
)
def test_it_is_undone_where_held_out_accuracy_falls(monkeypatch, after, kept):
    accuracy = {"old": 0.9, "new": after}
    monkeypatch.setattr(guard, "accuracy", lambda run, found: accuracy[found["encoder"]])
    assert guard.kept(run(), stage(), BEFORE, AFTER) == kept


def test_first_stages_literal_runs_and_runs_without_held_out_clips_are_left_alone(monkeypatch):
    monkeypatch.setattr(guard, "accuracy", None)
    assert guard.kept(run(), stage("pretrain", ()), BEFORE, AFTER) == AFTER
    assert guard.kept(run(protocol="literal"), stage(), BEFORE, AFTER) == AFTER
    assert guard.kept(run(held=0), stage(), BEFORE, AFTER) == AFTER
