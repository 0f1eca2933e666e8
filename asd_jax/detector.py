"""What a finished run is for: waveforms in, anomaly scores and decisions out, whatever its recipe.

A detector is a folder of two files, `detector.json` (settings, machines, names) and `arrays.npz`
(every array, without pickle). It holds no training data beyond what a scorer itself is made of, and
no optimizer state.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Array, Float, Int

from asd_jax import recipes
from asd_jax.data.clips import UNKNOWN
from asd_jax.detector_folder import read_folder
from asd_jax.errors import UserError

Group = tuple[str, str]  # machine type and ID
SIZES = (1, 4, 16)  # of the batches that are compiled


class Detector(Protocol):
    """What every recipe's detector answers."""

    @property
    def config(self) -> Any:
        """The settings of the run that made it."""
        ...

    @property
    def groups(self) -> tuple[Group, ...]:
        """The machines that it knows; a group index points in here."""
        ...

    @property
    def samples(self) -> int:
        """Samples of one clip."""
        ...

    def score(self, clips: Sequence[tuple[str, np.ndarray, Sequence[int]]]) -> list[dict[str, Any]]:
        """Rows as scores.csv holds them, of (name, int16 waveform, groups that it may be of)."""
        ...

    def departure(
        self, wave: Float[Array, "batch samples"], group: Int[np.ndarray, "batch"]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Level in dB and its distance from normal in deviations, both `[batch, mels, frames]`."""
        ...

    def save(self, folder: str) -> None:
        """Writes the folder; an older one in its place is replaced file by file."""
        ...


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
    """1 above the threshold, 0 up to it, UNKNOWN where there is none."""
    return int(score > threshold) if np.isfinite(threshold) else UNKNOWN


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
