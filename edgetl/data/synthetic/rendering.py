"""Render synthetic images: background, parts, distractors, occluders and camera.

All arithmetic is integer, or float32 with single additions, products, quotients and roots, which
every machine rounds the same way: equal random numbers give equal bytes everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgetl.data.synthetic.rng import TURN, Rng, turn
from edgetl.data.synthetic.shapes import OUTLINES, Plane, Shape, triangle_wave

_BACKGROUNDS = ((58, 60, 62), (84, 86, 84), (42, 66, 54), (44, 60, 88), (74, 66, 56), (34, 34, 36))
_METALS = (
    (168, 170, 174),
    (146, 148, 150),
    (188, 190, 190),
    (186, 158, 96),
    (176, 160, 122),
    (126, 126, 130),
    (160, 112, 82),
)
_OCCLUDERS = ((24, 24, 26), (150, 48, 36), (40, 70, 130), (176, 150, 40), (120, 122, 124))
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """Position and size of a part."""

    x: float
    y: float
    radius: float
    """Pixels per unit of the part."""


@dataclass(frozen=True, slots=True)
class Outline:
    """The outline of one part on the canvas, within a window around it."""

    rows: slice
    columns: slice
    u: Plane
    v: Plane
    """Coordinates of the part."""
    shape: Shape
    distance: Plane
    """Distance to the outline in pixels, negative inside."""
    place: Place

    def mask(self, height: int, width: int) -> NDArray[np.bool_]:
        """Return the pixels of the canvas that are mostly inside, shape `(H, W)`."""
        mask = np.zeros((height, width), np.bool_)
        mask[self.rows, self.columns] = _inside(self.distance) > _HALF
        return mask


def _grid(height: int, width: int) -> tuple[Plane, Plane]:
    """Return x `(1, W)` and y `(H, 1)` of pixel centres."""
    x = np.arange(width, dtype=np.float32)[None, :]
    y = np.arange(height, dtype=np.float32)[:, None]
    return x + np.float32(0.5), y + np.float32(0.5)


def background(rng: Rng, height: int, width: int) -> Plane:
    """Return an empty background, `(H, W, 3)`, about 0 to 255."""
    x, y = _grid(height, width)
    c, s = turn(rng.below(TURN))
    pitch = rng.between(4.0, 16.0)
    along, across = (c * x + s * y) / pitch, (c * y - s * x) / pitch
    kind = rng.below(4)
    if kind == 0:
        pattern: Plane = np.zeros((height, width), np.float32)
    elif kind == 1:
        pattern = triangle_wave(along)
    elif kind == 2:  # noqa: PLR2004 - the third pattern
        pattern = triangle_wave(along) * triangle_wave(across)
    else:
        pattern = np.maximum(triangle_wave(along), triangle_wave(across))
    grain = _cloud(rng, height, width, cells=height // 2)
    stains = _cloud(rng, height, width, cells=5)
    tone = 1.0 + rng.between(0.02, 0.12) * pattern
    tone = tone * (1.0 + rng.between(0.02, 0.10) * grain) * (1.0 + rng.between(0.0, 0.2) * stains)
    for _ in range(rng.below(6)):
        c, s = turn(rng.below(TURN))
        off = c * (x - rng.between(0, width)) + s * (y - rng.between(0, height))
        scratch = np.maximum(1.0 - np.abs(off), 0.0)
        tone = tone + rng.between(-0.15, 0.25) * scratch
    base = np.array(_BACKGROUNDS[rng.below(len(_BACKGROUNDS))], np.float32)
    background: Plane = tone[:, :, None] * base
    return background


def _cloud(rng: Rng, height: int, width: int, *, cells: int) -> Plane:
    """Return smooth noise between -1 and 1 with `cells` values over the height."""
    rows, columns = max(2, cells), max(2, cells * width // height)
    coarse = rng.octets(rows * columns).reshape(rows, columns)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)
    return (np.asarray(smooth).astype(np.float32) - 127.5) / 127.5


def add_distractors(canvas: Plane, rng: Rng, size: int) -> None:
    """Add crumbs, shavings and drops of oil to the background."""
    height, width = canvas.shape[:2]
    for _ in range(rng.below(6)):
        reach = size * rng.between(0.012, 0.05)
        cx, cy = rng.between(0, width), rng.between(0, height)
        rows, columns, x, y = _window(height, width, cx, cy, 2.5 * reach)
        window = canvas[rows, columns]
        c, s = turn(rng.below(TURN))
        u, v = c * x + s * y, (c * y - s * x) * rng.between(1.0, 6.0)
        distance = np.sqrt(u * u + v * v) - np.float32(reach)
        if rng.happens(0.4):  # oil: a soft dark spot
            window *= 1.0 - 0.35 * _inside(distance / np.float32(0.4 * reach))[:, :, None]
        else:
            colour = np.array(_METALS[rng.below(len(_METALS))], np.float32)
            _blend(window, _inside(distance), colour * rng.between(0.4, 1.1))


def _window(
    height: int, width: int, cx: float, cy: float, reach: float
) -> tuple[slice, slice, Plane, Plane]:
    """Return rows and columns around a point, with x and y relative to the point."""
    left, right = max(0, int(cx - reach)), min(width, int(cx + reach) + 1)
    top, bottom = max(0, int(cy - reach)), min(height, int(cy + reach) + 1)
    x, y = _grid(max(0, bottom - top), max(0, right - left))
    x, y = x + np.float32(left - cx), y + np.float32(top - cy)
    return slice(top, max(top, bottom)), slice(left, max(left, right)), x, y


def _inside(distance: Plane) -> Plane:
    """Return the coverage of each pixel, 0 to 1, from the distance in pixels."""
    share: Plane = np.clip(0.5 - distance, 0.0, 1.0)
    return share


def _blend(window: Plane, amount: Plane, colour: Plane) -> None:
    """Blend `colour`, `(3,)` or `(h, w, 3)`, over the window."""
    window += amount[:, :, None] * (colour - window)


def find_outline(name: str, rng: Rng, place: Place, *, height: int, width: int) -> Outline:
    """Return the outline of one part on a canvas of this size, without rendering."""
    reach = 1.45 * place.radius
    rows, columns, x, y = _window(height, width, place.x, place.y, reach)
    u, v = _pose(x, y, rng, place.radius)
    shape = OUTLINES[name](u, v, rng)
    return Outline(rows, columns, u, v, shape, shape.distance * np.float32(place.radius), place)


def render_part(canvas: Plane, outline: Outline, rng: Rng, light: tuple[float, float]) -> None:
    """Render one part with its shadow."""
    window = canvas[outline.rows, outline.columns]
    distance, shape = outline.distance, outline.shape
    _shadow(window, distance, rng, light, outline.place.radius)
    metal = np.array(_METALS[rng.below(len(_METALS))], np.float32)
    bevel = np.clip(distance * np.float32(-1.0 / rng.between(1.5, 4.0)), 0.0, 1.0)
    slope = np.zeros_like(distance)
    slope[:, 1:-1] += (bevel[:, 2:] - bevel[:, :-2]) * np.float32(light[0])
    slope[1:-1, :] += (bevel[2:, :] - bevel[:-2, :]) * np.float32(light[1])
    shine = rng.between(-0.35, 0.35) * outline.u + rng.between(-0.35, 0.35) * outline.v
    tone = rng.between(0.75, 1.15) + shine - rng.between(0.2, 0.6) * slope
    if shape.relief is not None:
        tone = tone + rng.between(0.15, 0.4) * shape.relief
    dirt = _cloud(rng, *distance.shape, cells=6)
    tone = tone + rng.between(0.0, 0.25) * dirt
    _blend(window, _inside(distance), tone[:, :, None] * metal)


def box_of(mask: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Return the bounding box, xyxy, of a mask `(H, W)`; None if the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _pose(x: Plane, y: Plane, rng: Rng, radius: float) -> tuple[Plane, Plane]:
    """Return the part's coordinates: rotated, and foreshortened in a random direction."""
    c, s = turn(rng.below(TURN))
    p, q = turn(rng.below(TURN))
    tilt = 1.0 / rng.between(0.85, 1.0)
    # Perpendicular to (p, q) the part is narrower by the tilt.
    xx, xy, yy = p * p + tilt * q * q, (1.0 - tilt) * p * q, q * q + tilt * p * p
    a, b = (c * xx + s * xy) / radius, (c * xy + s * yy) / radius
    d, e = (c * xy - s * xx) / radius, (c * yy - s * xy) / radius
    mirror = -1.0 if rng.happens(0.5) else 1.0
    return a * x + b * y, mirror * (d * x + e * y)


