"""A small SVG writer: one panel with axes, in the page's own colours.

Colours come from classes in style.css, so that one drawing serves light, dark and print.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from markupsafe import Markup, escape


@dataclasses.dataclass
class Panel:
    """A drawing area with its own units; x and y are (low, high), y upwards."""

    width: float
    height: float
    x: tuple[float, float] = (0.0, 1.0)
    y: tuple[float, float] = (0.0, 1.0)
    left: float = 34
    right: float = 8
    top: float = 8
    bottom: float = 30

    def __post_init__(self) -> None:
        self._pieces: list[str] = []

    def px(self, value: float) -> float:
        """Horizontal pixel of an x value."""
        inner = self.width - self.left - self.right
        return self.left + inner * (value - self.x[0]) / ((self.x[1] - self.x[0]) or 1.0)

    def py(self, value: float) -> float:
        """Vertical pixel of a y value."""
        inner = self.height - self.top - self.bottom
        return (
            self.height
            - self.bottom
            - inner * (value - self.y[0]) / ((self.y[1] - self.y[0]) or 1.0)
        )

    def add(self, piece: str) -> None:
        """Adds a piece of SVG as it is; the caller has escaped it."""
        self._pieces.append(piece)

    def axes(
        self,
        *,
        x_ticks: Iterable[tuple[float, str]] = (),
        y_ticks: Iterable[tuple[float, str]] = (),
        x_label: str = "",
        y_label: str = "",
        grid: bool = True,
    ) -> None:
        """Draws grid lines, tick labels, axis names and the base line."""
        right, bottom = self.width - self.right, self.height - self.bottom
        for value, label in y_ticks:
            at = self.py(value)
            if grid:
                self.add(f'<path class="grid" d="M{self.left:.1f} {at:.1f}H{right:.1f}"/>')
            self.text(self.left - 5, at + 3.5, label, anchor="end")
        for value, label in x_ticks:
            at = self.px(value)
            self.add(f'<path class="axis" d="M{at:.1f} {bottom:.1f}v4"/>')
            self.text(at, bottom + 14, label, anchor="middle")
        self.add(f'<path class="axis" d="M{self.left:.1f} {bottom:.1f}H{right:.1f}"/>')
        if x_label:
            self.text((self.left + right) / 2, self.height - 3, x_label, anchor="middle")
        if y_label:
            middle = (self.top + bottom) / 2
            self.add(
                f'<text class="t" text-anchor="middle" transform="translate(10 {middle:.1f}) '
                f'rotate(-90)">{escape(y_label)}</text>'
            )

    def text(self, x: float, y: float, text: str, *, anchor: str = "start", css: str = "") -> None:
        """Writes text at pixel coordinates."""
        self.add(
            f'<text class="{("t " + css).strip()}" x="{x:.1f}" y="{y:.1f}" '
            f'text-anchor="{anchor}">{escape(text)}</text>'
        )

    def line(
        self, x: Iterable[float], y: Iterable[float], css: str, *, tip: str = "", dash: str = ""
    ) -> None:
        """Draws a line through points in the panel's units."""
        style = f' stroke-dasharray="{dash}"' if dash else ""
        title = f"<title>{escape(tip)}</title>" if tip else ""
        points = [(self.px(a), self.py(b)) for a, b in zip(x, y, strict=True)]
        self.add(f'<path class="line {css}"{style} d="{path(points)}">{title}</path>')

    def rect(self, x: tuple[float, float], y: tuple[float, float], css: str) -> None:
        """Draws a filled rectangle, corners in the panel's units."""
        left, right = sorted((self.px(x[0]), self.px(x[1])))
        top, bottom = sorted((self.py(y[0]), self.py(y[1])))
        self.add(
            f'<path class="{css}" d="M{left:.1f} {top:.1f}H{right:.1f}V{bottom:.1f}H{left:.1f}z"/>'
        )

    def vertical(self, x: float, css: str, *, top: float = 0.0) -> None:
        """Draws a line from the base line to `top` pixels below the upper edge."""
        at, bottom = self.px(x), self.height - self.bottom
        self.add(f'<path class="{css}" d="M{at:.1f} {top:.1f}V{bottom:.1f}"/>')

    def render(self, label: str, *, css: str = "") -> Markup:
        """The whole drawing; `label` is read out instead of it."""
        return Markup(
            f'<svg class="{("panel " + css).strip()}" viewBox="0 0 {self.width:g} '
            f'{self.height:g}" role="img" aria-label="{escape(label)}">'
            f"{''.join(self._pieces)}</svg>"
        )


def path(points: Sequence[tuple[float, float]]) -> str:
    """SVG path data through pixel points; points inside a straight run are left out."""
    rounded = [(round(float(x), 1), round(float(y), 1)) for x, y in points]
    kept: list[tuple[float, float]] = []
    for point in rounded:
        if kept and point == kept[-1]:
            continue
        if len(kept) > 1 and _straight(kept[-2], kept[-1], point):
            kept[-1] = point
        else:
            kept.append(point)
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in kept)


def _straight(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (a[0] == b[0] == c[0]) or (a[1] == b[1] == c[1])


def dots(points: Iterable[tuple[float, float]]) -> str:
    """Path data of round dots: a stroke of no length with round ends."""
    return "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)


def triangles(points: Iterable[tuple[float, float]], size: float = 4.0) -> str:
    """Path data of triangles that point up."""
    half = size * 0.9
    return "".join(
        f"M{x - half:.1f} {y + half:.1f}h{2 * half:.1f}l{-half:.1f} {-2 * half:.1f}z"
        for x, y in points
    )


def number(value: float) -> str:
    """A number as short as an axis wants it."""
    value = float(value)
    if value == 0 or not np.isfinite(value):
        return "0" if value == 0 else "–"
    text = f"{value:.3g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        if abs(int(exponent)) <= 5:
            return f"{value:,.0f}".replace("-", "−").replace(",", " ")  # a narrow space
        return f"{mantissa}e{int(exponent)}"
    return text.replace("-", "−")
