"""One score from several branches, weighed without a single anomaly.

`literal` is the paper's raw weighted sum (Liao et al., eq. 9: 0.9 and 0.1 on raw negative
log-likelihoods). All other rules z-score each branch on held-out normals of the same machine.

`recommended` does not ask which branch finds made-up faults, for a real one may be of another kind:
choosing by proxies saturates, adding z-scores does not (arXiv 2606.19269). A branch that a network
learned has weight `NETWORK` if the network tells the machines of held-out clips apart with a
sensitivity of `SURE`, and less with the square of what it has; at chance it has learned nothing,
and says nothing. The branches that need no learning have weight 1.

`discriminant` is the rule by made-up faults: the weights w >= 0 with the largest
w.d / sqrt(w.R.w), where d is (AUC - 0.5)^2 of weak pseudo-anomalies, made from these normals,
against the normals themselves, mean over their kinds, and R the correlation of the branches on
normals, shrunk towards none.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Array, Float, Int
from scipy.optimize import brentq, nnls
from scipy.stats import norm

from asd_jax.errors import UserError
from asd_jax.naming import machine_name, machine_names
from asd_jax.scoring import evidence
from asd_jax.scoring.rules import RULES

NETWORK = 0.6  # weight of a network that tells the machines apart
SURE = 2.5  # d' of identification from which on it counts as that
MOST = 6.0  # d' that is told from no error at all
OF_ITS_OWN = {"temporal": 1.0}  # the same of one that hears what no band's level shows
LITERAL_WEIGHTS = (0.9, 0.1)  # fusion, statistics
SHRINKAGE = (0.3, 2.0)  # of R: the first plus the second over the number of clips, at most 1
GATE = 0.02  # a branch with less than this share of the weight is left out

Group = tuple[str, ...]
Names = Mapping[str, Float[np.ndarray, "clips"]]


@dataclasses.dataclass(frozen=True)
class BranchWeights:
    """Calibration and weights of branches, by group.

    Attributes:
        rule: one of `RULES`.
        branches: their names, in the order of all arrays.
        groups: (machine_type, machine_id) of each row.
        mean, std: of held-out normals' scores, `[groups, branches]`.
        mixing: weights of the sum, `[groups, branches]`.
        weak_auc: AUC of each branch against each kind of weak pseudo-anomaly.
        gated: the branches left out, and a sentence why.
        notes: sentences on what could not be known.
    """

    rule: str
    branches: tuple[str, ...]
    groups: tuple[Group, ...]
    mean: np.ndarray
    std: np.ndarray
    mixing: np.ndarray
    weak_auc: dict[str, dict[str, float]]
    gated: dict[str, str]
    notes: tuple[str, ...] = ()

    @property
    def weights(self) -> dict[str, float]:
        """Each branch's weight, mean over groups; they sum to 1 ('literal', 'fixed': as given)."""
        return dict(zip(self.branches, map(float, np.mean(self.mixing, axis=0)), strict=True))

    @property
    def reasons(self) -> list[str]:
        """Returns all that a reader should know about the weights, in sentences."""
        if len(self.gated) < 2:
            return [*self.gated.values(), *self.notes]
        *others, last = self.gated
        why = (
            "their networks name the right machine of held-out clips no better than guessing."
            if self.rule == "recommended"
            else "of faint faults, made from held-out healthy clips, they hear next to nothing."
        )
        left_out = f"{', '.join(others)} and {last} are left out: {why}"
        return [left_out, *self.notes]


def fit_ensemble(
    normal: Names,
    weak: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    groups: Sequence[Group] | None = None,
    *,
    rule: str = "recommended",
    weights: Sequence[float] = (),
    learned: Mapping[str, tuple[float, float, int]] | None = None,
) -> BranchWeights:
    """Calibrates and weighs branches by held-out normal clips.

    Args:
        normal: by branch, the scores of held-out normal clips, each by a scorer that has not
            seen the clip.
        weak: by branch and kind, the scores `[clips]` of weak pseudo-anomalies made from the same
            clips, in the same order, by the same scorers. They count for all machines of their
            type.
        groups: (machine_type, machine_id) of each clip; None: one machine.
        rule: one of `RULES`; 'fixed' takes `weights` on z-scores, 'literal' on raw scores.
        weights: of 'fixed' and 'literal', one a branch; () is 0.9 and 0.1 for two branches.
        learned: of each branch that a network learned, its accuracy of identification on held-out
            clips, the least that is above chance, and the number of classes; for 'recommended'.

    Raises:
        UserError: scores that don't match or aren't finite, an unknown rule, missing weights.
    """
    groups = [("machine", "")] * _clips(normal) if groups is None else groups
    _check(normal, weak or {}, groups, rule)
    names = tuple(dict.fromkeys(tuple(map(str, group)) for group in groups))
    index = np.array([names.index(tuple(map(str, group))) for group in groups])
    held, kinds, changed = evidence.stack(normal, weak or {})
    types = [name[0] for name in names]
    mean, std = evidence.calibrate(held, index, types)
    z, weak_z = (held - mean[index]) / std[index], (changed - mean[index]) / std[index]
    pools = [np.flatnonzero(np.array(types)[index] == name) for name in types]
    auc = np.stack([evidence.weak_auc(z[rows], weak_z[:, rows], index[rows]) for rows in pools])
    average = auc.mean(axis=0)
    table = {k: dict(zip(normal, map(float, average[i]), strict=True)) for i, k in enumerate(kinds)}
    if rule == "recommended":
        trust, gated = _trust(tuple(normal), learned or {})
        mixing, notes = np.tile(trust / trust.sum(), (len(names), 1)), ()
    else:
        mixing = _mixing(rule, auc, [z[rows] for rows in pools], weights)
        gated, notes = _explain(tuple(normal), rule, mixing, table)
    return BranchWeights(
        rule=rule,
        branches=tuple(normal),
        groups=names,
        mean=mean,
        std=std,
        mixing=mixing,
        weak_auc=table,
        gated=gated,
        notes=notes,
    )


