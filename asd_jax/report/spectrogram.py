"""One clip as a picture: what it sounds like, and where it departs from normal."""

import numpy as np
from jaxtyping import Float, UInt8
from markupsafe import Markup

from asd_jax.report import media
from asd_jax.report.contents import Example
from asd_jax.report.curves import nice_ticks
from asd_jax.report.region import Region
from asd_jax.report.svg import Panel

_WIDTH, _HEIGHT = 460.0, 240.0
_FREQUENCIES = (125, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000)  # Hz
_FULL = 6.0  # standard deviations at which the deviation picture has its full colour
_BURST = 0.3  # s, up to which a sound is called short
_HUM = 300.0  # Hz, up to which a narrow sound is called a hum
LOUDER, QUIETER = (213, 94, 0), (0, 114, 178)  # Okabe-Ito: told apart by every eye


def _smooth(
    values: Float[np.ndarray, "mels frames"], mels: int, frames: int
) -> Float[np.ndarray, "mels frames"]:
    """Means over a box of bins and frames, smaller at the edges."""
    for axis, size in ((0, mels), (1, frames)):
        length = values.shape[axis]
        total = np.concatenate(
            [np.zeros_like(values.take([0], axis)), np.cumsum(values, axis=axis)], axis=axis
        )
        high = np.minimum(np.arange(length) + size // 2 + 1, length)
        low = np.maximum(np.arange(length) - size // 2, 0)
        shape = (-1, 1) if axis == 0 else (1, -1)
        values = (total.take(high, axis) - total.take(low, axis)) / (high - low).reshape(shape)
    return values


def describe(example: Example, region: Region | None) -> str:
    """One sentence: where in time and frequency the clip departs most from normal, and by what."""
    if region is None:
        return f"No single spot stands out: {_as_a_whole(example)}."
    low, high = edges(np.asarray(example.mel_frequencies, float), region.mels)
    first, last = edges(np.asarray(example.frame_times, float), region.frames)
    low, first = max(low, 0.0), max(first, 0.0)  # half of the first frame is before the clip
    frames = example.deviation.shape[1]
    whole = region.frames[1] - region.frames[0] > 0.9 * frames
    when = "through the whole clip" if whole else f"{first:.1f}–{last:.1f} s"
    bins = region.mels[1] - region.mels[0]
    where = "at all pitches" if bins > 0.9 * len(example.deviation) else hertz(low, high)
    narrow = bins <= max(2, len(example.deviation) // 32)
    kind = _kind(last - first, high, narrow, whole and bins > 0.9 * len(example.deviation))
    sentence = f"Strongest deviation: {kind}, {when}, {where}, "
    if example.normal_db is not None:
        level = np.asarray(example.spectrogram, float) - np.asarray(example.normal_db)[:, None]
        gain = float(level[slice(*region.mels), slice(*region.frames)].mean())
        word = "louder" if gain >= 0 else "quieter"
        return f"{sentence}{abs(gain):.0f} dB {word} than normal."
    word = "louder" if region.mean >= 0 else "quieter"
    return f"{sentence}{word} than normal by {abs(region.mean):.1f} times the usual variation."


def _kind(seconds: float, high: float, narrow: bool, everywhere: bool) -> str:
    """What a listener would call a region."""
    if everywhere:
        return "another level"
    if seconds <= _BURST:
        return "a short sound"
    if narrow:
        return "a hum" if high <= _HUM else "a tone"
    return "a band of noise"


def _as_a_whole(example: Example) -> str:
    """What the averages over time say, which several parts of a score are made of."""
    little = "the clip departs a little everywhere, or not at all"
    if example.normal_db is None:
        return little
    levels = np.nan_to_num(np.asarray(example.spectrogram, float), posinf=0.0, neginf=0.0)
    away = levels.mean(axis=1) - np.nan_to_num(np.asarray(example.normal_db, float))
    size = max(1, len(away) // 12)
    near = np.convolve(away, np.full(size, 1.0 / size), "valid")
    at = int(np.abs(near).argmax())
    if abs(near[at]) < 1.0:
        return little
    low, high = edges(np.asarray(example.mel_frequencies, float), (at, at + size))
    word = "louder" if near[at] > 0 else "quieter"
    whole = "louder" if away.mean() > 0 else "quieter"
    return (
        f"on average the clip is {abs(near[at]):.0f} dB {word} than normal at "
        f"{hertz(max(low, 0.0), high)}, and {abs(away.mean()):.0f} dB {whole} over all pitches"
    )


def hertz(low: float, high: float) -> str:
    """A frequency range in words."""
    if high >= 1000:
        return f"{low / 1000:.1f}–{high / 1000:.1f} kHz"
    return f"{low:.0f}–{high:.0f} Hz"


def sound_panel(example: Example, region: Region | None) -> Markup:
    """The spectrogram with time and frequency axes and a frame around the region."""
    values = np.asarray(example.spectrogram, np.float64)
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, [0.02, 0.999]) if finite.size else (0.0, 1.0)
    shown = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / max(high - low, 1e-9)
    indices = _levels(np.clip(shown, 0.0, 1.0))
    uri = media.png_uri(indices[::-1], sound_palette())
    return _picture(example, uri, region, f"Spectrogram of {example.path}.")


def deviation_panel(example: Example, region: Region | None) -> Markup:
    """Where the clip is louder or quieter than normal; clear where it is as usual."""
    values = np.nan_to_num(np.asarray(example.deviation, np.float64), posinf=_FULL, neginf=-_FULL)
    # A little smoothing takes the sparkle of single bins away: they are noise, not a fault.
    shown = np.clip(_smooth(values, 3, 3) / _FULL, -1.0, 1.0)
    indices = _levels((shown + 1.0) / 2)
    uri = media.png_uri(indices[::-1], deviation_palette())
    return _picture(example, uri, region, f"Deviation from normal. {describe(example, region)}")


def sound_palette() -> UInt8[np.ndarray, "256 4"]:
    """Matplotlib's magma: even steps in lightness, readable in grey."""
    import matplotlib

    return np.rint(matplotlib.colormaps["magma"](np.arange(256)) * 255).astype(np.uint8)


def deviation_palette() -> UInt8[np.ndarray, "256 4"]:
    """Blue (quieter) over clear (as usual) to orange (louder), for any background."""
    signed = np.linspace(-1.0, 1.0, 256)
    palette = np.zeros((256, 4), np.uint8)
    palette[:, :3] = np.where((signed > 0)[:, None], LOUDER, QUIETER)
    strength = np.clip((np.abs(signed) - 0.15) / 0.85, 0.0, 1.0)
    palette[:, 3] = np.rint(255 * strength**0.8)
    return palette


def _levels(
    shares: Float[np.ndarray, "mels frames"], steps: int = 64
) -> UInt8[np.ndarray, "mels frames"]:
    """Palette indices of shares of 1, in few steps: no eye misses the others, the file does."""
    return np.rint(np.rint(shares * (steps - 1)) * (255 / (steps - 1))).astype(np.uint8)


def _picture(example: Example, uri: str, region: Region | None, label: str) -> Markup:
    mels, frames = example.spectrogram.shape
    times = np.asarray(example.frame_times, float)
    start, end = edges(times, (0, frames))
    panel = Panel(_WIDTH, _HEIGHT, x=(start, end), y=(0, mels), left=40, bottom=32, top=6)
    left, top = panel.px(start), panel.py(mels)
    panel.add(
        f'<rect class="ground" x="{left:.1f}" y="{top:.1f}" width="{panel.px(end) - left:.1f}" '
        f'height="{panel.py(0) - top:.1f}"/>'
        f'<image href="{uri}" x="{left:.1f}" y="{top:.1f}" width="{panel.px(end) - left:.1f}" '
        f'height="{panel.py(0) - top:.1f}" preserveAspectRatio="none"/>'
    )
    if region is not None:
        _frame(panel, edges(times, region.frames), region.mels)
    panel.axes(
        x_ticks=[(v, f"{v:g}") for v in nice_ticks(start, end, 6)],
        y_ticks=_frequency_ticks(np.asarray(example.mel_frequencies, float)),
        x_label="time, s",
        grid=False,
    )
    panel.text(2, 11, "kHz")
    return panel.render(label)


def _frame(panel: Panel, times: tuple[float, float], mels: tuple[int, int], gap: float = 4) -> None:
    """Draws a frame a little outside the region, white on black to be seen on any colour."""
    left = max(panel.px(times[0]) - gap, panel.left)
    right = min(panel.px(times[1]) + gap, panel.width - panel.right)
    top = max(panel.py(mels[1]) - gap, panel.top)
    bottom = min(panel.py(mels[0]) + gap, panel.height - panel.bottom)
    for css in ("box under", "box"):
        panel.add(
            f'<path class="{css}" d="M{left:.1f} {top:.1f}H{right:.1f}V{bottom:.1f}H{left:.1f}z"/>'
        )


def _frequency_ticks(frequencies: Float[np.ndarray, " mels"]) -> list[tuple[float, str]]:
    """(height in bins, label in kHz) of round frequencies, at least a tenth apart."""
    ticks: list[tuple[float, str]] = []
    for value in _FREQUENCIES:
        if not frequencies[0] <= value <= frequencies[-1]:
            continue
        at = float(np.interp(value, frequencies, np.arange(len(frequencies)))) + 0.5
        if 0.93 * len(frequencies) > at and (
            not ticks or at - ticks[-1][0] > len(frequencies) / 10
        ):
            ticks.append((at, f"{value / 1000:g}"))
    return ticks


def edges(centres: Float[np.ndarray, " bins"], span: tuple[int, int]) -> tuple[float, float]:
    """Lower and upper edge of the half-open range `span` of bins with these centres."""
    if len(centres) < 2:
        return float(centres[0]), float(centres[0]) + 1.0
    middles = (centres[1:] + centres[:-1]) / 2
    first = centres[0] - (centres[1] - centres[0]) / 2
    last = centres[-1] + (centres[-1] - centres[-2]) / 2
    bounds = np.concatenate([[first], middles, [last]])
    return float(bounds[span[0]]), float(bounds[span[1]])
