"""Axes, lines and markers as inline SVG that follows the page's colours, dark or light.

Everything is drawn in the units of one small view box, so that its text stays readable when a phone
shrinks it. Colours are CSS classes: ``s0`` to ``s3`` for series, ``ink``, ``soft`` and ``limit``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 360
HEIGHT: Final = 225
NUM_COLOURS: Final = 4

_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 10, 40
_SIZE = 4.5
"""Half the height of a marker."""
_MARKERS = ("circle", "square", "triangle", "diamond")


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of values with its label."""

    label: str
    low: float
    high: float
    least_step: float = 0.0
    """From tick to tick: 1 where nothing lies between whole numbers."""

    def ticks(self, most: int = 6) -> list[float]:
        """Return round values within the range, at most about `most`."""
        raw = max((self.high - self.low) / most, self.least_step)
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(each * power for each in (1, 2, 5, 10) if each * power >= raw * (1 - 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(position * step, 12) for position in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Frame:
    """A plot's area, which maps values to positions in the picture."""

    x: Axis
    y: Axis

    def px(self, value: float) -> float:
        """Return the horizontal position of `value`."""
        share = (value - self.x.low) / (self.x.high - self.x.low)
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 2)

    def py(self, value: float) -> float:
        """Return the vertical position of `value`."""
        share = (value - self.y.low) / (self.y.high - self.y.low)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 2)

    def line(self, points: Sequence[tuple[float, float]], series: int) -> str:
        """Return a line through `points`; a single one becomes a dot."""
        if len(points) == 1:
            x, y = points[0]
            place = f'cx="{self.px(x)}" cy="{self.py(y)}"'
            return f'<circle class="dot {_colour(series)}" {place} r="3"/>'
        path = " ".join(f"{self.px(x)},{self.py(y)}" for x, y in points)
        return f'<polyline class="line {_colour(series)} {_dash(series)}" points="{path}"/>'

    def rule_x(self, value: float, label: str, style: str = "limit") -> str:
        """Return a vertical line at `value`, its label at the top."""
        x = self.px(value)
        right = x > WIDTH * 0.7
        anchor, dx = ("end", -4) if right else ("start", 4)
        return (
            f'<line class="{style}" x1="{x}" x2="{x}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>'
            f'<text class="{style}" x="{x + dx:g}" y="{_TOP + 10}" text-anchor="{anchor}">'
            f"{escape(label)}</text>"
        )

    def rule_y(self, value: float, label: str) -> str:
        """Return a horizontal line at `value`, its label at the left, above the line."""
        y = self.py(value)
        return (
            f'<line class="limit" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
            f'<text class="limit" x="{_LEFT + 4}" y="{y - 4:g}">'
            f"{escape(label)}</text>"
        )

    def draw(self, name: str, title: str, description: str, body: str) -> str:
        """Return the whole picture.

        Args:
            name: Unique on the page; letters, digits and hyphens.
            title: Read aloud first, and shown on hovering.
            description: The content of the picture, for screen readers.
            body: What was drawn inside, as SVG.
        """
        spoken = f'role="img" aria-labelledby="{name}-title {name}-desc"'
        parts = [
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" {spoken}>',
            f'<title id="{name}-title">{escape(title)}</title>',
            f'<desc id="{name}-desc">{escape(description)}</desc>',
            *self._grid(),
            body,
            "</svg>",
        ]
        return "".join(parts)

    def _grid(self) -> list[str]:
        right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
        parts: list[str] = []
        for tick in self.y.ticks():
            y = self.py(tick)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y}" y2="{y}"/>')
            parts.append(f'<text x="{_LEFT - 5}" y="{y + 4:g}" text-anchor="end">{tick:g}</text>')
        for tick in self.x.ticks():
            x = self.px(tick)
            parts.append(f'<line class="tick" x1="{x}" x2="{x}" y1="{bottom}" y2="{bottom + 4}"/>')
            parts.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>')
        parts.append(f'<line class="tick" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
        middle = (_LEFT + right) / 2
        label = escape(self.x.label)
        parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{label}</text>')
        middle = (_TOP + bottom) / 2
        parts.append(
            f'<text x="11" y="{middle}" text-anchor="middle" transform="rotate(-90 11 {middle})">'
            f"{escape(self.y.label)}</text>"
        )
        return parts


def marker(x: float, y: float, *, series: int, shape: int, hollow: bool) -> str:
    """Return a marker at a position in the picture.

    Args:
        x: From left to right.
        y: From top to bottom.
        series: Its colour.
        shape: Circle, square, triangle, diamond; then again.
        hollow: Outline only.
    """
    style = f'class="mark {_colour(series)}{" hollow" if hollow else ""}"'
    half = _SIZE
    offsets: tuple[tuple[float, float], ...]
    match _MARKERS[shape % len(_MARKERS)]:
        case "circle":
            return f'<circle {style} cx="{x}" cy="{y}" r="{half}"/>'
        case "square":
            offsets = ((-half, -half), (half, -half), (half, half), (-half, half))
        case "triangle":
            offsets = ((0, -half - 1), (half + 1, half), (-half - 1, half))
        case _:
            offsets = ((0, -half - 1.5), (half + 1.5, 0), (0, half + 1.5), (-half - 1.5, 0))
    corners = " ".join(f"{x + dx:g},{y + dy:g}" for dx, dy in offsets)
    return f'<polygon {style} points="{corners}"/>'


def marker_swatch(*, series: int, shape: int, hollow: bool) -> str:
    """Return a marker alone, for a legend; it is decoration to a screen reader."""
    return _swatch(marker(12, 7, series=series, shape=shape, hollow=hollow))


def line_swatch(series: int) -> str:
    """Return a piece of a line alone, for a legend; it is decoration to a screen reader."""
    style = f"line {_colour(series)} {_dash(series)}"
    return _swatch(f'<line class="{style}" x1="0" x2="24" y1="7" y2="7"/>')


def _swatch(drawn: str) -> str:
    return f'<svg class="swatch" viewBox="0 0 24 14" aria-hidden="true">{drawn}</svg>'


def _colour(series: int) -> str:
    return f"s{series % NUM_COLOURS}"


def _dash(series: int) -> str:
    return f"d{series // NUM_COLOURS % 3}"
