"""The ensemble's detector: waveforms in, anomaly scores and decisions out."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Int16

from asd_jax.cached_program import CachedProgram
from asd_jax.detector import Detector, padded_batches
from asd_jax.detector_folder import (
    below,
    check_groups,
    check_names,
    check_variables,
    expect,
    restore_normaliser,
    unflatten_tree,
)
from asd_jax.features.logmel import LogMel
from asd_jax.recipes.ensemble import branches, heard, inference, networks
from asd_jax.recipes.ensemble.settings import Ensemble, Scoring
from asd_jax.runs.settings import from_config
from asd_jax.scoring import ensemble as ensembles
from asd_jax.scoring import scorers
from asd_jax.scoring.threshold import pooled
from asd_jax.types import Group, Tree

if TYPE_CHECKING:
    from asd_jax.report.contents import Heard

CLIPS = 256  # whose features are scored at once
_KNOWN = ("variables/", "scorers/", "normal_scores/", "thresholds", "frame_mean", "frame_std")


@dataclasses.dataclass(frozen=True)
class EnsembleDetector(Detector):
    """A trained and calibrated ensemble.

    Attributes:
        config: the settings of the run that made it.
        groups: the machines (type, ID) that it knows; a group index points in here.
        variables: of the networks by name, and the normaliser.
        scorers: by branch, one scorer a group.
        ensemble: calibrates and weighs the branches' scores.
        thresholds: decision threshold of each group, `[groups]`.
        normal_scores: held-out normal clips' scores of each group, ascending, for percentiles.
        frame_mean, frame_std: a normal frame's level in dB, `[groups, mels]`.
    """

    config: Ensemble
    groups: tuple[Group, ...]
    variables: Mapping[str, Tree]
    scorers: Mapping[str, Sequence[Any]]
    ensemble: ensembles.BranchWeights
    thresholds: np.ndarray
    normal_scores: tuple[np.ndarray, ...]
    frame_mean: np.ndarray
    frame_std: np.ndarray

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each branch in the score."""
        return dict(self.ensemble.weights)

    @property
    def notes(self) -> list[str]:
        """Describes the weights to a reader, in sentences."""
        return list(self.ensemble.reasons)

    @property
    def gated(self) -> dict[str, str]:
        """The branches that were left out, and why."""
        return dict(self.ensemble.gated)

    @property
    def spec(self) -> LogMel:
        """The front end."""
        return networks.front_end(self.config)

    @property
    def samples(self) -> int:
        """Samples of one clip."""
        return networks.clip_samples(self.config)

    def healthy(self, group: int) -> np.ndarray:
        """The scores that the threshold was set by, see `Detector`."""
        if self.config.scoring.rule == "literal":
            return self.normal_scores[group]
        return pooled(self.normal_scores, self.groups, group)

    def score_features(
        self, features: Mapping[str, np.ndarray], group: Int[np.ndarray, "clips"]
    ) -> tuple[Float[np.ndarray, "clips"], dict[str, Float[np.ndarray, "clips"]]]:
        """Scores each clip as the machine that it is of; returns the sums and raw scores by branch.

        By the program that scores waveforms, from the branches' features `[clips, dim]` on.
        """
        score = jax.jit(inference.make_scorer(self.ensemble))
        found = inference.detector_arrays({}, self.scorers, self.ensemble, self.groups)
        parts = []
        for start in range(0, max(1, len(group)), CLIPS):
            part = {name: features[name][start : start + CLIPS] for name in self.scorers}
            padded = {name: np.pad(x, ((0, CLIPS - len(x)), (0, 0))) for name, x in part.items()}
            own = group[start : start + CLIPS]
            scored = jax.device_get(score(found, padded))
            parts.append(jax.tree.map(lambda x, g=own: x[np.arange(len(g)), g], scored))
        whole = jax.tree.map(lambda *x: np.concatenate(x).astype(np.float64), *parts)
        return whole.score, whole.branches

    def score(self, clips: Sequence[tuple[str, np.ndarray, Sequence[int]]]) -> list[dict[str, Any]]:
        """Scores int16 clips of `samples` samples.

        Args:
            clips: (name, waveform, indices of the groups that it may be of).

        Returns:
            rows as scores.csv holds them, and `percentile`. Of several groups, the one that
            explains the clip best counts.
        """
        rows = []
        for part, waves in padded_batches(clips, self.samples):
            scored = jax.device_get(self._infer(waves))
            for i, (name, _, candidates) in enumerate(part):
                branch = {k: v[i] for k, v in scored.branches.items()}
                rows.append(self._best(name, scored.score[i], branch, candidates))
        return rows

    def heard(
        self, wave: Int16[np.ndarray, "samples"], row: Mapping[str, Any], group: int
    ) -> "Heard | None":
        """What the branch that adds most to the score has heard, see `Detector`."""
        return heard.heard(self, wave, row, group)

    def each_score(
        self, waves: Int16[np.ndarray, "clips samples"]
    ) -> Float[np.ndarray, "clips groups"]:
        """The score of each clip as each machine."""
        return np.asarray(self._infer(waves).score, np.float64)

    def program(
        self, rows: Sequence[int], packing: Any
    ) -> tuple[Callable[[Any, Array], Array], Any, list[str]]:
        """Returns what is exported, see `Detector`; without the branches that have no weight."""
        groups, whole = [self.groups[row] for row in rows], self.ensemble
        mixing = whole.mixing[[whole.groups.index(group) for group in groups]]
        weighed = np.asarray(mixing.any(axis=0))
        kept = [name for name, wanted in zip(whole.branches, weighed, strict=True) if wanted]
        tables = {name: getattr(whole, name)[:, weighed] for name in ("mean", "std", "mixing")}
        ensemble = dataclasses.replace(whole, branches=tuple(kept), **tables)
        # Only the branches count any more: weights and back-ends are in the arrays.
        config = dataclasses.replace(self.config, scoring=Scoring(branches=tuple(kept)))
        wanted = branches.needed(kept)
        arrays = inference.detector_arrays(
            {
                name: tree if name == "normaliser" else packing.network(tree)
                for name, tree in self.folded.items()
                if name in wanted
            },
            {name: [self.scorers[name][row] for row in rows] for name in kept},
            ensemble,
            groups,
        )
        arrays = arrays._replace(scorers=packing.scorers(arrays.scorers))
        infer = inference.make_inference(config, self.nets, self.spec, ensemble)
        dropped = [name for name in whole.branches if name not in kept]
        return (lambda found, wave: infer(found, wave).score), arrays, dropped

    @functools.cached_property
    def nets(self) -> networks.Networks:
        """The networks, without their variables."""
        return networks.build(self.config, len(self.groups))

    def _fold(self) -> Mapping[str, Tree]:
        if inference.is_folded(self.variables):
            return self.variables
        return inference.fold(self.nets, self.variables)

    def _infer(self, waves: Int16[np.ndarray, "clips samples"]) -> inference.Scores:
        return inference.Scores(*self._run(waves))

    @functools.cached_property
    def _run(self) -> CachedProgram:
        """Score and branches' scores of int16 waveforms, with every array as an argument."""

        def make() -> Any:
            infer = inference.make_inference(self.config, self.nets, self.spec, self.ensemble)
            return lambda found, waves: tuple(infer(found, waves))

        arrays = inference.detector_arrays(self.folded, self.scorers, self.ensemble, self.groups)
        return CachedProgram(make, arrays, self.about())

    def _best(
        self,
        name: str,
        score: Float[np.ndarray, "groups"],
        branch: Mapping[str, Float[np.ndarray, "groups"]],
        candidates: Sequence[int],
    ) -> dict[str, Any]:
        """The row of one clip under the candidate group with the lowest score."""
        groups = np.asarray(candidates)
        total, threshold = score[groups].astype(np.float64), self.thresholds[groups]
        # Scores of different machines are compared by their distance from their own threshold.
        at = int(np.argmin(np.where(np.isfinite(threshold), total - threshold, total)))
        group = int(groups[at])
        by_branch = {name: float(values[group]) for name, values in branch.items()}
        return self.row(name, group, total[at], threshold[at], branches=by_branch)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that `arrays.npz` holds, by name."""
        return {
            **super().arrays(),
            "thresholds": self.thresholds,
            **{
                f"scorers/{branch}/{number}/{name}": np.asarray(value)
                for branch, fitted in self.scorers.items()
                for number, scorer in enumerate(fitted)
                for name, value in scorers.to_arrays(scorer).items()
            },
        }

    def about(self) -> dict[str, Any]:
        """All but the arrays, as `detector.json` holds it."""
        return {
            **super().about(),
            "scorers": {b: [scorers.kind_of(s) for s in f] for b, f in self.scorers.items()},
            "ensemble": ensembles.to_dict(self.ensemble),
        }

    @classmethod
    def from_parts(
        cls, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> "EnsembleDetector":
        """The detector of what `read_folder` found.

        Raises:
            ValueError, KeyError: the arrays are not those that the settings ask for.
        """
        groups, config = check_groups(about["groups"]), from_config(Ensemble, about["config"])
        number, n_mels = len(groups), networks.front_end(config).n_mels
        check_names(arrays, _KNOWN)
        check_variables(below(arrays, "variables/"))
        fitted = {
            branch: [
                scorers.from_arrays(kind, below(arrays, f"scorers/{branch}/{number}/"))
                for number, kind in enumerate(kinds)
            ]
            for branch, kinds in about["scorers"].items()
        }
        for branch, by_group in fitted.items():
            scorers.check(branch, by_group, number)
        variables = unflatten_tree(below(arrays, "variables/"))
        variables["normaliser"] = restore_normaliser(variables.get("normaliser", {}))
        return cls(
            config=config,
            groups=groups,
            variables=variables,
            scorers=fitted,
            ensemble=ensembles.from_dict(about["ensemble"]),
            thresholds=expect(arrays, "thresholds", number, finite=False),
            normal_scores=tuple(expect(arrays, f"normal_scores/{g}", None) for g in range(number)),
            frame_mean=expect(arrays, "frame_mean", number, n_mels),
            frame_std=expect(arrays, "frame_std", number, n_mels),
        )


DETECTOR: type[Detector] = EnsembleDetector
