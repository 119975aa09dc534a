"""Outlines of small parts as signed distances.

Every function takes the part's coordinates `u`, `v`, float32, in which the part fits into
[-1, 1] x [-1, 1], and a random generator for the proportions. Distances are negative inside. Only
additions, products, quotients, roots and comparisons are used, which every machine rounds the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgetl.data.synthetic.rng import TURN, Rng, turn

Plane = NDArray[np.floating]
"""Always float32; numpy's type stubs widen it at every scalar."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The outline of one part and the brightness of its surface."""

    distance: Plane
    """Distance to the outline in units of the part, negative inside."""
    relief: Plane | None = None
    """Brightness from threads, coils and recesses, about -1 to 1."""


def washer(u: Plane, v: Plane, rng: Rng) -> Shape:
    """Return a disc with a hole."""
    radius = _length(u, v)
    hole = rng.between(0.45, 0.64)
    distance = np.maximum(radius - 0.9, hole - radius)
    if rng.happens(0.15):  # a spring washer is cut open
        distance = np.maximum(distance, 0.05 - np.maximum(np.abs(v), -u))
    return Shape(distance)


def nut(u: Plane, v: Plane, rng: Rng) -> Shape:
    """Return a hexagon with a threaded hole and rounded corners."""
    radius = _length(u, v)
    hexagon = _hexagon(u, v, rng.between(0.76, 0.80))
    outer = np.maximum(hexagon, radius - rng.between(0.86, 0.94))
    hole = rng.between(0.34, 0.50)
    relief = np.where(radius < hole + 0.12, np.float32(-0.35), np.float32(0.0))
    return Shape(np.maximum(outer, hole - radius), relief)


