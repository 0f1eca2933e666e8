"""A folder of wav files to read, written once and left in the cache; standard library and NumPy."""

import os
import pathlib
import wave

import numpy as np

from tests.benchmarks.sounds import SAMPLES, waves

RATE = 16000


def folder() -> pathlib.Path:
    """Where the files are kept from run to run."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(base) / "asd_jax" / "benchmarks"


def written(clips: int, channels: int) -> list[str]:
    """Paths of ten-second PCM files at 16 kHz; every channel holds the same noise."""
    place = folder() / f"{clips}x{channels}"
    paths = [str(place / f"{i:04d}.wav") for i in range(clips)]
    size = 44 + 2 * SAMPLES * channels
    if all(os.path.exists(p) and os.path.getsize(p) == size for p in paths):
        return paths
    place.mkdir(parents=True, exist_ok=True)
    for path, samples in zip(paths, waves(clips), strict=True):
        with wave.open(path, "wb") as file:
            file.setparams((channels, 2, RATE, 0, "NONE", ""))
            file.writeframes(np.repeat(samples, channels).tobytes())
    os.sync()
    return paths


def forget(paths: list[str]) -> None:
    """Drops the files from the page cache: the next read is the disk's."""
    for path in paths:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
