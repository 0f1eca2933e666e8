"""The stages of the ensemble: which there are, and what is said of one that collapses."""

import pytest

from asd_jax.recipes.ensemble import stages
from asd_jax.recipes.ensemble.settings import Ensemble, Scoring
from asd_jax.recipes.ensemble.stages import EnsembleRun
from asd_jax.runs.trainer import Plan
from tests.recipes.tiny import bare


@pytest.mark.parametrize(
    ("branches", "names"),
    [
        (("statistics",), []),
        (("temporal", "statistics"), ["temporal"]),
        (("spectral",), ["pretrain"]),  # fine-tuning has no epochs unless asked for
        (("fusion",), ["pretrain", "temporal", "fusion"]),
    ],
)
def test_only_the_stages_that_a_branch_needs_are_trained(monkeypatch, branches, names):
    asked = {}
    for stage, network in stages.STAGES.items():

        def planned(run, name=stage.__name__):
            return bare(Plan, name=name)

        planned.__name__ = stage.__name__
        asked[planned] = network
    monkeypatch.setattr(stages, "STAGES", asked)
    config = Ensemble(scoring=Scoring(branches=branches))
    assert [plan.name for plan in stages.plans(bare(EnsembleRun, config=config))] == names


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"spread_embedding": 0.9, "spread_z": 1.0, "clusters": -1.0}, ""),
        ({"loss": 3.0}, ""),
        ({"spread_z": 0.01}, "its z vectors all point the same way"),
        ({"spread_embedding": 0.049}, "its embedding vectors all point the same way"),
        ({"clusters": -1001.0}, "Eq. 6 as printed runs away"),
    ],
)
def test_a_collapse_is_said_in_a_sentence(metrics, said):
    found = stages.watch_collapse("pretrain")(metrics)
    assert said in found and bool(found) is bool(said)
