"""Charts as inline SVG, and spectrograms in colour: numbers -> **figures** -> page.

Drawn here and not by matplotlib: text stays text (for screen readers and for searching), colours are classes
that the page's style sheet sets for light and dark, and equal numbers give equal bytes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from markupsafe import Markup, escape

# Margins of a chart's plot area (SVG units; the text is 11 of them high)
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 36
MARKERS = 5  # shapes, so that an emotion is told apart without its colour


@dataclass(frozen=True)
class Axis:
    """A linear axis from `low` to `high`."""

    low: float
    high: float
    label: str

    def ticks(self, about: int = 5) -> list[float]:
        """Round values inside the axis, about so many."""
        step = nice_step((self.high - self.low) / about)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(index * step, 12) for index in range(first, last + 1)]

    def share(self, value: float) -> float:
        """Where `value` lies: 0 at the low end, 1 at the high end, clipped."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


@dataclass(frozen=True)
class Line:
    """A series of a line chart; `kind` is a class of the style sheet: raw or validation."""

    kind: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Cloud:
    """Points of one emotion, valence and arousal in 0..1; `colour` is the emotion's number."""

    name: str
    colour: int
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Bar:
    """A value with its interval, in one row of a dot chart."""

    name: str
    value: float
    low: float
    high: float
    text: str


def nice_step(step: float) -> float:
    """The nearest of 1, 2, 5 times a power of ten that is not below `step`.

    >>> [nice_step(value) for value in (0.03, 0.2, 7.0)]
    [0.05, 0.2, 10.0]
    """
    if not step > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(step))
    return float(next(round(factor * power, 12) for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9)))


