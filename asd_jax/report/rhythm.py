"""How often a sound repeats, and which strokes of its rhythm are missing: from its envelope."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int16

_WINDOW = 0.032  # s: short beside the pause between strokes
_FLOOR = 60.0  # dB below the loudest frame, at which the envelope ends
_PERIODIC = 0.25  # of the autocorrelation: white noise of some seconds stays below half of it
_ALIKE = 0.85  # a shorter lag with this share of the best one's value is the period, not a part
_LEAST = 4  # periods that make a rhythm
_STROKE = 6.0  # dB that strokes stand above what is between them, to be counted
_MISSED = 0.35  # of a usual stroke's height, below which one is missing
_CLEAR = 0.55  # of it, above which nine in ten of the others must be: else strokes just vary
_MOST = 0.4  # share of strokes that may be missing: with more gaps than that it is no rhythm


@dataclasses.dataclass(frozen=True)
class Rhythm:
    """A sound that repeats.

    Attributes:
        period: in s.
        strokes: that were expected in the clip; 0 where they don't stand out one by one.
        missing: when, in s, a stroke was expected and did not come.
    """

    period: float
    strokes: int = 0
    missing: tuple[float, ...] = ()


def find_rhythm(
    wave: Int16[np.ndarray, " samples"], sample_rate: int, hertz: tuple[float, float]
) -> Rhythm | None:
    """The rhythm of a band, by the autocorrelation of its level in dB; None where there is none.

    Args:
        wave: of the clip.
        sample_rate: in Hz.
        hertz: lowest and highest frequency of the band.
    """
    level, step = envelope(wave, sample_rate, hertz)
    period = _period(level)
    if period is None:
        return None
    strokes, missing = _strokes(level, period)
    times = tuple(round(float(at * step + _WINDOW / 2), 2) for at in missing)
    return Rhythm(period * step, strokes, times)


def envelope(
    wave: Int16[np.ndarray, " samples"], sample_rate: int, hertz: tuple[float, float]
) -> tuple[Float[np.ndarray, " frames"], float]:
    """Level of a band in dB over time, and the seconds from frame to frame."""
    size = 1 << round(np.log2(_WINDOW * sample_rate))
    hop = size // 4
    if len(wave) < size:
        return np.zeros(0), hop / sample_rate
    frames = np.lib.stride_tricks.sliding_window_view(wave.astype(np.float32), size)[::hop]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(size).astype(np.float32))))
    low = min(int(hertz[0] * size / sample_rate), power.shape[1] - 1)
    high = max(int(np.ceil(hertz[1] * size / sample_rate)), low + 1)
    total = power[:, low:high].sum(axis=1)
    floor = max(float(total.max()) * 10 ** (-_FLOOR / 10), 1e-9)
    return 10.0 * np.log10(np.maximum(total, floor)), hop / sample_rate


def _period(level: Float[np.ndarray, " frames"]) -> float | None:
    """Frames from repetition to repetition."""
    count, most = len(level), len(level) // _LEAST
    away = level - level.mean() if count else level
    if most < 4 or np.square(away).mean() < 1.0:  # dB^2: nothing that an ear would call strokes
        return None
    spectrum = np.fft.rfft(away, 2 * count)
    power = np.fft.irfft(np.square(np.abs(spectrum)))[: most + 1]
    found = power / power[0] * (count / (count - np.arange(most + 1)))
    below = np.flatnonzero(found <= 0.0)
    if not len(below) or below[0] >= most - 1:
        return None
    inner = np.arange(below[0] + 1, most)
    peaks = inner[(found[inner] >= found[inner - 1]) & (found[inner] > found[inner + 1])]
    if not len(peaks) or found[peaks].max() < _PERIODIC:
        return None
    lag = int(peaks[found[peaks] >= _ALIKE * found[peaks].max()][0])
    before, at, after = found[lag - 1 : lag + 2]
    return lag + 0.5 * float((before - after) / min(before - 2.0 * at + after, -1e-9))


def _strokes(level: Float[np.ndarray, " frames"], period: float) -> tuple[int, list[float]]:
    """How many strokes were to be expected, and the frames of those that are missing.

    From the loudest stroke on in both directions: each is looked for near the place where the one
    before lets expect it, so that a rhythm may be a little uneven.
    """
    reach = max(1, round(0.25 * period))
    base = float(np.quantile(level, 0.2))
    usual = float(np.median(_heights(level, period))) - base
    if usual < _STROKE:
        return 0, []
    first = int(level.argmax())
    heights, missing = [float(level[first]) - base], []
    for way in (1, -1):
        expected = first + way * period
        while reach <= expected < len(level) - reach:
            near = round(expected) - reach
            part = level[near : near + 2 * reach + 1]
            height = float(part.max()) - base
            if height < _MISSED * usual:
                missing.append(expected)
                expected += way * period
            else:
                expected = near + int(part.argmax()) + way * period
                heights.append(height)
    strokes = len(heights) + len(missing)
    clear = np.quantile(heights, 0.1) >= _CLEAR * usual and len(missing) <= _MOST * strokes
    return (strokes, sorted(missing)) if clear else (0, [])


def _heights(level: Float[np.ndarray, " frames"], period: float) -> Float[np.ndarray, " periods"]:
    """The loudest frame of each period."""
    cuts = np.arange(0.0, len(level) - period + 1.0, period).round().astype(int)
    return np.array([level[cut : cut + max(1, round(period))].max() for cut in cuts])
