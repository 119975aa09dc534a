"""The figures of a report: candidates, curves over epochs or recall, histograms of times."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgetl.report.svg import Axis, Frame, line_swatch, marker, marker_swatch
from edgetl.types import Precision

NUM_CURVES = 8
"""Most curves that one figure can distinguish by colour and dashes."""

_REACH = 1.0
"""A limit is drawn if it extends the axis by at most this share of the range of the figures."""
_BINS = 40
_DRAWN_SHARE = 0.995
_SHAPES = tuple(precision.value for precision in Precision)


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture with its texts."""

    svg: str
    caption: str
    legend: tuple[tuple[str, str], ...] = ()
    """Swatch as SVG, and its label."""


@dataclass(frozen=True, slots=True)
class Point:
    """One candidate of a target."""

    name: str
    format: str
    precision: str
    cost: tuple[float, float, float]
    """Value, low and high of the cost: milliseconds, or MiB if nothing was timed."""
    value: tuple[float, float, float]
    """Value, low and high of the metric."""
    verdict: str
    chosen: bool
    """It may be chosen and still unverified."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of the target."""

    value: float
    text: str


def tradeoff(
    name: str,
    points: Sequence[Point],
    *,
    cost: str,
    metric: str,
    cost_limit: Limit | None,
    metric_limits: Sequence[Limit],
) -> Figure:
    """Return accuracy against cost of every candidate, with intervals, and the limits.

    Args:
        name: Unique on the page.
        points: At least one.
        cost: Label of the horizontal axis.
        metric: Label of the vertical axis.
        cost_limit: Most that a candidate may cost.
        metric_limits: The least that a candidate must reach.
    """
    cost_limits = () if cost_limit is None else (cost_limit,)
    right, low, high = (
        max(point.cost[2] for point in points),
        min(point.value[1] for point in points),
        max(point.value[2] for point in points),
    )
    _, right, shown_costs = _extended(0.0, right, cost_limits)
    low, high, shown_metrics = _extended(low, high, metric_limits)
    room = max(0.06 * (high - low), 0.002)
    frame = Frame(Axis(cost, 0.0, 1.08 * right), Axis(metric, low - room, high + room))
    drawn = [frame.rule_x(limit.value, limit.text) for limit in shown_costs]
    drawn += [frame.rule_y(limit.value, limit.text) for limit in shown_metrics]
    shown = {*shown_costs, *shown_metrics}
    beyond = [limit.text for limit in (*cost_limits, *metric_limits) if limit not in shown]
    formats = list(dict.fromkeys(point.format for point in points))
    legend: list[tuple[str, str]] = []
    for point in sorted(points, key=lambda each: each.chosen):
        drawn.append(_drawn_point(frame, point, formats.index(point.format)))
    for point in points:
        swatch = marker_swatch(
            series=formats.index(point.format),
            shape=_shape(point),
            hollow=point.verdict == "rejected",
        )
        legend.append((swatch, f"{point.name} ({point.verdict})"))
    caption = "Bars are 95 % intervals; hollow candidates are rejected; the chosen one is ringed."
    if beyond:
        caption += f" Outside of the picture: {', '.join(beyond)}."
    description = "; ".join(
        f"{point.name} {point.value[0]:.3f} at {point.cost[0]:.3g}, {point.verdict}"
        for point in points
    )
    title = f"{metric} against {cost} of every candidate"
    return Figure(frame.draw(name, title, description, "".join(drawn)), caption, tuple(legend))


