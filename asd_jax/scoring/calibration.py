"""Honest scores of held-out normal clips: each by a scorer that has not seen it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int

from asd_jax.errors import UserError
from asd_jax.scoring import scorers


class CrossFit(NamedTuple):
    """Scorers of K folds and what they say of the held-out clips."""

    scores: Float[np.ndarray, "held"]
    fold: Int[np.ndarray, "held"]  # the fold of each held-out clip
    scorers: tuple[Any, ...]  # one a fold, fitted to all normal clips but that fold's

    def score(self, features: Float[Array | np.ndarray, "held dim"]) -> Float[np.ndarray, "held"]:
        """Scores variants of the same held-out clips, in their order, by the same scorers."""
        if len(features) != len(self.fold):
            raise UserError(f"{len(features)} variants of {len(self.fold)} held-out clips.")
        features, scores = np.asarray(features), np.zeros(len(self.fold))
        for number, scorer in enumerate(self.scorers):
            rows = np.flatnonzero(self.fold == number)
            scores[rows] = np.asarray(scorers.score(scorer, features[rows]))
        return scores


def cross_fit_scores(
    fit: Callable[[Float[np.ndarray, "clips dim"]], Any],
    features_fit: Float[Array | np.ndarray, "clips dim"] | None,
    features_held: Float[Array | np.ndarray, "held dim"],
    *,
    folds: int = 5,
    seed: int = 0,
) -> CrossFit:
    """Scores held-out clips out of fold, so that the final scorer may be fitted to all clips.

    Args:
        fit: makes a scorer from normal clips, say
            `functools.partial(scorers.fit, 'gaussian')`.
        features_fit: normal clips that train every fold's scorer; None or empty for none.
        features_held: normal clips that no network was trained on.
        folds: K, at most the number of held-out clips.
        seed: of the assignment to folds.

    Raises:
        UserError: there are no clips to fit a fold's scorer to.
    """
    held = np.asarray(features_held)
    base = held[:0] if features_fit is None else np.asarray(features_fit)
    folds = max(1, min(folds, len(held)))
    if not len(held) or len(base) + len(held) < 2 or (folds == 1 and not len(base)):
        raise UserError(
            f"{len(base)} training and {len(held)} held-out normal clips can't be cross-fitted; "
            "record more normal clips of this machine."
        )
    fold = np.random.default_rng(seed).permutation(np.arange(len(held)) % folds)
    fitted = tuple(fit(np.concatenate([base, held[fold != k]])) for k in range(folds))
    empty = CrossFit(np.zeros(len(held)), fold, fitted)
    return empty._replace(scores=empty.score(held))