def span(values: Sequence[float], label: str, from_zero: bool = False) -> Axis:
    """An axis that holds all finite `values`, with a little air."""
    finite = [float(value) for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = (min(0.0, *finite) if from_zero else min(finite)), max(finite)
    air = (high - low or 1.0) * 0.05
    return Axis(low if from_zero else low - air, high + air, label)


def number(value: float) -> str:
    """A tick's label: no trailing zeros.

    >>> [number(value) for value in (0.5, 200.0, 0.0)]
    ['0.5', '200', '0']
    """
    return f"{value:.6g}"


def figure(value: float) -> str:
    """Two decimals, fewer for large values, more for tiny ones and for those just below 1.

    >>> figure(0.9), figure(0.995), figure(12.3456), figure(1234.5), figure(-0.0004), figure(0.0)
    ('0.90', '0.995', '12.3', '1,234', '-0.0004', '0.00')
    """
    size = abs(value)
    if 0 < size < 0.01:
        return f"{value:.1g}"
    decimals = 3 if 0.98 < size < 1 else 2 if size < 10 else 1 if size < 100 else 0
    return f"{value:,.{decimals}f}"


@dataclass(frozen=True)
class Plot:
    """The geometry of one chart: sizes in SVG units, and its two axes."""

    width: int
    height: int
    x: Axis
    y: Axis

    def at(self, x: float, y: float) -> tuple[float, float]:
        """SVG position of a value."""
        across, down = self.width - LEFT - RIGHT, self.height - TOP - BOTTOM
        return LEFT + self.x.share(x) * across, TOP + (1 - self.y.share(y)) * down

    def svg(self, title: str, body: str) -> Markup:
        """The chart: a named image with grid, labels and `body`."""
        return Markup(
            f'<svg class="chart" viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(title)}">'
            f"{self._grid()}{body}</svg>"
        )

    def _grid(self) -> str:
        parts = []
        for value in self.x.ticks():
            x, bottom = self.at(value, self.y.low)
            parts.append(f'<path class="rule" d="M{x:.1f} {TOP}V{bottom:.1f}"/>')
            parts.append(
                f'<text class="tick" x="{x:.1f}" y="{bottom + 13:.1f}" text-anchor="middle">{number(value)}</text>'
            )
        for value in self.y.ticks():
            left, y = self.at(self.x.low, value)
            parts.append(f'<path class="rule" d="M{left} {y:.1f}H{self.width - RIGHT}"/>')
            parts.append(f'<text class="tick" x="{left - 5}" y="{y + 4:.1f}" text-anchor="end">{number(value)}</text>')
        middle = TOP + (self.height - TOP - BOTTOM) / 2
        parts.append(
            f'<text class="axis" x="{(LEFT + self.width - RIGHT) / 2}" y="{self.height - 5}" '
            f'text-anchor="middle">{escape(self.x.label)}</text>'
            f'<text class="axis" transform="translate(11 {middle}) rotate(-90)" '
            f'text-anchor="middle">{escape(self.y.label)}</text>'
        )
        return "".join(parts)


def line_chart(title: str, lines: Sequence[Line], x: Axis, y: Axis) -> Markup:
    """Lines over a common x; the kind `validation` also gets dots."""
    plot = Plot(280, 200, x, y)
    body = []
    for line in lines:
        points = [plot.at(a, b) for a, b in zip(line.x, line.y, strict=True) if math.isfinite(b)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        body.append(f'<polyline class="line {line.kind}" points="{path}"/>')
        if line.kind == "validation":
            body += [f'<circle class="dot" cx="{a:.1f}" cy="{b:.1f}" r="2.6"/>' for a, b in points]
    return plot.svg(title, "".join(body))


def plane(title: str, clouds: Sequence[Cloud]) -> Markup:
    """Valence against arousal: a mark a clip, a large one at the mean of each emotion."""
    plot = Plot(320, 310, Axis(0, 1, "valence (0 to 1)"), Axis(0, 1, "arousal (0 to 1)"))
    body = [_cross(plot)]
    for cloud in clouds:
        marks = "".join(marker(cloud.colour, *plot.at(a, b), 2.6) for a, b in zip(cloud.x, cloud.y, strict=True))
        body.append(f'<g class="cloud e{cloud.colour}">{marks}</g>')
    for cloud in clouds:
        if len(cloud.x):
            mean = plot.at(float(np.mean(cloud.x)), float(np.mean(cloud.y)))
            body.append(f'<g class="mean e{cloud.colour}">{marker(cloud.colour, *mean, 7)}</g>')
    return plot.svg(title, "".join(body))


def _cross(plot: Plot) -> str:
    """The borders of the four quadrants."""
    x, y = plot.at(0.5, 0.5)
    return f'<path class="middle" d="M{x:.1f} {TOP}V{plot.height - BOTTOM}M{LEFT} {y:.1f}H{plot.width - RIGHT}"/>'


def marker(shape: int, x: float, y: float, size: float) -> str:
    """One of five shapes of about equal area around (x, y): disc, square, triangle, diamond, cross.

    >>> marker(0, 1, 2, 3)
    '<circle cx="1.0" cy="2.0" r="3.0"/>'
    """
    shape %= MARKERS
    if shape == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}"/>'
    a, b, c = 0.9 * size, 1.3 * size, 0.4 * size
    path = {
        1: f"m{-a:.1f} {-a:.1f}h{2 * a:.1f}v{2 * a:.1f}h{-2 * a:.1f}z",
        2: f"m0 {-b:.1f}l{b:.1f} {2 * a:.1f}h{-2 * b:.1f}z",
        3: f"m0 {-b:.1f}l{b:.1f} {b:.1f}l{-b:.1f} {b:.1f}l{-b:.1f} {-b:.1f}z",
        4: f"m{-c:.1f} {-b:.1f}h{2 * c:.1f}v{b - c:.1f}h{b - c:.1f}v{2 * c:.1f}h{c - b:.1f}v{b - c:.1f}"
        f"h{-2 * c:.1f}v{c - b:.1f}h{c - b:.1f}v{-2 * c:.1f}h{b - c:.1f}z",
    }[shape]
    return f'<path d="M{x:.1f} {y:.1f}{path}"/>'


def dot_chart(title: str, label: str, bars: Sequence[Bar], lines: Sequence[tuple[str, float]]) -> Markup:
    """A row each: name, dot at the value, whisker over its interval; dashed lines at values to compare with."""
    row, left, right, top, width = 26, 52, 108, 26, 430
    height = top + row * len(bars) + BOTTOM
    axis = Axis(0, 1, label)

    def across(value: float) -> float:
        return left + axis.share(value) * (width - left - right)

    bottom = top + row * len(bars)
    body = [
        f'<path class="rule" d="M{across(value):.1f} {top}V{bottom}"/>'
        f'<text class="tick" x="{across(value):.1f}" y="{bottom + 14}" text-anchor="middle">{number(value)}</text>'
        for value in axis.ticks()
    ]
    for name, value in lines:
        body.append(
            f'<path class="reference" d="M{across(value):.1f} {top - 6}V{bottom}"/>'
            f'<text class="tick" x="{across(value):.1f}" y="{top - 10}" text-anchor="middle">{escape(name)}</text>'
        )
    for index, bar in enumerate(bars):
        y = top + row * (index + 0.5)
        body.append(
            f'<text class="name" x="{left - 10}" y="{y + 4}" text-anchor="end">{escape(bar.name)}</text>'
            f'<path class="whisker" d="M{across(bar.low):.1f} {y}H{across(bar.high):.1f}"/>'
            f'<circle class="dot" cx="{across(bar.value):.1f}" cy="{y}" r="5"/>'
            f'<text class="name" x="{width - right + 12}" y="{y + 4}">{escape(bar.text)}</text>'
        )
    middle = (left + width - right) / 2
    body.append(f'<text class="axis" x="{middle}" y="{height - 4}" text-anchor="middle">{escape(label)}</text>')
    return Markup(
        f'<svg class="chart wide" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
        f"{''.join(body)}</svg>"
    )


@lru_cache
def loudness_colours() -> list[int]:
    """A palette of 256 RGB triples for the codec's grey values: 0 (loudest) bright, 255 (silence) nearly black."""
    from matplotlib import colormaps

    table = colormaps["magma"](np.linspace(1, 0, 256))[:, :3]
    return [int(value) for value in np.rint(table * 255).astype(int).ravel()]
