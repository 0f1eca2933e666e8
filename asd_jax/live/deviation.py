"""Where in time and frequency a clip departs most from normal, in seconds and hertz."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int16

from asd_jax.detector import Detector
from asd_jax.features import host
from asd_jax.features.logmel import frame_times, mel_frequencies
from asd_jax.report.region import Region, find_region
from asd_jax.report.spectrogram import edges

COLUMNS = ("departs_from_s", "departs_to_s", "departs_from_hz", "departs_to_hz", "departs_by")


@dataclasses.dataclass(frozen=True)
class Picture:
    """A clip as the detector's front end hears it.

    Attributes:
        level: in dB.
        deviation: its signed distance from the machine's normal frame, in standard deviations of
            the same mel bin over normal frames.
        normal: level of the machine's normal frame, in dB.
    """

    level: Float[np.ndarray, "mels frames"]
    deviation: Float[np.ndarray, "mels frames"]
    normal: Float[np.ndarray, " mels"]


def picture(detector: Detector, wave: Int16[np.ndarray, " samples"], group: int) -> Picture:
    """What `detector.deviation` gives for one clip, without a compilation."""
    level = host.level(wave, detector.spec)
    mean, std = detector.frame_mean[group][:, None], detector.frame_std[group][:, None]
    return Picture(level, (level - mean) / std, mean[:, 0])


def louder(shown: Picture) -> float:
    """How much louder than the training a clip is, in dB: as by another gain or distance."""
    return float(np.mean(shown.level.mean(axis=1) - shown.normal))


def where(detector: Detector, shown: Picture, start: float = 0.0) -> dict[str, float | None]:
    """The range that departs most, as the columns `COLUMNS` of a row; None where nothing does.

    It is the rectangle of `report.region.find_region`, the one that a report frames: of all
    rectangles the one with the largest (|mean| - 1) sqrt(area), in standard deviations and bins.

    Args:
        detector: whose front end made the picture.
        shown: of the clip.
        start: of the clip in its recording or stream, in seconds.

    Returns:
        the times in seconds of the recording, the frequencies in Hz, and `departs_by`, the mean
        over the rectangle in standard deviations: above 0 is louder than normal.
    """
    region = find_region(shown.deviation)
    if region is None:
        return dict.fromkeys(COLUMNS)
    return dict(zip(COLUMNS, _measured(detector, region, shown.level.shape, start), strict=True))


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
