"""What a finished run is for: waveforms in, anomaly scores and decisions out, whatever its recipe.

A detector is a folder of two files, `detector.json` (settings, machines, names) and `arrays.npz`
(every array, without pickle). It holds no training data beyond what a scorer itself is made of, and
no optimizer state.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Array, Float, Int

from asd_jax import recipes
from asd_jax.data.clips import UNKNOWN
from asd_jax.detector_folder import read_folder
from asd_jax.errors import UserError
from asd_jax.features.logmel import LogMel, log_mel
from asd_jax.scoring.threshold import percentile

Group = tuple[str, str]  # machine type and ID
SIZES = (1, 4, 16)  # of the batches that are compiled


class Detector:
    """What every recipe's detector has and answers.

    Attributes:
        config: the settings of the run that made it.
        groups: the machines that it knows; a group index points in here.
        spec: the spectrogram that reports show.
        samples: of one clip.
        normal_scores: normal clips' scores of each group, ascending, for percentiles.
        frame_mean, frame_std: a normal frame's level in dB, `[groups, mels]`.
    """

    config: Any
    groups: tuple[Group, ...]
    spec: LogMel
    samples: int
    normal_scores: tuple[np.ndarray, ...]
    frame_mean: np.ndarray
    frame_std: np.ndarray

    def score(self, clips: Sequence[tuple[str, np.ndarray, Sequence[int]]]) -> list[dict[str, Any]]:
        """Rows as scores.csv holds them, of (name, int16 waveform, groups that it may be of)."""
        raise NotImplementedError

    def percentiles(
        self, scores: Float[np.ndarray, "clips"], group: Int[np.ndarray, "clips"]
    ) -> Float[np.ndarray, "clips"]:
        """Share of the machine's normal clips with a lower score, in percent.

        Those are clips that nothing was trained on.
        """
        return np.array(
            [percentile(s, self.normal_scores[int(g)]) for s, g in zip(scores, group, strict=True)]
        )

    def departure(
        self, wave: Float[Array, "batch samples"], group: Int[np.ndarray, "batch"]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Level in dB and its distance from normal in deviations, both `[batch, mels, frames]`."""
        power = dataclasses.replace(self.spec, channels=("power",))
        level = np.asarray(log_mel(wave, spec=power))[..., 0]
        mean, std = self.frame_mean[group][..., None], self.frame_std[group][..., None]
        return level, (level - mean) / std


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
    """1 above the threshold, 0 up to it, UNKNOWN where there is none or the score is no number."""
    return int(score > threshold) if np.isfinite(threshold) and np.isfinite(score) else UNKNOWN


def load_detector(folder: str) -> Any:
    """The detector in a folder, of whatever recipe.

    Raises:
        UserError: the folder holds no detector, or one of an unknown recipe.
    """
    about, arrays = read_folder(folder)
    recipe = about.get("recipe")
    if recipe not in recipes.RECIPES:
        raise UserError(f"{folder} holds a detector of the recipe {recipe!r}, which is unknown.")
    return recipes.detector_class(recipe).from_parts(about, arrays)