def gear(u: Plane, v: Plane, rng: Rng) -> Shape:
    """Return a toothed wheel; each bar through the centre makes two teeth."""
    radius = _length(u, v)
    bars = 4 + rng.below(5)
    root = rng.between(0.70, 0.80)
    half_width = rng.between(0.40, 0.58) * 1.3 / bars
    distance = radius - root
    for k in range(bars):
        c, s = turn(k * TURN // (2 * bars))
        tooth = np.maximum(np.abs(c * v - s * u) - half_width, np.abs(c * u + s * v) - 0.93)
        distance = np.minimum(distance, tooth)
    hole = rng.between(0.15, 0.40)
    hub = np.where(radius < hole + 0.15, np.float32(0.25), np.float32(0.0))
    return Shape(np.maximum(distance, hole - radius), hub)


def screw(u: Plane, v: Plane, rng: Rng) -> Shape:
    """Return a screw from the side, or occasionally its head from above."""
    if rng.happens(0.06):
        return _screw_head(u, v, rng)
    head_end = -0.93 + rng.between(0.18, 0.32)
    head_half = rng.between(0.28, 0.40)
    half = rng.between(0.11, 0.18)
    pitch = rng.between(0.09, 0.15)
    thread = triangle_wave((u + rng.between(-0.5, 0.5) * v) / pitch)
    if rng.happens(0.5):  # countersunk: the head narrows to the shaft
        taper = (u + 0.93) * ((head_half - half) / (head_end + 0.93))
        head = np.maximum(_slab(u, -0.93, head_end), np.abs(v) - (head_half - taper))
    else:
        head = np.maximum(_slab(u, -0.93, head_end), np.abs(v) - head_half)
    point = np.maximum(u - rng.between(0.6, 0.9), 0.0) * rng.between(0.0, 1.0)
    shaft = np.maximum(_slab(u, head_end, 0.93), np.abs(v) - (half - point + 0.035 * thread))
    round_off = 0.5 - np.abs(v) * (0.8 / head_half)
    relief = np.where(u > head_end, 0.5 * thread, 0.0) + round_off
    return Shape(np.minimum(head, shaft), relief)


def spring(u: Plane, v: Plane, rng: Rng) -> Shape:
    """Return a coil from the side: slanted wires in front, darker ones behind."""
    half = rng.between(0.20, 0.36)
    pitch = 1.8 / (6 + rng.below(7))
    wire = pitch * rng.between(0.20, 0.30)
    inside = np.maximum(np.abs(v) - half, np.abs(u) - 0.9)
    near, far = _strands(u, v, pitch, half), _strands(u, -v, pitch, half)
    front = np.maximum(near - wire, inside)
    back = np.maximum(far - wire, inside)
    ends = np.maximum(np.abs(np.abs(u) - 0.9) - wire, np.abs(v) - half)
    front = np.minimum(front, ends)
    roundness = 0.6 - np.minimum(near, wire) * (0.8 / wire)
    relief = np.where(front < 0, roundness, -0.9) - (0.6 / half) * np.maximum(
        np.abs(v) - 0.4 * half, 0
    )
    return Shape(np.minimum(front, back), relief)


def bracket(u: Plane, v: Plane, rng: Rng) -> Shape:
    """Return an angle bracket or a flat plate with holes."""
    thick = rng.between(0.40, 0.62)
    if rng.happens(0.2):
        distance = np.maximum(np.abs(u) - 0.92, np.abs(v) - 0.5 * thick - 0.05)
        holes = ((-0.6, 0.0), (0.6, 0.0), (0.0, 0.0))
    else:
        low = np.maximum(_slab(u, -0.8, 0.8), _slab(v, 0.8 - thick, 0.8))
        side = np.maximum(_slab(u, -0.8, -0.8 + thick), _slab(v, -0.8, 0.8))
        distance = np.minimum(low, side)
        middle = 0.8 - 0.5 * thick
        holes = ((0.5, middle), (-middle, -0.5), (-middle, middle))
    radius = rng.between(0.09, 0.15)
    for x, y in holes[: 2 + rng.below(2)]:
        distance = np.maximum(distance, radius - _length(u - x, v - y))
    fold = np.where(v > 0.8 - thick, np.float32(0.15), np.float32(-0.15))
    return Shape(distance, fold)


OUTLINES: dict[str, Callable[[Plane, Plane, Rng], Shape]] = {
    "bracket": bracket,
    "gear": gear,
    "nut": nut,
    "screw": screw,
    "spring": spring,
    "washer": washer,
}
"""The outline function of each class in `parts.CLASSES`."""


def triangle_wave(x: Plane) -> Plane:
    """Return a triangle wave of period 1 between -1 and 1."""
    return 4.0 * np.abs(x - np.rint(x)) - 1.0


def _screw_head(u: Plane, v: Plane, rng: Rng) -> Shape:
    """Return a round or hexagonal head with a recess, which is dark but not a hole."""
    radius = _length(u, v)
    head = radius - 0.8 if rng.happens(0.6) else _hexagon(u, v, 0.72)
    if rng.happens(0.5):
        recess = _hexagon(u, v, rng.between(0.22, 0.38))
    else:
        cross = np.minimum(np.maximum(np.abs(u) - 0.09, np.abs(v) - 0.45), np.abs(v) - 0.09)
        recess = np.maximum(cross, np.abs(u) - 0.45)
    return Shape(head, np.where(recess < 0, np.float32(-1.2), np.float32(0.1)))


def _hexagon(u: Plane, v: Plane, apothem: float) -> Plane:
    c, s = turn(TURN // 6)
    slanted = np.maximum(np.abs(c * u + s * v), np.abs(c * u - s * v))
    return np.maximum(slanted, np.abs(u)) - apothem


def _strands(u: Plane, v: Plane, pitch: float, half: float) -> Plane:
    """Return the distance to slanted parallel lines that climb half a pitch over the height."""
    slope = 0.25 * pitch / half
    along = u - slope * v
    off = along - pitch * np.rint(along / pitch)
    distance: Plane = np.abs(off) / math.sqrt(1.0 + slope * slope)
    return distance


def _slab(x: Plane, low: float, high: float) -> Plane:
    distance: Plane = np.abs(x - 0.5 * (low + high)) - 0.5 * (high - low)
    return distance


def _length(x: Plane, y: Plane) -> Plane:
    length: Plane = np.sqrt(x * x + y * y)
    return length