def _shadow(
    window: Plane, distance: Plane, rng: Rng, light: tuple[float, float], radius: float
) -> None:
    length = radius * rng.between(0.04, 0.14)
    height, width = distance.shape
    across, down = round(-light[0] * length), round(-light[1] * length)
    # Pixels from beyond the window get the distance of its edge.
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - across, 0, width - 1)
    moved = distance[rows[:, None], columns[None, :]] / rng.between(1.5, 4.0)
    window *= 1.0 - rng.between(0.25, 0.6) * _inside(moved)[:, :, None]


def occlude(canvas: Plane, rng: Rng, place: Place) -> None:
    """Draw a cable, a strip or a rod over a part, off its centre."""
    height, width = canvas.shape[:2]
    x, y = _grid(height, width)
    c, s = turn(rng.below(TURN))
    half = place.radius * rng.between(0.06, 0.20)
    off = place.radius * rng.between(0.2, 0.9)
    across = c * (x - place.x) + s * (y - place.y) - np.float32(off)
    colour = np.array(_OCCLUDERS[rng.below(len(_OCCLUDERS))], np.float32)
    round_off = np.float32(1.15) - np.abs(across) * np.float32(0.6 / half)
    shadow = _inside((np.abs(across - np.float32(2.0)) - np.float32(half)) / np.float32(3.0))
    canvas *= 1.0 - np.float32(0.4) * shadow[:, :, None]
    _blend(canvas, _inside(np.abs(across) - np.float32(half)), round_off[:, :, None] * colour)


