"""Photos of small parts on a conveyor, drawn so that nothing has to be downloaded.

Pose, scale, light, belt, blur, noise, occlusion and distractors vary with the dice of each photo.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgetl.data.dice import TURN, Dice, turn
from edgetl.data.painting import (
    Place,
    belt,
    box_of,
    cover,
    expose,
    find_outline,
    litter,
    paint_part,
)
from edgetl.data.parts import CLASSES, class_of
from edgetl.data.shapes import Plane

SIZE = 160
"""Default height and width of a photo, pixels."""

_JPEG_QUALITY = 92


@dataclass(frozen=True, slots=True)
class DrawnPhoto:
    """One drawn photo with what it shows."""

    pixels: NDArray[np.uint8]
    """Shape `(H, W, 3)`, RGB."""
    label: int
    """Position in `CLASSES`."""
    boxes: NDArray[np.float32]
    """Shape `(M, 4)`, xyxy, pixels, of each part as if nothing lay over it, cut at the border."""
    box_labels: NDArray[np.int64]
    """Shape `(M,)`."""


def draw_part(index: int, seed: int, *, size: int = SIZE) -> DrawnPhoto:
    """Draw photo `index` of the set `seed`.

    Args:
        index: From 0; classes take turns.
        seed: Another seed gives other photos.
        size: Height and width, pixels. Another size is another photo.

    Returns:
        A photo with one part, or two of the same class.
    """
    dice = Dice(seed, index)
    name = class_of(index)
    canvas = belt(dice, size, size)
    light = turn(dice.below(TURN))
    litter(canvas, dice, size)
    boxes: list[tuple[int, int, int, int]] = []
    place = _place(dice, size)
    if dice.happens(0.06):
        boxes.extend(_part(canvas, name, dice, light, _beside(place, size)))
    boxes.extend(_part(canvas, name, dice, light, place))
    if dice.happens(0.12):
        cover(canvas, dice, place)
    pixels = expose(canvas, dice)
    return DrawnPhoto(
        pixels=pixels,
        label=CLASSES.index(name),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        box_labels=np.full(len(boxes), CLASSES.index(name), np.int64),
    )


def draw_folder(folder: Path, photos: int, seed: int) -> None:
    """Write JPEG photos into one folder per class, as users keep their own.

    The bytes of JPEG files depend on the version of Pillow, unlike the pixels of `draw_part`.
    """
    for index in range(photos):
        target = folder / class_of(index) / f"{index:06d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_part(index, seed).pixels).save(target, quality=_JPEG_QUALITY)


def _part(
    canvas: Plane, name: str, dice: Dice, light: tuple[float, float], place: Place
) -> list[tuple[int, int, int, int]]:
    """Draw one part; return its box, or nothing if it is out of sight."""
    height, width = canvas.shape[:2]
    outline = find_outline(name, dice, place, height=height, width=width)
    paint_part(canvas, outline, dice, light)
    box = box_of(outline.mask(height, width))
    return [] if box is None else [box]


def _place(dice: Dice, size: int) -> Place:
    radius = size * dice.between(0.36, 0.47)
    margin = 0.95 * radius
    return Place(dice.between(margin, size - margin), dice.between(margin, size - margin), radius)


def _beside(place: Place, size: int) -> Place:
    """Return a place for a smaller second part on the other side of the middle."""
    return Place(size - place.x, size - place.y, 0.8 * place.radius)
