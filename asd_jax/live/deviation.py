"""Where in time and frequency a clip departs most from normal, in seconds and hertz."""

from typing import Any

import numpy as np

from asd_jax.detector import Detector
from asd_jax.features.logmel import frame_times, mel_frequencies
from asd_jax.report.contents import Picture
from asd_jax.report.region import Region, find_region
from asd_jax.report.why import describe, edges

COLUMNS = ("departs_from_s", "departs_to_s", "departs_from_hz", "departs_to_hz", "departs_by")


def louder(shown: Picture) -> float:
    """How much louder than the training a clip is, in dB: as by another gain or distance."""
    return float(np.mean(shown.spectrogram.mean(axis=1) - np.asarray(shown.normal_db)))


def where(detector: Detector, shown: Picture, start: float = 0.0) -> dict[str, Any]:
    """The range that departs most, as the columns `COLUMNS` of a row, and `why`, in words.

    It is the rectangle of `report.region.find_region`, the one that a report frames: of all
    rectangles the one with the largest (|mean| - 1) sqrt(area), in standard deviations and bins.

    Args:
        detector: whose front end made the picture.
        shown: of the clip.
        start: of the clip in its recording or stream, in seconds.

    Returns:
        the times in seconds of the recording, the frequencies in Hz, and `departs_by`, the mean
        over the rectangle in standard deviations: above 0 is louder than normal; all None where
        nothing departs.
    """
    region = find_region(shown.deviation)
    said = {"why": describe(shown, region, start)}
    if region is None:
        return dict.fromkeys(COLUMNS) | said
    measured = _measured(detector, region, shown.spectrogram.shape, start)
    return dict(zip(COLUMNS, measured, strict=True)) | said


def _measured(
    detector: Detector, region: Region, shape: tuple[int, ...], start: float
) -> tuple[float, ...]:
    spec = detector.spec
    length = detector.samples / spec.sample_rate
    # Half of the first and of the last frame lie outside of the clip.
    times = np.clip(edges(frame_times(spec, shape[1]), region.frames), 0.0, length) + start
    hertz = np.clip(edges(mel_frequencies(spec), region.mels), 0.0, spec.sample_rate / 2)
    return (
        *(round(float(t), 3) for t in times),
        *(round(float(f), 1) for f in hertz),
        round(region.mean, 2),
    )
