"""What held-out normals and weak pseudo-anomalies made from them say of each branch."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from asd_jax.scoring import metrics

# One clip too many in a group of few must not set the scale: its type's spread counts as this
# many clips more.
PRIOR_CLIPS = 1.0


def calibrate(
    scores: Float[np.ndarray, "clips branches"],
    group: Int[np.ndarray, "clips"],
    types: Sequence[str],
) -> tuple[Float[np.ndarray, "groups branches"], Float[np.ndarray, "groups branches"]]:
    """Mean and standard deviation of held-out normals' scores by group and branch.

    A group with no held-out clips takes both from its type, or from all; one with few shrinks its
    deviation a little towards theirs.

    Args:
        scores: of held-out normal clips.
        group: index of each clip's group into `types`.
        types: machine type of each group.
    """
    count, branches = len(types), scores.shape[1]
    mean, std = np.full((count, branches), np.nan), np.full((count, branches), np.nan)
    clips = np.bincount(group, minlength=count)
    for g in np.unique(group):
        own = scores[group == g]
        mean[g] = own.mean(0)
        if len(own) > 1:
            std[g] = own.std(0, ddof=1)
    centre, spread = mean.copy(), std.copy()
    for g, machine_type in enumerate(types):
        alike = [k for k in range(count) if types[k] == machine_type]
        pooled = _pooled_spread(std[alike], std)
        centre[g] = mean[g] if clips[g] else _pooled_mean(mean[alike], mean)
        own = max(clips[g] - 1.0, 0.0)
        square = np.where(np.isnan(std[g]), 0.0, std[g]) ** 2
        spread[g] = np.sqrt((own * square + PRIOR_CLIPS * pooled**2) / (own + PRIOR_CLIPS))
    return centre, np.where(spread > 0, spread, 1.0)


def weak_auc(
    normal: Float[np.ndarray, "clips branches"],
    weak: Float[np.ndarray, "kinds clips branches"],
    group: Int[np.ndarray, "clips"],
) -> Float[np.ndarray, "kinds branches"]:
    """AUC of weak variants of held-out normals against these normals, mean over groups.

    Args:
        normal: z-scores of the held-out normals.
        weak: of weak variants of the same clips, by kind.
        group: of each clip.
    """
    kinds, _, branches = weak.shape
    labels = {g: np.repeat([0, 1], np.sum(group == g)) for g in np.unique(group)}
    auc = np.full((kinds, branches), 0.5)
    for k in range(kinds):
        for b in range(branches):
            auc[k, b] = np.mean(
                [
                    metrics.auc(own, np.r_[normal[group == g, b], weak[k, group == g, b]])
                    for g, own in labels.items()
                ]
            )
    return auc


def stack(
    normal: Mapping[str, np.ndarray], weak: Mapping[str, Mapping[str, np.ndarray]]
) -> tuple[Float[np.ndarray, "clips branches"], tuple[str, ...], np.ndarray]:
    """Scores by name as arrays: normals, the kinds' names, weak `[kinds, clips, branches]`."""
    held = np.stack([np.asarray(v, np.float64) for v in normal.values()], axis=1)
    kinds = tuple(dict.fromkeys(k for branch in normal for k in weak.get(branch, {})))
    changed = [[np.asarray(weak[b][k], np.float64) for b in normal] for k in kinds]
    shape = (len(kinds), held.shape[1], held.shape[0])
    return held, kinds, np.reshape(changed, shape).swapaxes(1, 2)


def _pooled_spread(alike: np.ndarray, everywhere: np.ndarray) -> np.ndarray:
    """Geometric mean of the known deviations of a type, or of all groups, or 1."""
    pooled = np.ones(alike.shape[1])
    for b in range(alike.shape[1]):
        for candidates in (alike[:, b], everywhere[:, b]):
            known = candidates[np.isfinite(candidates) & (candidates > 0)]
            if len(known):
                pooled[b] = np.exp(np.mean(np.log(known)))
                break
    return pooled


def _pooled_mean(alike: np.ndarray, everywhere: np.ndarray) -> np.ndarray:
    known = alike if np.isfinite(alike).any() else everywhere
    return np.nanmean(known, axis=0)


def correlation(
    normal: Float[np.ndarray, "clips branches"],
) -> Float[np.ndarray, "branches branches"]:
    """Correlates the branches' z-scores on normals, about zero; 0 for a branch without spread."""
    square = normal.T @ normal / len(normal)
    scale = np.sqrt(np.maximum(np.diag(square), 1e-12))
    found = square / scale / scale[:, None]
    np.fill_diagonal(found, 1.0)
    return found
