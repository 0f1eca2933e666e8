"""Which scorer reads a branch, and with which options: `config.scoring`. No jax here."""

import dataclasses
from typing import Annotated, Any, Literal

from asd_jax.bounds import Among, Checked, CountOrNone, Weight, Within, inside
from asd_jax.errors import UserError

# What each branch looks at, for reports.
BRANCHES = {
    "fusion": "fusion of both networks",
    "spectral": "spectrogram network",
    "temporal": "waveform network",
    "early_layers": "early layers of the spectrogram network",
    "statistics": "how loud each band is: on average, in quiet and loud moments, in which rhythm",
}

# Options that each scorer takes.
_SPREAD = ("covariance", "reg_covar", "shared", "l2")
TAKES: dict[str, tuple[str, ...]] = {
    "gaussian": (*_SPREAD, "domains", "smote"),
    "gmm": ("components", "covariance", "reg_covar", "l2", "domains", "smote"),
    "mahalanobis": (*_SPREAD, "domains", "smote"),
    "knn": ("metric", "neighbours", "rescale", "l2", "domains", "smote"),
    "kmeans": ("metric", "centres", "l2", "domains", "smote"),
    "lof": ("neighbours", "l2", "domains", "smote"),
    "embedding": (),
    "views": (),
    "arcface": (),
}
STATISTICS = ("statistics", "embedding")  # no network made these: 'views' stands in
# The class centres that belong to a branch, by the name of their network.
PROTOTYPES = {
    "spectral": "identify",
    "temporal": "temporal_identify",
    "fusion": "fusion_identify",
}
Scorer = Annotated[str, Among(tuple(TAKES))]


@dataclasses.dataclass(frozen=True)
class Backend(Checked):
    """A scorer and its options; an empty or zero option is the scorer's own default.

    As fields of `config.scoring` they hold for every branch whose scorer takes them.
    """

    scorer: Scorer = "gaussian"
    components: Annotated[int, Within(1, 1000)] = 1  # gmm
    metric: Literal["", "cosine", "euclidean"] = ""  # knn, kmeans ('cosine' by default)
    neighbours: CountOrNone = 0  # knn (1 by default), lof (20)
    # kNN: divide by each normal clip's distance to so many neighbours; see there.
    rescale: CountOrNone = 0
    centres: CountOrNone = 0  # kmeans (16 by default)
    l2: bool = False  # scale each clip's features to length 1 first
    # Of gaussian and mahalanobis ('ledoit_wolf' by default) and gmm ('relative').
    covariance: Literal["", "ledoit_wolf", "relative", "literal"] = ""
    reg_covar: Weight = 0.0  # of 'relative' and 'literal' (1e-3 by default)
    shared: bool = False  # gaussian, mahalanobis: the covariance of all machines' clips
    # 'minimum': a scorer for each domain, of which the lowest counts
    domains: Literal["pooled", "minimum"] = "pooled"
    # Bring target clips up to this share of the source clips; 1: as many
    smote: Annotated[float, Within(0, 100)] = 0.0

    @property
    def options(self) -> dict[str, Any]:
        """Returns the options that differ from their defaults, by name, without the scorer."""
        return {n: v for n, v in _options(self).items() if v != _DEFAULTS[n]}

    @property
    def fit_options(self) -> dict[str, Any]:
        """The same, as the scorer's `fit` takes them."""
        ours = ("shared", "domains", "smote")
        return {name: value for name, value in self.options.items() if name not in ours}


def _options(backend: Backend) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(Backend) if field.name != "scorer"]
    return {name: getattr(backend, name) for name in names}


_DEFAULTS = _options(Backend())


def backend_of(scoring: Any, branch: str) -> Backend:
    """The back-end of a branch: its own words in `scoring.per_branch`, and what holds for all.

    Args:
        scoring: `settings.Scoring`.
        branch: one of its branches.
    """
    usual = "views" if (branch, scoring.scorer) == STATISTICS else scoring.scorer
    scorer, own = _words(scoring).get(branch, (usual, {}))
    common = {n: v for n, v in _options(scoring).items() if n in TAKES[scorer]}
    return Backend(scorer=scorer, **(common | own))


def check(scoring: Any) -> None:
    """Raises UserError for a back-end that cannot be, naming the field."""
    used = {backend_of(scoring, b).scorer for b in scoring.branches}
    for name, value in _options(scoring).items():
        if value != _DEFAULTS[name] and not any(name in TAKES[scorer] for scorer in used):
            takers = [scorer for scorer, names in TAKES.items() if name in names]
            raise UserError(
                f"config.scoring.{name} is {value!r}, which no scorer of this run takes; it is for "
                f"{', '.join(takers)}."
            )
    for branch in scoring.branches:
        _check_together(branch, backend_of(scoring, branch))


def _check_together(branch: str, backend: Backend) -> None:
    """Refuses options that contradict each other or would do nothing."""
    if backend.scorer == "views" and branch != "statistics":
        raise UserError(
            f"scorer 'views' is for the branch 'statistics', not {branch!r}: give the others one "
            "by config.scoring.per_branch."
        )
    if backend.scorer == "arcface" and branch not in PROTOTYPES:
        raise UserError(
            f"scorer 'arcface' reads class centres, which branch {branch!r} has none of; it is for "
            f"{', '.join(PROTOTYPES)}: give the others one by config.scoring.per_branch."
        )
    covariance = backend.covariance or ("relative" if backend.scorer == "gmm" else "ledoit_wolf")
    if backend.reg_covar and covariance == "ledoit_wolf":
        raise UserError(
            f"config.scoring.reg_covar is {backend.reg_covar!r}, which covariance 'ledoit_wolf' of "
            f"branch {branch!r} does not take; set covariance to 'relative' or 'literal'."
        )
    if backend.components > 1 and covariance == "ledoit_wolf":
        raise UserError(
            f"config.scoring.components is {backend.components}, and covariance 'ledoit_wolf' is "
            "for one; set covariance to 'relative' or 'literal'."
        )


def _words(scoring: Any) -> dict[str, tuple[str, dict[str, Any]]]:
    """Scorer and options of each branch that `per_branch` names."""
    found = {}
    for entry in scoring.per_branch:
        branch, _, rest = str(entry).partition(":")
        scorer, *options = rest.split(",")
        if branch not in BRANCHES or scorer not in TAKES:
            raise UserError(
                f"config.scoring.per_branch has {entry!r}; it takes BRANCH:SCORER[,OPTION=VALUE], "
                f"with a branch of {', '.join(BRANCHES)} and a scorer of "
                f"{', '.join(TAKES)}."
            )
        own = dict(_option(entry, scorer, option) for option in options)
        with inside(f"Scoring.per_branch of {branch}"):
            Backend(scorer, **own)
        found[branch] = scorer, own
    return found


def _option(entry: str, scorer: str, option: str) -> tuple[str, Any]:
    """One `name=value` as the type of its field."""
    name, _, text = option.partition("=")
    if name not in TAKES[scorer]:
        raise UserError(
            f"config.scoring.per_branch has {entry!r}, but {scorer} takes no {name!r}; it takes "
            f"{', '.join(TAKES[scorer]) or 'no options'}."
        )
    kind = type(_DEFAULTS[name])
    try:
        if kind is bool:
            return name, {"true": True, "false": False}[text.lower()]
        return name, kind(text)
    except (KeyError, ValueError):
        raise UserError(
            f"config.scoring.per_branch has {entry!r}; {name} takes a value of the kind "
            f"{kind.__name__}, such as {_DEFAULTS[name]!r}."
        ) from None
