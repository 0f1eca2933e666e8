"""One score from several branches, weighed without a single anomaly.

`literal` is the paper's raw weighted sum (Liao et al., eq. 9: 0.9 and 0.1 on raw negative
log-likelihoods). `recommended` z-scores each branch on held-out normals of the same machine and
takes the largest of

- each branch's z-score, handicapped by 1.5 log(strength): a branch must lie further beyond normal
  the less it has shown. Its strength, in [0, 1], is how much it rises from a held-out normal clip
  to a weak pseudo-anomaly made from that clip, shrunk by its standard error, against the branch
  that rises most; the kind of pseudo-anomaly that it hears best counts;
- the sum of all z-scores by (AUC - 0.5)^2, AUC against weak pseudo-anomalies, in units of its own
  deviation on normals: it gains where branches agree.

A sum alone dilutes the branch that hears a fault by those that don't. MEASURED
"""

import dataclasses
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from asd_jax.errors import UserError
from asd_jax.scoring import evidence

RULES = ("recommended", "literal", "fixed", "equal", "power", "lda", "max", "fisher")
LITERAL_WEIGHTS = (0.9, 0.1)  # fusion, statistics
HANDICAP = 1.5  # standard deviations per factor e of strength
GATE = 0.1  # a weaker branch is left out: its handicap would be 3.5 deviations or more
AUDIBLE = 0.3  # a kind that moves no branch by so many deviations ranks nothing
EXCLUDED = -1e9

Group = tuple[str, ...]
Names = Mapping[str, Float[np.ndarray, "clips"]]


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """Calibration and weights of branches, by group.

    Attributes:
        rule: one of `RULES`.
        branches: their names, in the order of all arrays.
        groups: (machine_type, machine_id) of each row.
        mean, std: of held-out normals' scores, `[groups, branches]`.
        strength: handicaps of 'recommended' and 'max', `[groups, branches]` in [0, 1].
        mixing: weights of the sum, `[groups, branches]`.
        shape: of the gamma distribution that fits each branch's normals ('fisher'), `[branches]`.
        weak_auc: AUC of each branch against each kind of weak pseudo-anomaly.
        gated: the branches left out, and a sentence why.
        notes: sentences on what could not be known.
    """

    rule: str
    branches: tuple[str, ...]
    groups: tuple[Group, ...]
    mean: np.ndarray
    std: np.ndarray
    strength: np.ndarray
    mixing: np.ndarray
    shape: np.ndarray
    weak_auc: dict[str, dict[str, float]]
    gated: dict[str, str]
    notes: tuple[str, ...] = ()

    @property
    def weights(self) -> dict[str, float]:
        """Each branch's share in the score, mean over groups; they sum to 1 ('literal': as given).

        For 'recommended' and 'max' the shares of strength, for the others those of the sum.
        """
        table = self.strength if self.rule in ("recommended", "max") else self.mixing
        total = 1.0 if self.rule == "literal" else table.sum(1, keepdims=True)
        return dict(zip(self.branches, map(float, np.mean(table / total, axis=0)), strict=True))

    @property
    def reasons(self) -> list[str]:
        """All that a reader should know about the weights, in sentences."""
        return [*self.gated.values(), *self.notes]


def fit_ensemble(
    normal: Names,
    weak: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    groups: Sequence[Group] | None = None,
    *,
    rule: str = "recommended",
    weights: Sequence[float] = (),
    robust: bool = False,
    pool: str = "type",
) -> Ensemble:
    """Calibrates and weighs branches by held-out normal clips.

    Args:
        normal: by branch, the scores of held-out normal clips, each by a scorer that has not
            seen the clip (`calibration.cross_fit_scores`).
        weak: by branch and kind, the scores of weak pseudo-anomalies made from the same clips, in
            the same order, by the same scorers.
        groups: (machine_type, machine_id) of each clip; None: one machine.
        rule: one of `RULES`. 'power': (AUC - 0.5)^2; 'lda': the non-negative discriminant of the
            mean rise; 'max': the largest z-score of branches of strength 0.25 and more; 'fisher':
            the sum of -log p; 'fixed' and 'literal' take `weights`, on z-scores and raw scores.
        weights: of 'fixed' and 'literal', one a branch; () is 0.9 and 0.1 for two branches.
        robust: calibrate by median and median absolute deviation.
        pool: gather evidence over the machines of a 'type', over 'all', or by 'group'. Types that
            differ cost 'all' 0.01 on average; 'group' costs 0.001.

    Raises:
        UserError: scores that don't match or aren't finite, an unknown rule, missing weights.
    """
    groups = [("machine", "")] * _clips(normal) if groups is None else groups
    _check(normal, weak or {}, groups, rule, pool)
    names = tuple(dict.fromkeys(tuple(map(str, group)) for group in groups))
    index = np.array([names.index(tuple(map(str, group))) for group in groups])
    held, kinds, changed = evidence.stack(normal, weak or {})
    types = [name[0] for name in names]
    mean, std = evidence.calibrate(held, index, types, robust=robust)
    z, weak_z = (held - mean[index]) / std[index], (changed - mean[index]) / std[index]
    gathered = [
        evidence.gather(z[rows], weak_z[:, rows], index[rows])
        for rows in _pools(index, types, pool)
    ]
    strength = np.stack([_strength(e) for e in gathered])
    auc = np.mean([e.auc for e in gathered], axis=0)
    table = {k: dict(zip(normal, map(float, auc[i]), strict=True)) for i, k in enumerate(kinds)}
    linear = _linear(rule, gathered, strength, weights)
    gated, notes = _explain(tuple(normal), rule, strength, table)
    return Ensemble(
        rule=rule,
        branches=tuple(normal),
        groups=names,
        mean=mean,
        std=std,
        strength=strength,
        mixing=linear,
        shape=_gamma_shape(z),
        weak_auc=table,
        gated=gated,
        notes=notes,
    )


