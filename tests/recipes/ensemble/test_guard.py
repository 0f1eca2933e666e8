"""A stage that unlearns is undone, one that collapses trained anew, a constant never scored."""

from typing import ClassVar

import jax
import numpy as np
import pytest

from asd_jax.data.cache import WaveCache
from asd_jax.errors import UserError
from asd_jax.recipes.ensemble import guard
from asd_jax.recipes.ensemble.clips import Corpus
from asd_jax.recipes.ensemble.networks import Networks
from asd_jax.recipes.ensemble.pretext_labels import PretextLabels
from asd_jax.recipes.ensemble.settings import ArcFace, Ensemble, Scoring
from asd_jax.recipes.ensemble.stages import EnsembleRun
from asd_jax.runs.trainer import Plan, Trainer
from asd_jax.runs.workdir import Workdir
from tests.recipes.tiny import bare

BEFORE = {"encoder": "old", "identify": "old", "normaliser": "same"}
AFTER = {"encoder": "new", "identify": "new"}


def run(held=4, **changes):
    none = np.zeros(0, int)
    corpus = Corpus(
        clips=(),
        waves=WaveCache("", none, 16000),
        groups=(),
        label=none,
        pretext_labels=PretextLabels("machines", ("a", "b", "c", "d", "e"), none),
        fit=none,
        held_out=np.arange(held),
        test=none,
        notes=(),
    )
    return EnsembleRun(Ensemble(**changes), Workdir(""), corpus, bare(Networks))


def stage(name="finetune", start=("encoder", "identify")):
    return bare(Plan, name=name, start=start, optimizers={"encoder": None, "identify": None})


@pytest.mark.parametrize(
    "after,kept", [(0.3, {"encoder": "old", "identify": "old"}), (0.86, AFTER), (1.0, AFTER)]
)
def test_it_is_undone_where_held_out_accuracy_falls(monkeypatch, after, kept):
    accuracy = {"old": 0.9, "new": after}
    monkeypatch.setattr(guard, "accuracy", lambda run, found: accuracy[found["encoder"]])
    assert guard.undo_if_worse(run(), stage(), BEFORE, AFTER) == kept


def test_first_stages_literal_runs_and_runs_without_held_out_clips_are_left_alone(monkeypatch):
    monkeypatch.setattr(guard, "accuracy", None)
    assert guard.undo_if_worse(run(), stage("pretrain", ()), BEFORE, AFTER) == AFTER
    assert guard.undo_if_worse(run(protocol="literal"), stage(), BEFORE, AFTER) == AFTER
    assert guard.undo_if_worse(run(held=0), stage(), BEFORE, AFTER) == AFTER


KEY = jax.random.key(0)
COLLAPSING = ArcFace(margin=0.7, scale=30.0)


class Again(Trainer):
    """Takes the place of a stage that is trained once more."""

    made: ClassVar[list] = []

    def __init__(self, run, plan, folder=""):
        self.run, self.plan, self.folder = run, plan, folder
        Again.made.append(self)

    def train(self, key, variables):
        return {"encoder": "again", "identify": "again"}


@pytest.fixture
def trained_again(monkeypatch):
    """Calls it with 50 held-out clips and this accuracy of the first training."""
    monkeypatch.setattr(guard, "Trainer", Again)
    monkeypatch.setattr(Again, "made", [])

    def call(first, *, name="pretrain", **changes):
        found = {"new": first, "again": 0.9}
        monkeypatch.setattr(guard, "accuracy", lambda run, tree: found[tree["encoder"]])
        trainer = Again(run(), stage(name, ()))
        return guard.trained_again(run(50, **changes), trainer, KEY, {}, AFTER)

    return call


def test_pretraining_that_learned_nothing_is_trained_again_without_a_margin(trained_again):
    found, variables = trained_again(0.2, arcface=COLLAPSING)
    assert variables == {"encoder": "again", "identify": "again"}
    assert found.config.arcface == ArcFace(margin=0.0, scale=10.0)
    assert Again.made[-1].run.config == found.config
    assert Again.made[-1].folder == "pretrain_again"
    (note,) = found.corpus.notes
    assert "margin=0.7" in note and "20%" in note and "90%" in note


@pytest.mark.parametrize(
    "first,changes",
    [
        (0.5, {"arcface": COLLAPSING}),  # it has learned
        (0.2, {}),  # nothing safer is known
        (0.2, {"arcface": COLLAPSING, "protocol": "literal"}),
        (0.2, {"arcface": COLLAPSING, "name": "finetune"}),
    ],
)
def test_otherwise_the_stage_stays_as_it_is(trained_again, first, changes):
    found, variables = trained_again(first, **changes)
    assert variables == AFTER and found.corpus.notes == ()


def embeddings(deviation, *, clips=40, dim=16):
    """Embeddings of length 1 that deviate by this from a common one."""
    rng = np.random.default_rng(0)
    common = np.ones(dim) / np.sqrt(dim)
    noise = rng.normal(size=(clips, dim)) / np.sqrt(dim)
    return (common + deviation * noise).astype(np.float32)


def test_an_embedding_that_is_constant_to_rounding_is_not_scored():
    trained = {
        "spectral": embeddings(1e-7),
        "temporal": embeddings(1e-2),
        "statistics": embeddings(1e-7),  # its levels may well be constant
    }
    found = guard.without_constant(run(), trained)
    assert found.config.scoring.branches == ("temporal", "statistics")
    assert "spectral is not scored" in found.corpus.notes[0]


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_one_that_varies_is_whatever_its_length(scale):
    given = run()
    varying = scale * embeddings(1e-2)
    trained = {"spectral": varying, "temporal": varying, "statistics": embeddings(1.0)}
    assert guard.without_constant(given, trained) is given


def test_weights_by_hand_go_with_the_branch_that_they_were_of():
    scoring = Scoring(branches=("spectral", "statistics"), rule="fixed", weights=(0.9, 0.1))
    trained = {"spectral": embeddings(0.0), "statistics": embeddings(1.0)}
    found = guard.without_constant(run(scoring=scoring), trained).config.scoring
    assert (found.branches, found.rule, found.weights) == (("statistics",), "equal", ())


def test_without_any_branch_left_it_ends():
    given = run(scoring=Scoring(branches=("spectral",)))
    with pytest.raises(UserError, match="collapsed"):
        guard.without_constant(given, {"spectral": embeddings(0.0)})