def combine(
    ensemble: BranchWeights, scores: Names, groups: Sequence[Group] | None = None
) -> Float[np.ndarray, "clips"]:
    """The ensemble's scores; higher is more anomalous. On the host, in float64.

    Args:
        ensemble: from `fit_ensemble`.
        scores: by branch, raw scores by the machines' own scorers.
        groups: of each clip; None where there is one machine.

    Raises:
        UserError: a branch is missing or a machine unknown.
    """
    missing = [name for name in ensemble.branches if name not in scores]
    if missing:
        raise UserError(f"No scores of branch {missing[0]!r}; the ensemble was made with it.")
    stacked = np.stack([np.asarray(scores[b], np.float64) for b in ensemble.branches], axis=1)
    rows = group_index(ensemble, groups, len(stacked))
    tables = (table[rows] for table in (ensemble.mean, ensemble.std, ensemble.mixing))
    return np.asarray(weighted_sum(stacked, *tables, rule=ensemble.rule))


def weighted_sum(
    scores: Float[Array | np.ndarray, "*any branches"],
    mean: Float[Array | np.ndarray, "*#any branches"],
    std: Float[Array | np.ndarray, "*#any branches"],
    mixing: Float[Array | np.ndarray, "*#any branches"],
    *,
    rule: str,
) -> Float[Array | np.ndarray, "*any"]:
    """Computes what `combine` returns, on NumPy's arrays or inside `jax.jit`.

    Args:
        scores: raw, branches in the ensemble's order.
        mean: the rows of each clip's machine in the ensemble's table of that name.
        std: the same.
        mixing: the same.
        rule: the ensemble's.
    """
    if rule != "literal":
        scores = (scores - mean) / std
    return (scores * mixing).sum(-1)


def group_index(
    ensemble: BranchWeights, groups: Sequence[Group] | None, clips: int
) -> Int[np.ndarray, "clips"]:
    """Rows in `ensemble.groups` of the clips' machines; raises UserError for an unknown one."""
    if groups is None:
        if len(ensemble.groups) > 1:
            raise UserError("The ensemble knows several machines; say which one each clip is of.")
        return np.zeros(clips, np.int64)
    rows = {name: row for row, name in enumerate(ensemble.groups)}
    wanted = [tuple(map(str, group)) for group in groups]
    unknown = [group for group in wanted if group not in rows]
    if unknown:
        known = ", ".join(machine_names(ensemble.groups))
        name = machine_name(unknown[0], ensemble.groups)
        raise UserError(f"Machine {name!r} is not known; known are {known}.")
    return np.array([rows[group] for group in wanted], np.int64)


def to_dict(ensemble: BranchWeights) -> dict[str, Any]:
    """The ensemble as JSON can hold it."""
    values = {f.name: getattr(ensemble, f.name) for f in dataclasses.fields(ensemble)}
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}


def from_dict(values: Mapping[str, Any]) -> BranchWeights:
    """The ensemble that `to_dict` wrote; raises UserError when a field is missing."""
    arrays = ("mean", "std", "mixing")
    try:
        fields = {f.name: values[f.name] for f in dataclasses.fields(BranchWeights)}
    except KeyError as error:
        raise UserError(f"A stored ensemble lacks {error}; train the detector again.") from error
    fields |= {name: np.asarray(fields[name], np.float64) for name in arrays}
    fields |= {name: tuple(fields[name]) for name in ("branches", "notes")}
    fields["groups"] = tuple(tuple(group) for group in fields["groups"])
    return BranchWeights(**fields)


def _trust(
    branches: Sequence[str], learned: Mapping[str, tuple[float, float, int]]
) -> tuple[Float[np.ndarray, "branches"], dict[str, str]]:
    """Weights of 'recommended' before they are scaled to 1, and sentences on what is left out."""
    trust, gated = np.ones(len(branches)), {}
    for i, name in enumerate(branches):
        if name not in learned:
            continue
        accuracy, level, classes = learned[name]
        skill = min(sensitivity(accuracy, classes) / SURE, 1.0) ** 2 if accuracy > level else 0.0
        trust[i] = OF_ITS_OWN.get(name, NETWORK) * skill
        if not skill:
            gated[name] = (
                f"{name} is left out: its network names the right one of {accuracy:.0%} of "
                "held-out clips, which is no better than guessing."
            )
    return (trust, gated) if trust.any() else (np.ones(len(branches)), {})


