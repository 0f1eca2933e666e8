"""Why a clip scores as it does, in words: one place for report, command and monitor."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from asd_jax.report.contents import Heard, Picture
from asd_jax.report.region import Region
from asd_jax.report.rhythm import Rhythm, find_rhythm

_BURST = 0.3  # s, up to which a sound is called short
_HUM = 300.0  # Hz, up to which a narrow sound is called a hum
_NAMED = 3  # missing strokes whose time is said


def describe(shown: Picture, region: Region | None, start: float = 0.0) -> str:
    """Where in time and pitch the clip departs most, how often it repeats, what the score heard.

    Args:
        shown: the clip.
        region: of `find_region`.
        start: of the clip in its recording, in s; it is added to all times.
    """
    place = _place(shown, region, start)
    if shown.heard is not None:
        found = [place, _heard(shown, shown.heard, alone=region is None)]
    else:
        found = [place or f"No single spot stands out: {_as_a_whole(shown)}."]
    band = _band(shown, region)
    if band is not None and shown.audio is not None:
        rhythm = find_rhythm(shown.audio, shown.sample_rate, band)
        found += _repeats(rhythm, band, start) if rhythm else []
    return " ".join(sentence for sentence in found if sentence)


def _band(shown: Picture, region: Region | None) -> tuple[float, float] | None:
    """Whose rhythm is looked for: what the winning branch scored, else where the clip departs."""
    if shown.heard is not None and shown.heard.hertz is not None:
        return shown.heard.hertz
    return None if region is None else _pitch(shown, region.mels)


def _place(shown: Picture, region: Region | None, start: float) -> str:
    if region is None:
        return ""
    low, high = _pitch(shown, region.mels)
    first, last = edges(np.asarray(shown.frame_times, float), region.frames)
    first = max(first, 0.0)  # half of the first frame is before the clip
    frames = shown.deviation.shape[1]
    whole = region.frames[1] - region.frames[0] > 0.9 * frames
    when = "through the whole clip" if whole else f"{first + start:.1f}–{last + start:.1f} s"
    bins = region.mels[1] - region.mels[0]
    where = "at all pitches" if bins > 0.9 * len(shown.deviation) else hertz(low, high)
    narrow = bins <= max(2, len(shown.deviation) // 32)
    away = region.mean
    if shown.normal_db is not None:
        level = np.asarray(shown.spectrogram, float) - np.asarray(shown.normal_db)[:, None]
        away = float(level[slice(*region.mels), slice(*region.frames)].mean())
    word = "louder" if away >= 0 else "quieter"
    everywhere = whole and bins > 0.9 * len(shown.deviation)
    kind = "another level" if everywhere else _kind(last - first, high, narrow, away >= 0)
    sentence = f"Strongest deviation: {kind}, {when}, {where}, "
    if shown.normal_db is not None:
        return f"{sentence}{abs(away):.0f} dB {word} than normal."
    return f"{sentence}{word} than normal by {abs(away):.1f} times the usual variation."


def _kind(seconds: float, high: float, narrow: bool, louder: bool) -> str:
    """What a listener would call a region."""
    if not louder:
        return "a short gap" if seconds <= _BURST else "a band"
    if seconds <= _BURST:
        return "a short sound"
    if narrow:
        return "a hum" if high <= _HUM else "a tone"
    return "a band of noise"


def _heard(shown: Picture, heard: Heard, *, alone: bool) -> str:
    """What the branch that adds most to the score has heard."""
    much = "Most" if heard.share > 0.5 else "The largest part"
    much = "The score" if heard.share > 0.995 else f"{much} ({heard.share:.0%}) of the score"
    sentence = f"{much} comes from the {heard.branch}"
    if heard.what:
        return f"{sentence}: {heard.what}."
    sentence += ", to which the clip as a whole is unlike this machine"
    return f"{sentence}; {_as_a_whole(shown)}." if alone else f"{sentence}."


def _repeats(rhythm: Rhythm, band: tuple[float, float], start: float) -> Iterable[str]:
    """How often a second, and what is missing."""
    rate = 1.0 / rhythm.period
    often = f"{rate:.1f} times a second" if rate >= 1.0 else f"every {rhythm.period:.1f} s"
    yield f"The sound at {hertz(*band)} repeats {often}."
    if rhythm.missing:
        times = [f"{time + start:.1f}" for time in rhythm.missing[:_NAMED]]
        more = ", ..." if len(rhythm.missing) > _NAMED else ""
        are = "is" if len(rhythm.missing) == 1 else "are"
        yield (
            f"{len(rhythm.missing)} of {rhythm.strokes} strokes of that rhythm {are} missing, at "
            f"{', '.join(times)}{more} s."
        )


def _as_a_whole(shown: Picture) -> str:
    """What the averages over time say, which several parts of a score are made of."""
    little = "the clip departs a little everywhere, or not at all"
    if shown.normal_db is None:
        return little
    levels = np.nan_to_num(np.asarray(shown.spectrogram, float), posinf=0.0, neginf=0.0)
    away = levels.mean(axis=1) - np.nan_to_num(np.asarray(shown.normal_db, float))
    size = max(1, len(away) // 12)
    near = np.convolve(away, np.full(size, 1.0 / size), "valid")
    at = int(np.abs(near).argmax())
    if abs(near[at]) < 1.0:
        return little
    low, high = _pitch(shown, (at, at + size))
    word = "louder" if near[at] > 0 else "quieter"
    whole = "louder" if away.mean() > 0 else "quieter"
    return (
        f"on average the clip is {abs(near[at]):.0f} dB {word} than normal at "
        f"{hertz(low, high)}, and {abs(away.mean()):.0f} dB {whole} over all pitches"
    )


def _pitch(shown: Picture, mels: tuple[int, int]) -> tuple[float, float]:
    """Lowest and highest frequency of bins, in Hz."""
    low, high = edges(np.asarray(shown.mel_frequencies, float), mels)
    return max(low, 0.0), high


def hertz(low: float, high: float) -> str:
    """A frequency range in words."""
    if high >= 1000:
        return f"{low / 1000:.1f}–{high / 1000:.1f} kHz"
    return f"{low:.0f}–{high:.0f} Hz"


def place(row: Mapping[str, Any]) -> str:
    """Where a row departs most, in a few characters: `1.2-3.4 s 0.8–1.1 kHz`; '' if nowhere."""
    if row.get("departs_from_s") is None:
        return ""
    pitch = hertz(row["departs_from_hz"], row["departs_to_hz"])
    return f"{row['departs_from_s']:.1f}–{row['departs_to_s']:.1f} s {pitch}"


def edges(centres: Float[np.ndarray, " bins"], span: tuple[int, int]) -> tuple[float, float]:
    """Lower and upper edge of the half-open range `span` of bins with these centres."""
    if len(centres) < 2:
        return float(centres[0]), float(centres[0]) + 1.0
    middles = (centres[1:] + centres[:-1]) / 2
    first = centres[0] - (centres[1] - centres[0]) / 2
    last = centres[-1] + (centres[-1] - centres[-2]) / 2
    bounds = np.concatenate([[first], middles, [last]])
    return float(bounds[span[0]]), float(bounds[span[1]])