def curves(
    name: str,
    title: str,
    series: Mapping[str, Sequence[tuple[float, float | None]]],
    *,
    x: str,
    y: str,
    whole: bool = False,
    caption: str = "",
) -> Figure | None:
    """Return lines over one axis; None if there is no point at all.

    Args:
        name: Unique on the page.
        title: What the figure shows.
        series: At most `NUM_CURVES`; points without a value are omitted.
        x: Label of the horizontal axis.
        y: Label of the vertical axis.
        whole: Whether both axes go from 0 to 1; else the horizontal one counts.
        caption: Below the figure, behind its title.
    """
    lines = {
        label: [(at, value) for at, value in points if value is not None and math.isfinite(value)]
        for label, points in series.items()
    }
    places = [place for points in lines.values() for place in points]
    if not places:
        return None
    if whole:
        frame = Frame(Axis(x, 0.0, 1.0), Axis(y, 0.0, 1.02))
    else:
        left, right = min(at for at, _ in places), max(at for at, _ in places)
        low, high = min(0.0, *(value for _, value in places)), max(value for _, value in places)
        frame = Frame(
            Axis(x, left, right if right > left else left + 1, least_step=1.0),
            Axis(y, low, high + 0.04 * (high - low) if high > low else low + 1),
        )
    drawn = [frame.line(points, i) for i, points in enumerate(lines.values()) if points]
    ends = [f"{label} ends at {points[-1][1]:.3g}" for label, points in lines.items() if points]
    legend = tuple((line_swatch(i), label) for i, label in enumerate(lines) if lines[label])
    words = f"{title}. {caption}".strip()
    return Figure(frame.draw(name, title, "; ".join(ends), "".join(drawn)), words, legend)


def histogram(
    name: str, title: str, samples_ms: Sequence[float], marks: Mapping[str, float]
) -> Figure:
    """Return a histogram of single times.

    Args:
        name: Unique on the page.
        title: What was timed.
        samples_ms: At least one.
        marks: Figures to mark in it, by name: ``p95``.
    """
    ordered = sorted(samples_ms)
    low = min([ordered[0], *marks.values()])
    high = max([_nearest_rank(ordered, _DRAWN_SHARE), *marks.values()])
    if high <= low:
        low, high = 0.95 * low, 1.05 * high
    counts = [0] * _BINS
    for sample in ordered:
        if sample <= high:
            counts[min(int((sample - low) / (high - low) * _BINS), _BINS - 1)] += 1
    room = 0.03 * (high - low)
    frame = Frame(Axis("ms", low - room, high + room), Axis("inferences", 0.0, 1.15 * max(counts)))
    width = (high - low) / _BINS
    drawn: list[str] = []
    for i, count in enumerate(counts):
        left, right = frame.px(low + i * width), frame.px(low + (i + 1) * width)
        top = frame.py(count)
        drawn.append(
            f'<rect class="bar s0" x="{left}" y="{top}" width="{max(right - left - 0.6, 0.4):.2f}" '
            f'height="{frame.py(0) - top:.2f}"/>'
        )
    drawn += [frame.rule_x(value, label, "mark-line") for label, value in marks.items()]
    slower = sum(sample > high for sample in ordered)
    figures = "".join(f", {label} {value:.3g} ms" for label, value in marks.items())
    caption = f"{title}: {len(ordered)} inferences{figures}."
    if slower:
        caption += f" Not drawn: {slower} slower, up to {ordered[-1]:.3g} ms."
    return Figure(frame.draw(name, title, caption, "".join(drawn)), caption)


def _drawn_point(frame: Frame, point: Point, series: int) -> str:
    x, y = frame.px(point.cost[0]), frame.py(point.value[0])
    left, right = frame.px(max(point.cost[1], 0.0)), frame.px(point.cost[2])
    bottom, top = frame.py(point.value[1]), frame.py(point.value[2])
    parts = [
        f'<line class="error s{series % 4}" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>',
        f'<line class="error s{series % 4}" x1="{x}" x2="{x}" y1="{bottom}" y2="{top}"/>',
        marker(x, y, series=series, shape=_shape(point), hollow=point.verdict == "rejected"),
    ]
    if point.chosen:
        parts.append(f'<circle class="ring" cx="{x}" cy="{y}" r="10"/>')
    return "".join(parts)


def _shape(point: Point) -> int:
    return _SHAPES.index(point.precision) if point.precision in _SHAPES else len(_SHAPES)


def _extended(
    low: float, high: float, limits: Sequence[Limit]
) -> tuple[float, float, tuple[Limit, ...]]:
    """Return a range that includes the limits near the values, and these limits."""
    reach = _REACH * (high - low)
    shown = tuple(limit for limit in limits if low - reach <= limit.value <= high + reach)
    values = [limit.value for limit in shown]
    return min(low, *values, high), max(high, *values, low), shown


def _nearest_rank(ordered: Sequence[float], share: float) -> float:
    return ordered[max(1, math.ceil(share * len(ordered))) - 1]
