"""Back-ends by settings: what each branch gets, and what is refused."""

import pytest

from asd_jax.errors import UserError
from asd_jax.recipes.ensemble.backends import TAKES, Backend, backend_of
from asd_jax.recipes.ensemble.settings import Scoring


def test_options_hold_for_every_branch_whose_scorer_takes_them():
    scoring = Scoring(
        scorer="knn",
        neighbours=3,
        covariance="relative",
        l2=True,
        per_branch=("statistics:gaussian", "early_layers:lof,neighbours=5,l2=false"),
    )
    assert backend_of(scoring, "spectral") == Backend("knn", neighbours=3, l2=True)
    assert backend_of(scoring, "statistics") == Backend("gaussian", covariance="relative", l2=True)
    assert backend_of(scoring, "early_layers") == Backend("lof", neighbours=5)


def test_a_fit_gets_what_is_not_left_at_its_default():
    backend = Backend("gmm", components=2, covariance="literal", reg_covar=1e-4, domains="minimum")
    assert backend.options == {
        "components": 2, "covariance": "literal", "reg_covar": 1e-4, "domains": "minimum"
    }  # fmt: skip
    assert backend.fit_options == {"components": 2, "covariance": "literal", "reg_covar": 1e-4}
    assert Backend().fit_options == {}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"scorer": "svm"}, r"Scoring\.scorer is 'svm'.*'mahalanobis'"),
        ({"neighbours": 3}, r"config\.scoring\.neighbours.*knn, lof"),
        ({"scorer": "knn", "components": 2}, r"config\.scoring\.components.*gmm"),
        ({"scorer": "knn", "metric": "manhattan"}, r"Scoring\.metric.*'euclidean'"),
        ({"domains": "target"}, r"Scoring\.domains.*'minimum'"),
        ({"smote": -1.0}, r"Scoring\.smote.*at least 0"),
        ({"scorer": "gaussian", "reg_covar": 1e-2}, r"reg_covar.*'ledoit_wolf'"),
        ({"scorer": "gmm", "components": 2, "covariance": "ledoit_wolf"}, r"components is 2"),
        (
            {"scorer": "arcface", "branches": ("early_layers",)},
            r"'arcface'.*'early_layers'.*per_branch",
        ),
        ({"per_branch": ("nothing:knn",)}, r"per_branch has 'nothing:knn'.*BRANCH:SCORER"),
        ({"per_branch": ("early_layers:svm",)}, r"per_branch.*gaussian, gmm"),
        ({"per_branch": ("early_layers",)}, r"per_branch"),
        (
            {"per_branch": ("early_layers:knn,centres=3",)},
            r"knn takes no 'centres'; it takes metric",
        ),
        (
            {"per_branch": ("early_layers:knn,neighbours=two",)},
            r"neighbours takes a value of the kind int",
        ),
        ({"per_branch": ("early_layers:knn,l2=2",)}, r"l2 takes a value of the kind bool"),
        (
            {"per_branch": ("early_layers:knn,metric=x",)},
            r"per_branch of early_layers\.metric is 'x'",
        ),
        ({"per_branch": ("spectral:arcface,l2=true",)}, r"arcface takes no 'l2'.*no options"),
    ],
)
def test_what_cannot_be_is_one_sentence(fields, said):
    with pytest.raises(UserError, match=said):
        Scoring(**fields)


def test_each_option_is_taken_by_some_scorer():
    names = {name for names in TAKES.values() for name in names}
    assert names == Backend().__dict__.keys() - {"scorer"}
