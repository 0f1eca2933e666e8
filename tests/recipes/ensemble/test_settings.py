"""The ensemble's settings: what cannot be together is refused in a sentence."""

import pytest

from asd_jax.errors import UserError
from asd_jax.recipes.ensemble.settings import (
    Ensemble,
    Features,
    Pretrain,
    Scoring,
    Statistics,
    Temporal,
)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"pretrain": Pretrain(epochs=0.0), "scoring": Scoring(branches=("spectral",))},
            r"config\.pretrain\.epochs is 0, but the branch 'spectral'",
        ),
        (
            {"temporal": Temporal(epochs=0.0), "scoring": Scoring(branches=("fusion",))},
            r"config\.temporal\.epochs is 0, but the branch 'fusion'",
        ),
        ({"statistics": Statistics(pool="gwap")}, r"config\.statistics\.pool is 'gwap'.*'views'"),
        ({"features": Features(n_mels=2000)}, r"Ensemble\.features.*n_mels is 2000"),
        ({"statistics": Statistics(n_mels=2000)}, r"Ensemble\.statistics.*n_mels is 2000"),
    ],
)
def test_what_cannot_be_together_is_one_sentence(fields, said):
    with pytest.raises(UserError, match=said):
        Ensemble(**fields)


def test_a_branch_that_is_not_scored_needs_no_training():
    off = Pretrain(epochs=0.0)
    made = Ensemble(pretrain=off, scoring=Scoring(branches=("temporal", "statistics")))
    assert made.pretrain.epochs == 0.0