def apply_exposure(canvas: Plane, rng: Rng) -> NDArray[np.uint8]:
    """Return the image of a simulated camera: uneven light, colour cast, blur, noise."""
    height, width = canvas.shape[:2]
    x, y = _grid(height, width)
    c, s = turn(rng.below(TURN))
    ramp = (c * (x - width / 2) + s * (y - height / 2)) / np.float32(width)
    spot_x, spot_y = rng.between(0, width), rng.between(0, height)
    spot = ((x - spot_x) * (x - spot_x) + (y - spot_y) * (y - spot_y)) / np.float32(width * width)
    light = rng.between(0.85, 1.25) + rng.between(0.0, 0.4) * ramp - rng.between(0.0, 0.3) * spot
    cast = np.array([rng.between(0.88, 1.12), 1.0, rng.between(0.88, 1.12)], np.float32)
    lifted = rng.between(0, 24)
    scene = canvas * light[:, :, None] * cast + lifted
    levels = np.clip(np.rint(scene), 0, 255).astype(np.uint16)
    for _ in range(rng.below(2)):
        levels = _soften(_soften(levels, 0), 1)
    if rng.happens(0.25):  # motion blur: the conveyor runs along x
        levels = _smear(levels, 2 + rng.below(5))
    strength = rng.between(1.0, 7.0) / 104.0
    first, second = rng.octets(2 * levels.size).reshape(2, *levels.shape).astype(np.int16)
    noisy = levels.astype(np.float32) + (first + second - 255).astype(np.float32) * strength
    pixels: NDArray[np.uint8] = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return pixels


def _soften(levels: NDArray[np.uint16], axis: int) -> NDArray[np.uint16]:
    """Return the levels filtered with 1, 2, 1 along an axis, rounded half up; edges repeat."""
    ends = [(1, 1) if k == axis else (0, 0) for k in range(3)]
    wide = np.pad(levels, ends, mode="edge")
    count = levels.shape[axis]
    low, mid, high = (
        wide[k : k + count] if axis == 0 else wide[:, k : k + count] for k in range(3)
    )
    return (low + mid + mid + high + np.uint16(2)) // np.uint16(4)


def _smear(levels: NDArray[np.uint16], length: int) -> NDArray[np.uint16]:
    """Return the mean of `length` neighbours along x, rounded half up; the edge repeats."""
    wide = np.pad(levels, ((0, 0), (0, length - 1), (0, 0)), mode="edge")
    total = np.zeros_like(levels)
    for k in range(length):
        total += wide[:, k : k + levels.shape[1]]
    return (total + np.uint16(length // 2)) // np.uint16(length)
