"""What a trained classifier is for: waveforms in, probabilities of an anomaly and decisions out."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int16

from asd_jax.cached_program import CachedProgram
from asd_jax.detector import Detector, padded_batches
from asd_jax.detector_folder import (
    below,
    check_groups,
    check_names,
    check_variables,
    expect,
    unflatten_tree,
)
from asd_jax.features.logmel import LogMel
from asd_jax.recipes.pump_classifier import network
from asd_jax.recipes.pump_classifier.settings import PumpClassifier
from asd_jax.runs.settings import from_config
from asd_jax.scoring.platt import AS_IT_IS, Platt
from asd_jax.types import Group, Tree

_KNOWN = (
    "variables/",
    "normal_scores/",
    "frame_mean",
    "frame_std",
    "calibration",
    "threshold",
)


@dataclasses.dataclass(frozen=True)
class ClassifierDetector(Detector):
    """A trained classifier with what is normal for each machine that it was trained on.

    Its score is the probability of an anomaly. It scores machines that it was not trained on too,
    which only a supervised detector can.

    Attributes:
        config: the settings of the run that made it.
        groups: the machines (type, ID) that it was trained on; a group index points in here, and
            -1 stands for any other machine.
        variables: of the network.
        normal_scores: validation normals' scores of each group, ascending, and last of all.
        calibration: from its logit to the probability.
        threshold: of the probability, for all machines; `thresholds` has it for each group.
        frame_mean, frame_std: a normal frame's level in dB, `[groups + 1, mels]`, the last of all.
    """

    config: PumpClassifier
    groups: tuple[Group, ...]
    variables: Tree
    normal_scores: tuple[np.ndarray, ...]
    frame_mean: np.ndarray
    frame_std: np.ndarray
    calibration: Platt = AS_IT_IS
    threshold: float = 0.5
    thresholds: np.ndarray = dataclasses.field(init=False)
    any_machine: ClassVar[bool] = True
    extrapolates: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "thresholds", np.full(len(self.groups), self.threshold))

    @property
    def spec(self) -> LogMel:
        """The spectrogram that reports show."""
        return network.display(self.config)

    @property
    def samples(self) -> int:
        """Samples of one clip."""
        return self.config.data.samples

    def _fold(self) -> Tree:
        if "folded" in self.variables:
            return self.variables
        return network.build(self.config).fold(self.variables)

    @functools.cached_property
    def _run(self) -> CachedProgram:
        """Returns the program that reads int16 waveforms, the folded variables as arguments."""
        return CachedProgram(
            lambda: network.reader(self.config, network.build(self.config)),
            self.folded,
            self.about(),
        )

    def each_score(self, waves: Int16[np.ndarray, "clips samples"]) -> Float[np.ndarray, "clips 1"]:
        """The probability of an anomaly of each clip, whichever machine it is."""
        return self.calibration(np.asarray(self._run(waves)["logit"]))[:, None]

    def program(
        self, rows: Sequence[int], packing: Any
    ) -> tuple[Callable[[Any, Array], Array], Any, list[str]]:
        """Returns what is exported, see `Detector`; whichever machines are wanted."""
        read = network.reader(self.config, network.build(self.config))
        slope, offset = self.calibration

        def score(found: Any, wave: Array) -> Float[Array, "batch 1"]:
            value = slope * read(found, wave)["logit"] + offset
            # The logistic function from exp alone: converters' own may be coarse far from 0.
            return 1.0 / (1.0 + jnp.exp(-value))[:, None]

        return score, packing.network(self.folded), []

    def score(self, clips: Sequence[tuple[str, np.ndarray, Sequence[int]]]) -> list[dict[str, Any]]:
        """Scores int16 clips of `samples` samples.

        Args:
            clips: (name, int16 `[samples]`, indices of the groups that it may be of); the groups
                only say what the clip is called and which normals it is ranked among.

        Returns:
            rows as scores.csv holds them, and `percentile`.
        """
        rows = []
        for part, waves in padded_batches(clips, self.samples):
            logit = np.asarray(self._run(waves)["logit"], np.float64)
            rows += [
                self._row(name, self.calibration(logit[i]), candidates)
                for i, (name, _, candidates) in enumerate(part)
            ]
        return rows

    def _row(self, name: str, score: float, candidates: Sequence[int]) -> dict[str, Any]:
        group = candidates[0] if len(candidates) == 1 else -1
        types = {self.groups[g][0] for g in candidates}
        machine = self.groups[group] if group >= 0 else (types.pop() if len(types) == 1 else "", "")
        return self.row(name, group, score, self.threshold, machine=machine)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that `arrays.npz` holds, by name."""
        return {
            **super().arrays(),
            "calibration": np.array(self.calibration, np.float64),
            "threshold": np.array(self.threshold, np.float64),
        }

    @classmethod
    def from_parts(
        cls, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> "ClassifierDetector":
        """The detector of what `read_folder` found.

        Raises:
            ValueError, KeyError: the arrays are not those that the settings ask for.
        """
        groups = check_groups(about["groups"])
        config = from_config(PumpClassifier, about["config"])
        check_names(arrays, _KNOWN)
        check_variables(below(arrays, "variables/"))
        rows, n_mels = len(groups) + 1, network.display(config).n_mels
        older = {"calibration": AS_IT_IS, "threshold": config.decision.threshold}
        older = {name: np.array(value, np.float64) for name, value in older.items()}
        arrays = {**older, **arrays}
        return cls(
            config=config,
            groups=groups,
            variables={"params": {}, "batch_stats": {}}
            | unflatten_tree(below(arrays, "variables/")),
            normal_scores=tuple(expect(arrays, f"normal_scores/{g}", None) for g in range(rows)),
            frame_mean=expect(arrays, "frame_mean", rows, n_mels),
            frame_std=expect(arrays, "frame_std", rows, n_mels),
            calibration=Platt(*map(float, expect(arrays, "calibration", 2))),
            threshold=float(expect(arrays, "threshold", finite=False)),
        )


DETECTOR: type[Detector] = ClassifierDetector