def sensitivity(accuracy: float, classes: int) -> float:
    """The d' that names so many clips rightly: 0 at chance, the same skill whatever the classes.

    The right class gives a normal reading of mean d', each other one of mean 0, all of variance 1;
    the largest is named (Hacker and Ratcliff, "A revised table of d' for M-alternative forced
    choice", Perception & Psychophysics 26, 1979).

    Args:
        accuracy: share of clips whose class is named.
        classes: how many there are.
    """
    reading = np.linspace(-8.0, 16.0, 1201)

    def excess(d: float) -> float:
        density = norm.pdf(reading - d) * norm.cdf(reading) ** (classes - 1)
        return float(np.trapezoid(density, reading)) - accuracy

    if classes < 2 or excess(0.0) >= 0.0:
        return 0.0
    return MOST if excess(MOST) <= 0.0 else float(brentq(excess, 0.0, MOST))


def _mixing(
    rule: str,
    auc: Float[np.ndarray, "groups kinds branches"],
    normal: Sequence[Float[np.ndarray, "_clips branches"]],  # a pool of each group
    weights: Sequence[float],
) -> Float[np.ndarray, "groups branches"]:
    """The weights of the sum that each rule is."""
    groups, _, branches = auc.shape
    if rule in ("literal", "fixed"):
        weights = tuple(weights) or LITERAL_WEIGHTS
        if len(weights) != branches:
            raise UserError(
                f"The rule {rule!r} has {len(weights)} weights for {branches} branches; set "
                "config.scoring.weights to one number a branch."
            )
        return np.tile(np.asarray(weights, np.float64), (groups, 1))
    if rule == "equal" or not auc.shape[1]:
        return np.full((groups, branches), 1.0 / branches)
    return np.stack([_discriminant(a.mean(axis=0), z) for a, z in zip(auc, normal, strict=True)])


def _discriminant(
    auc: Float[np.ndarray, "branches"], normal: Float[np.ndarray, "clips branches"]
) -> Float[np.ndarray, "branches"]:
    """Non-negative weights that sum to 1: the skill of each branch against its overlap."""
    skill = np.maximum(auc - 0.5, 0.0) ** 2
    shrinkage = min(SHRINKAGE[0] + SHRINKAGE[1] / len(normal), 1.0)
    correlation = evidence.correlation(normal)
    mixed = (1.0 - shrinkage) * correlation + shrinkage * np.eye(len(auc))
    lower = np.linalg.cholesky(mixed)
    weights = nnls(lower.T, np.linalg.solve(lower, skill))[0]
    weights = np.where(weights < GATE * weights.sum(), 0.0, weights)
    weights = weights if weights.any() else np.ones_like(weights)  # no branch has any skill
    return weights / weights.sum()


def _explain(
    branches: tuple[str, ...],
    rule: str,
    mixing: Float[np.ndarray, "groups branches"],
    table: Mapping[str, Mapping[str, float]],
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Sentences on branches that are left out, and on what could not be known."""
    if rule != "discriminant":
        return {}, ()
    if not table:
        return {}, ("No weak pseudo-anomalies were given: all branches count alike.",)
    best = {b: max((auc[b], kind) for kind, auc in table.items()) for b in branches}
    leader = max(best, key=lambda b: best[b])
    if best[leader][0] < 0.55:
        note = (
            "No branch hears faint faults, made from held-out healthy clips (best: "
            f"{leader}, AUC {best[leader][0]:.2f}): the weights are a guess."
        )
        return {}, (note,)
    out = [b for i, b in enumerate(branches) if not mixing[:, i].any()]
    sentence = (
        "{} is left out: of faint faults, made from held-out healthy clips, it hears next to "
        "nothing (AUC {:.2f} at best, {}; {} has {:.2f})."
    )
    sentences = {b: sentence.format(b, *best[b], leader, best[leader][0]) for b in out}
    return sentences, ()


def _clips(normal: Names) -> int:
    return len(next(iter(normal.values()))) if normal else 0


def _check(
    normal: Names,
    weak: Mapping[str, Mapping[str, np.ndarray]],
    groups: Sequence[Group],
    rule: str,
) -> None:
    if rule not in RULES:
        raise UserError(f"scoring.rule is {rule!r}; known are {', '.join(RULES)}.")
    if not _clips(normal):
        raise UserError("An ensemble needs held-out normal clips of at least one branch.")
    kinds = {kind for scores in weak.values() for kind in scores}
    for branch, scores in normal.items():
        parts = {"held-out normals": scores, **weak.get(branch, {})}
        if weak and kinds - set(parts):
            raise UserError(f"Branch {branch!r} lacks weak scores of {sorted(kinds - set(parts))}.")
        for what, values in parts.items():
            if len(values) != len(groups):
                raise UserError(
                    f"Branch {branch!r} has {len(values)} scores of {what} for {len(groups)} clips."
                )
            if not np.isfinite(values).all():
                raise UserError(f"Branch {branch!r} has scores of {what} that are not finite.")
