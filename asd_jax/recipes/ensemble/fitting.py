"""Fits a branch's scorers, one a machine, with the options of its back-end.

The one place that fits: the scorers of the detector and those that cross-fitting tries out.
"""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from asd_jax.features.views import WEIGHTS, view_sizes
from asd_jax.recipes.ensemble.backends import Backend
from asd_jax.scoring import scorers
from asd_jax.scoring.scorers.features import unit_rows
from asd_jax.scoring.scorers.gaussian import group_residuals
from asd_jax.scoring.scorers.smote import oversample

LEAST = 2  # clips of a domain that make a scorer of its own


@dataclasses.dataclass(frozen=True)
class Branch:
    """All that a branch's scorers are fitted to.

    Attributes:
        name: of the branch.
        backend: its scorer and options.
        features: of all normal training clips.
        group: machine of each clip.
        domain: of each clip: 'source', 'target' or ''.
        classes: class of each clip in the identification task.
        prototypes: its class centres; None where the branch has none.
        unseen: clips that no network was trained on.
        members: networks whose embeddings stand side by side in the features.
    """

    name: str
    backend: Backend
    features: Float[np.ndarray, "clips dim"]
    group: Int[np.ndarray, "clips"]
    domain: np.ndarray
    classes: Int[np.ndarray, "clips"]
    prototypes: Float[np.ndarray, "classes centres dim"] | None = None
    unseen: Bool[np.ndarray, "clips"] | None = None
    members: int = 1

    def fit(self, group: int, without: Int[np.ndarray, "out"] | tuple[()] = ()) -> Any:
        """The scorer of a machine, by all of its clips but those at the rows `without`.

        Raises:
            UserError: features that are not finite, or no clips.
        """
        kept = np.ones(len(self.group), bool)
        kept[np.asarray(without, int)] = False
        rows = np.flatnonzero(kept & (self.group == group))
        features, domain = np.asarray(self.features[rows], np.float64), self.domain[rows]
        if self.backend.smote:
            features, domain = self._with_made(features, domain)
        options = self.backend.fit_options
        if self.backend.shared:
            options["residuals"] = self._residuals(kept)
        if self.backend.scorer == "embedding" and self.unseen is not None:
            options["unseen"] = self.unseen[rows]
        if self.backend.scorer == "views":
            options |= {"sizes": view_sizes(features.shape[1]), "weights": WEIGHTS}
            others = kept & (self.group != group)
            options["others"] = self._residuals(others) if others.any() else None
        if self.backend.scorer == "arcface" and self.prototypes is not None:
            own = np.unique(self.classes[rows])
            options["prototypes"] = self.prototypes[own].reshape(-1, self.prototypes.shape[-1])

        def detector_arrays(part: np.ndarray) -> Any:
            own = [part]
            if self.backend.scorer == "embedding":  # each network's by itself, as it was trained
                own = np.split(part, self.members, axis=1)
            found = [scorers.fit(self.backend.scorer, x, name=self.name, **options) for x in own]
            return found[0] if len(found) == 1 else scorers.Mean(tuple(found))

        parts = [domain == d for d in np.unique(domain) if np.sum(domain == d) >= LEAST]
        if self.backend.domains == "pooled" or len(parts) < 2:
            return detector_arrays(features)
        return scorers.Nearest(tuple(detector_arrays(features[part]) for part in parts))

    def _with_made(self, features: np.ndarray, domain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The clips, and target clips made up until there are the wished share of them."""
        target = domain == "target"
        missing = round(self.backend.smote * np.sum(~target)) - np.sum(target)
        made = oversample(features[target], int(missing))
        features = np.concatenate([features, made])
        return features, np.concatenate([domain, np.full(len(made), "target", domain.dtype)])

    def _residuals(self, kept: np.ndarray) -> np.ndarray:
        """All machines' clips less their machine's mean; of each domain's where these part."""
        features = np.asarray(self.features[kept], np.float64)
        group, domain = self.group[kept], self.domain[kept]
        apart = self.backend.domains == "minimum"
        names = [f"{g} {d}" if apart else str(g) for g, d in zip(group, domain, strict=True)]
        return group_residuals(unit_rows(features) if self.backend.l2 else features, names)