def combine(
    ensemble: Ensemble, scores: Names, groups: Sequence[Group] | None = None
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
    return _combine(ensemble, stacked, group_index(ensemble, groups, len(stacked)), np)


def combine_array(
    ensemble: Ensemble,
    scores: Float[Array, "clips branches"],
    group: Int[Array, "clips"],
) -> Float[Array, "clips"]:
    """`combine` as a pure function, for a detector that is one jitted program.

    Args:
        ensemble: closed over as constants.
        scores: raw, branches in the ensemble's order.
        group: row of each clip's machine in `ensemble.groups`.
    """
    return _combine(ensemble, scores, group, jnp)


def group_index(
    ensemble: Ensemble, groups: Sequence[Group] | None, clips: int
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
        known = ", ".join(" ".join(name) for name in ensemble.groups)
        raise UserError(f"Machine {' '.join(unknown[0])!r} is not known; known are {known}.")
    return np.array([rows[group] for group in wanted], np.int64)


def to_dict(ensemble: Ensemble) -> dict[str, Any]:
    """The ensemble as JSON can hold it."""
    values = {f.name: getattr(ensemble, f.name) for f in dataclasses.fields(ensemble)}
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}


def from_dict(values: Mapping[str, Any]) -> Ensemble:
    """The ensemble that `to_dict` wrote; raises UserError when a field is missing."""
    arrays = ("mean", "std", "strength", "mixing", "shape")
    try:
        fields = {f.name: values[f.name] for f in dataclasses.fields(Ensemble)}
    except KeyError as error:
        raise UserError(f"A stored ensemble lacks {error}; train the detector again.") from error
    fields |= {name: np.asarray(fields[name], np.float64) for name in arrays}
    fields |= {name: tuple(fields[name]) for name in ("branches", "notes")}
    fields["groups"] = tuple(tuple(group) for group in fields["groups"])
    return Ensemble(**fields)


def _combine(ensemble: Ensemble, scores: Any, group: Any, xp: ModuleType) -> Any:
    pick = {k: xp.asarray(getattr(ensemble, k))[group] for k in ("mean", "std", "mixing")}
    if ensemble.rule == "literal":
        return xp.sum(scores * pick["mixing"], axis=1)
    z = (scores - pick["mean"]) / pick["std"]
    strength = ensemble.strength
    if ensemble.rule == "max":
        return xp.max(z + xp.asarray(np.where(strength >= 0.25, 0.0, EXCLUDED))[group], axis=1)
    if ensemble.rule == "fisher":
        return xp.sum(_surprise(z, ensemble.shape, xp) * pick["mixing"], axis=1)
    total = xp.sum(z * pick["mixing"], axis=1)
    if ensemble.rule != "recommended":
        return total
    handicap = np.where(strength >= GATE, HANDICAP * np.log(np.maximum(strength, GATE)), EXCLUDED)
    return xp.maximum(xp.max(z + xp.asarray(handicap)[group], axis=1), total)


def _surprise(z: Any, shape: np.ndarray, xp: ModuleType) -> Any:
    """-log of the upper tail of a gamma distribution, by Wilson and Hilferty's cube root."""
    if xp is np:
        from scipy.special import log_ndtr
    else:
        from jax.scipy.special import log_ndtr
    ratio = xp.maximum(z / np.sqrt(shape) + 1.0, 0.0)
    deviate = 3.0 * np.sqrt(shape) * (xp.cbrt(ratio) - 1.0 + 1.0 / (9.0 * shape))
    return -log_ndtr(-deviate)


def _strength(found: evidence.Evidence) -> Float[np.ndarray, "branches"]:
    """Each branch's rise over that of the best branch, at the kind that it hears best."""
    # Shrunk by its uncertainty: a noisy rise is no evidence, and no evidence against it either.
    square = found.shift**2
    rise = np.maximum(found.shift, 0.0) * square / np.maximum(square + found.error**2, 1e-24)
    best = rise.max(axis=1) if rise.size else np.zeros(0)
    if not best.any():
        return np.ones(rise.shape[1])
    heard = best >= min(AUDIBLE, 0.25 * best.max())
    return (rise[heard] / best[heard, None]).max(axis=0)


def _linear(
    rule: str,
    gathered: Sequence[evidence.Evidence],
    strength: Float[np.ndarray, "groups branches"],
    weights: Sequence[float],
) -> Float[np.ndarray, "groups branches"]:
    """Weights of the sum that each rule contains."""
    branches = strength.shape[1]
    if rule in ("literal", "fixed"):
        weights = tuple(weights) or LITERAL_WEIGHTS
        if len(weights) != branches:
            raise UserError(
                f"The rule {rule!r} has {len(weights)} weights for {branches} branches; set "
                "config.scoring.weights to one number a branch."
            )
        return np.tile(np.asarray(weights, np.float64), (len(strength), 1))
    if rule == "fisher":
        return (strength >= 0.25).astype(np.float64)
    if rule == "equal":
        return np.full(strength.shape, 1.0 / branches)
    rows = [_discriminant(e) if rule == "lda" else _power(e) for e in gathered]
    if rule in ("power", "lda"):
        return np.stack([w / w.sum() for w in rows])
    deviations = [np.sqrt(w @ e.correlation @ w) for w, e in zip(rows, gathered, strict=True)]
    return np.stack([w / max(d, 1e-12) for w, d in zip(rows, deviations, strict=True)])


def _power(found: evidence.Evidence) -> Float[np.ndarray, "branches"]:
    """(AUC - 0.5)^2, AUC the mean over kinds; equal where no branch is above chance."""
    if not len(found.auc):
        return np.ones(found.auc.shape[1])
    weights = np.maximum(found.auc.mean(0) - 0.5, 0.0) ** 2
    return weights if weights.any() else np.ones_like(weights)


def _discriminant(found: evidence.Evidence) -> Float[np.ndarray, "branches"]:
    """Non-negative w that maximises rise over deviation, correlations shrunk by 0.3."""
    from scipy.optimize import nnls

    branches = found.shift.shape[1]
    rise = np.maximum(found.shift - found.error, 0.0).mean(0) if len(found.shift) else 0.0
    if not np.any(rise):
        return np.ones(branches)
    lower = np.linalg.cholesky(0.7 * found.correlation + 0.3 * np.eye(branches))
    return nnls(lower.T, np.linalg.solve(lower, rise))[0]


def _gamma_shape(z: Float[np.ndarray, "clips branches"]) -> Float[np.ndarray, "branches"]:
    """4 / skewness^2 over all groups, skewness shrunk for few clips."""
    deviation = np.maximum(z.std(0), 1e-12)
    skew = np.mean(((z - z.mean(0)) / deviation) ** 3, axis=0) * len(z) / (len(z) + 10.0)
    return 4.0 / np.clip(skew, 0.05, 2.0) ** 2


def _pools(index: np.ndarray, types: Sequence[str], pool: str) -> list[np.ndarray]:
    """For each group, the rows of the clips whose evidence counts for it."""
    names = np.asarray(types)
    rows = []
    for g, machine_type in enumerate(types):
        own = {"type": names[index] == machine_type, "all": index >= 0, "group": index == g}[pool]
        rows.append(np.flatnonzero(own))
    return rows


def _explain(
    branches: tuple[str, ...],
    rule: str,
    strength: Float[np.ndarray, "groups branches"],
    table: Mapping[str, Mapping[str, float]],
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Sentences on branches that are left out, and on what could not be known."""
    if rule in ("literal", "fixed", "equal"):
        return {}, ()
    if not table:
        return {}, ("No weak pseudo-anomalies were given: all branches count alike.",)
    best = {b: max((auc[b], kind) for kind, auc in table.items()) for b in branches}
    leader = max(best, key=lambda b: best[b])
    if best[leader][0] < 0.55:
        note = (
            "No branch tells weak pseudo-anomalies from held-out normals (best: "
            f"{leader}, AUC {best[leader][0]:.2f}): the weights are a guess."
        )
        return {}, (note,)
    floor = GATE if rule == "recommended" else 0.25
    out = [b for i, b in enumerate(branches) if (strength[:, i] < floor).all()]
    sentence = (
        "{} is left out: it hardly tells weak pseudo-anomalies from held-out normals "
        "(AUC {:.2f} at best, {}; {} has {:.2f})."
    )
    told = {b: sentence.format(b, *best[b], leader, best[leader][0]) for b in out}
    return told, ()


def _clips(normal: Names) -> int:
    return len(next(iter(normal.values()))) if normal else 0


def _check(
    normal: Names,
    weak: Mapping[str, Mapping[str, np.ndarray]],
    groups: Sequence[Group],
    rule: str,
    pool: str,
) -> None:
    if rule not in RULES:
        raise UserError(f"scoring.rule is {rule!r}; known are {', '.join(RULES)}.")
    if pool not in ("type", "all", "group"):
        raise UserError(f"pool is {pool!r}; known are type, all, group.")
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
