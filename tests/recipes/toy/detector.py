"""What a run of the toy recipe leaves: waveforms in, anomaly scores and decisions out."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int16

from asd_jax.detector import Detector, padded_batches
from asd_jax.detector_folder import below, flatten_tree, unflatten_tree
from asd_jax.features.logmel import LogMel
from asd_jax.runs.settings import from_config
from asd_jax.scoring import scorers
from asd_jax.types import Group
from tests.recipes.toy import network
from tests.recipes.toy.settings import MeanLevel


@dataclasses.dataclass(frozen=True)
class MeanLevelDetector(Detector):
    """The trained network, and a Gaussian and a threshold a machine; attributes of `Detector`."""

    config: MeanLevel
    groups: tuple[Group, ...]
    variables: Any
    gaussians: tuple[scorers.gaussian.Gaussian, ...]
    thresholds: np.ndarray
    normal_scores: tuple[np.ndarray, ...]
    frame_mean: np.ndarray
    frame_std: np.ndarray

    @property
    def spec(self) -> LogMel:
        """The front end."""
        return network.front_end(self.config)

    @property
    def samples(self) -> int:
        """Samples of one clip."""
        return network.samples(self.config)

    @functools.cached_property
    def _read(self) -> Callable[[Any, Any], dict[str, jax.Array]]:
        return network.reader(self.config)

    def each_score(
        self, waves: Int16[np.ndarray, "clips samples"]
    ) -> Float[np.ndarray, "clips groups"]:
        """The score of each clip as each machine."""
        residual = self._read(self.variables, waves)["residual"]
        return np.stack([scorers.score(g, residual) for g in self.gaussians], 1, dtype=np.float64)

    def program(
        self, rows: Sequence[int], packing: Any
    ) -> tuple[Callable[[Any, Array], Array], Any, list[str]]:
        """What is exported: score(arrays, waves), its arrays, and nothing left out."""
        read = network.reader(self.config)

        def score(found: Any, wave: Array) -> Float[Array, "batch machines"]:
            residual = read(found["variables"], wave)["residual"]
            return jnp.stack([scorers.score(g, residual) for g in found["gaussians"]], axis=1)

        arrays = {
            "variables": packing.network(self.variables),
            "gaussians": packing.scorers([self.gaussians[row] for row in rows]),
        }
        return score, arrays, []

    def score(self, clips: Sequence[tuple[str, np.ndarray, Sequence[int]]]) -> list[dict[str, Any]]:
        """Rows as scores.csv holds them; of several machines the one that explains a clip best."""
        return [
            self._row(name, scores, candidates)
            for part, waves in padded_batches(clips, self.samples)
            for (name, _, candidates), scores in zip(part, self.each_score(waves), strict=False)
        ]

    def _row(self, name: str, scores: np.ndarray, candidates: Sequence[int]) -> dict[str, Any]:
        group = min(candidates, key=lambda g: scores[g] - self.thresholds[g])
        return self.row(name, group, scores[group], self.thresholds[group])

    def arrays(self) -> dict[str, np.ndarray]:
        """All that `arrays.npz` holds, by name."""
        gaussians = {str(g): scorers.to_arrays(value) for g, value in enumerate(self.gaussians)}
        own = {"gaussians": gaussians, "thresholds": self.thresholds}
        return {**super().arrays(), **flatten_tree(own)}

    @classmethod
    def from_parts(
        cls, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> "MeanLevelDetector":
        """The detector of what `detector_folder.read_folder` found."""
        groups = tuple((g[0], g[1]) for g in about["groups"])
        return cls(
            config=from_config(MeanLevel, about["config"]),
            groups=groups,
            variables=unflatten_tree(below(arrays, "variables/")),
            gaussians=tuple(
                scorers.from_arrays("gaussian", below(arrays, f"gaussians/{g}/"))
                for g in range(len(groups))
            ),
            normal_scores=tuple(arrays[f"normal_scores/{g}"] for g in range(len(groups))),
            **{name: arrays[name] for name in ("thresholds", "frame_mean", "frame_std")},
        )


DETECTOR: type[Detector] = MeanLevelDetector
