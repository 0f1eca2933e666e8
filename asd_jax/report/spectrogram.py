"""One clip as a picture: what it sounds like, and where it departs from normal."""

import numpy as np
from jaxtyping import Float, UInt8
from markupsafe import Markup

from asd_jax.report import media
from asd_jax.report.contents import Example
from asd_jax.report.curves import nice_ticks
from asd_jax.report.region import Region
from asd_jax.report.svg import Panel
from asd_jax.report.why import describe, edges

_WIDTH, _HEIGHT = 460.0, 240.0
_FREQUENCIES = (125, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000)  # Hz
_FULL = 6.0  # standard deviations at which the deviation picture has its full colour
LOUDER, QUIETER = (213, 94, 0), (0, 114, 178)  # Okabe-Ito: told apart by every eye


def sound_panel(example: Example, region: Region | None) -> Markup:
    """The spectrogram with time and frequency axes and a frame around the region."""
    values = np.asarray(example.spectrogram, np.float64)
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, [0.02, 0.999]) if finite.size else (0.0, 1.0)
    shown = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / max(high - low, 1e-9)
    indices = levels(np.clip(shown, 0.0, 1.0))
    uri = media.png_uri(indices[::-1], sound_palette())
    return _picture(example, uri, region, f"Spectrogram of {example.path}.")


def deviation_panel(example: Example, region: Region | None) -> Markup:
    """Where the clip is louder or quieter than normal; clear where it is as usual."""
    from scipy import ndimage

    values = np.nan_to_num(np.asarray(example.deviation, np.float64), posinf=_FULL, neginf=-_FULL)
    # A little smoothing takes the sparkle of single bins away: they are noise, not a fault.
    shown = np.clip(ndimage.uniform_filter(values, 3, mode="nearest") / _FULL, -1.0, 1.0)
    indices = levels((shown + 1.0) / 2)
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


def levels(
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
