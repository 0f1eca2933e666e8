"""librosa's log-mel, clip by clip, in so many processes: what most pipelines run in advance."""

import concurrent.futures
import multiprocessing
from typing import Any

import librosa
import numpy as np

from tests.benchmarks.protocol import Work, end_with_parent
from tests.benchmarks.sounds import waves

RATE, N_FFT, HOP, MELS, FLOOR = 16000, 2048, 512, 224, 1e-10
STFT = {"n_fft": N_FFT, "hop_length": HOP, "pad_mode": "constant"}

_clips: np.ndarray | None = None
_filters: np.ndarray | None = None


def start(batch: int) -> None:
    """What a process of the pool holds: the clips and the filters."""
    global _clips, _filters
    end_with_parent()
    _clips = waves(batch)
    _filters = librosa.filters.mel(sr=RATE, n_fft=N_FFT, n_mels=MELS)


def level(wave: np.ndarray, channels: int) -> np.ndarray:
    """`[mels, frames, channels]` in dB of one int16 clip."""
    x = wave.astype(np.float32) / 32768
    if channels == 1:
        mel = librosa.feature.melspectrogram(y=x, sr=RATE, n_mels=MELS, **STFT)
        return librosa.power_to_db(mel, amin=FLOOR, top_db=None)[..., None]
    magnitude = np.abs(librosa.stft(x, **STFT))
    power = librosa.power_to_db(_filters @ magnitude**2, amin=FLOOR, top_db=None)
    loud = librosa.amplitude_to_db(_filters @ magnitude, amin=FLOOR**0.5, top_db=None)
    return np.stack([power, loud], axis=-1)


def part(clips: range, channels: int) -> int:
    """Spectrograms of some clips; they stay in the process, as files would."""
    return len([level(_clips[i], channels) for i in clips])


def first(channels: int) -> np.ndarray:
    """The first clip's spectrogram, to compare."""
    return level(_clips[0], channels)


def build(variant: dict[str, Any], program: dict[str, Any]) -> Work:
    """The batch split over the processes."""
    processes, batch, channels = variant["processes"], program["batch"], program["channels"]
    context = multiprocessing.get_context("fork")
    pool = concurrent.futures.ProcessPoolExecutor(
        processes, context, initializer=start, initargs=(batch,)
    )
    parts = [range(i, batch, processes) for i in range(processes)]

    def once() -> None:
        done = sum(pool.map(part, parts, [channels] * processes))
        assert done == batch

    once()
    return Work(
        once,
        {"librosa": librosa.__version__},
        lambda: {"level": pool.submit(first, channels).result()},
    )
