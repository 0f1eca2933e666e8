"""What a finished run is for: waveforms in, anomaly scores and decisions out, whatever its recipe.

A detector is a folder of two files, `detector.json` (settings, machines, names) and `arrays.npz`
(every array, without pickle). It holds no training data beyond what a scorer itself is made of, and
no optimizer state.
"""

import abc
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Array, Float, Int, Int16

from asd_jax import recipes
from asd_jax.data.clips import UNKNOWN
from asd_jax.detector_folder import flatten_tree, read_folder, understood, write_folder
from asd_jax.errors import UserError
from asd_jax.features import host
from asd_jax.features.logmel import LogMel, frame_times, mel_frequencies
from asd_jax.scoring.threshold import percentile, tail
from asd_jax.types import Group, Tree

if TYPE_CHECKING:
    from asd_jax.report.contents import Heard, Picture

SIZES = (1, 4, 16)  # of the batches that are compiled
LONGEST = 1 << 28  # samples of a clip, beyond which a detector's settings are damage


class Detector(abc.ABC):
    """Base class of every recipe's detector.

    Attributes:
        config: the settings of the run that made it.
        groups: the machines that it knows; a group index points in here.
        variables: of its networks, and what else was learned with them.
        thresholds: of the decision, `[groups]`; not finite where a group has none.
        normal_scores: normal clips' scores of each group, ascending, for percentiles.
        frame_mean, frame_std: a normal frame's level in dB, `[groups, mels]`.
        any_machine: a clip has one score, whichever machine it is of.
        extrapolates: scores have a tail beyond the largest healthy one; a probability has none.
    """

    config: Any
    groups: tuple[Group, ...]
    variables: Tree
    thresholds: np.ndarray
    normal_scores: tuple[np.ndarray, ...]
    frame_mean: np.ndarray
    frame_std: np.ndarray

    any_machine: ClassVar[bool] = False
    extrapolates: ClassVar[bool] = True

    @property
    @abc.abstractmethod
    def spec(self) -> LogMel:
        """The spectrogram that reports show."""

    @property
    @abc.abstractmethod
    def samples(self) -> int:
        """Samples of one clip."""

    @abc.abstractmethod
    def score(self, clips: Sequence[tuple[str, np.ndarray, Sequence[int]]]) -> list[dict[str, Any]]:
        """Rows as scores.csv holds them, of (name, int16 `[samples]`, its possible groups)."""

    @abc.abstractmethod
    def each_score(
        self, waves: Int16[np.ndarray, "clips samples"]
    ) -> Float[np.ndarray, "clips machines"]:
        """The score of each clip as each machine; one column where all machines share it."""

    @abc.abstractmethod
    def program(
        self, rows: Sequence[int], packing: Any
    ) -> tuple[Callable[[Any, Array], Float[Array, "batch machines"]], Any, list[str]]:
        """Returns what is exported: `score(arrays, waves)`, its arrays, and names left out.

        Args:
            rows: the groups that are wanted.
            packing: stores networks and scorers in fewer bits, see `deploy.weights.Packing`.
        """

    @classmethod
    @abc.abstractmethod
    def from_parts(cls, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "Detector":
        """The detector of what `detector_folder.read_folder` found.

        Raises:
            ValueError, KeyError: the arrays are not those that the settings ask for.
        """

    @functools.cached_property
    def folded(self) -> Tree:
        """The variables as its folder has them; raises whatever those of another network raise."""
        return self._fold()

    def _fold(self) -> Tree:
        """The variables with BatchNorm in the filters, where there is any."""
        return self.variables

    def save(self, folder: str) -> None:
        """Writes the folder that `load_detector` reads; an older one is replaced file by file."""
        write_folder(folder, self.about(), self.arrays())

    def about(self) -> dict[str, Any]:
        """All but the arrays, as `detector.json` holds it."""
        return {
            "recipe": self.config.recipe,
            "config": dataclasses.asdict(self.config),
            "groups": [list(group) for group in self.groups],
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """All that `arrays.npz` holds, by name."""
        return {
            **flatten_tree({"variables": self.folded}),
            **{f"normal_scores/{number}": value for number, value in enumerate(self.normal_scores)},
            **{name: getattr(self, name) for name in ("frame_mean", "frame_std")},
        }

    def row(
        self,
        name: str,
        group: int,
        score: float,
        threshold: float,
        *,
        machine: Group | None = None,
        branches: Mapping[str, float] | None = None,
    ) -> dict[str, Any]:
        """The row of one clip, as scores.csv holds it.

        Args:
            name: of the clip.
            group: whose healthy clips it is ranked among.
            score: of the clip; higher is more anomalous.
            threshold: of the decision; not finite for none.
            machine: what the clip is said to be of, if not that group.
            branches: more scores, each for a column `score_<name>`.
        """
        machine_type, machine_id = machine or self.groups[group]
        return {
            "path": name,
            "machine_type": machine_type,
            "machine_id": machine_id,
            "domain": "",
            "label": UNKNOWN,
            "score": float(score),
            **{f"score_{branch}": float(value) for branch, value in (branches or {}).items()},
            "threshold": float(threshold),
            "decision": decide(score, threshold),
            "percentile": percentile(score, self.normal_scores[group]),
            **self.rarity(score, group),
        }

    def percentiles(
        self, scores: Float[np.ndarray, "clips"], group: Int[np.ndarray, "clips"]
    ) -> Float[np.ndarray, "clips"]:
        """Share of the machine's normal clips with a lower score, in percent.

        Those are clips that nothing was trained on.
        """
        return np.array(
            [percentile(s, self.normal_scores[int(g)]) for s, g in zip(scores, group, strict=True)]
        )

    def healthy(self, group: int) -> np.ndarray:
        """Scores `[clips]` of the held-out healthy clips that a machine's clip is compared with."""
        return self.normal_scores[group]

    def rarity(self, score: float, group: int) -> dict[str, Any]:
        """How rare a score is among healthy clips: the same unit for all machines and runs.

        Returns:
            `tail`, see `scoring.threshold.tail`, and `healthy_clips`, how many it was found with.
        """
        healthy = self.healthy(group)
        found = tail(float(score), healthy, beyond=self.extrapolates)
        return {"tail": found, "healthy_clips": len(healthy)}

    def heard(
        self, wave: Int16[np.ndarray, "samples"], row: Mapping[str, Any], group: int
    ) -> "Heard | None":
        """What the part of the score that counts most has heard of a clip; None: it can't tell.

        Args:
            wave: the clip.
            row: of it, see `score`.
            group: its machine.
        """
        return None

    def picture(
        self, wave: Int16[np.ndarray, "samples"], group: int, heard: "Heard | None" = None
    ) -> "Picture":
        """Level in dB and its distance from what is normal for a machine, in deviations.

        Args:
            wave: the clip.
            group: its machine.
            heard: of the clip, see `heard`.
        """
        from asd_jax.report.contents import Picture

        level = host.level(wave, self.spec)
        mean, std = self.frame_mean[group][:, None], self.frame_std[group][:, None]
        return Picture(
            spectrogram=level,
            deviation=(level - mean) / std,
            mel_frequencies=mel_frequencies(self.spec),
            frame_times=frame_times(self.spec, level.shape[1]),
            normal_db=mean[:, 0],
            audio=wave,
            sample_rate=self.spec.sample_rate,
            heard=heard,
        )


def padded_batches(
    clips: Sequence[tuple[str, np.ndarray, Sequence[int]]], samples: int
) -> Iterator[tuple[Sequence[tuple], np.ndarray]]:
    """The clips in batches of a few sizes, so that few programs are compiled.

    Yields:
        some of the clips, and their waveforms `[size, samples]` with silence at the end.
    """
    start = 0
    while start < len(clips):
        left = len(clips) - start
        size = next((s for s in SIZES if s >= left), SIZES[-1])
        part = clips[start : start + size]
        waves = np.zeros((size, samples), np.int16)
        waves[: len(part)] = np.stack([wave for _, wave, _ in part])
        yield part, waves
        start += size


def decide(score: float, threshold: float) -> int:
    """Returns 1 above the threshold, 0 up to it, UNKNOWN unless both are finite."""
    return int(score > threshold) if np.isfinite(threshold) and np.isfinite(score) else UNKNOWN


def load_detector(folder: str) -> Detector:
    """The detector in a folder, of whatever recipe.

    Raises:
        UserError: the folder holds no detector, or one of an unknown recipe.
    """
    about, arrays = read_folder(folder)
    recipe = about.get("recipe")
    if not isinstance(recipe, str) or recipe not in recipes.RECIPES:
        raise UserError(f"{folder} holds a detector of the recipe {recipe!r}, which is unknown.")
    with understood(folder):
        detector = recipes.detector_class(recipe).from_parts(about, arrays)
        if not 0 < detector.samples <= LONGEST:
            raise ValueError(f"its clips have {detector.samples} samples")
        _ = detector.folded  # of networks that do not fit the settings, too
    return detector
