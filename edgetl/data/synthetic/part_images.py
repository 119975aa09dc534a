"""Synthetic images of single small parts on a conveyor, so that no download is needed.

Pose, scale, light, background, blur, noise, occlusion and distractors are random in each image.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgetl.data.synthetic.parts import CLASSES, class_of
from edgetl.data.synthetic.rendering import (
    Place,
    add_distractors,
    apply_exposure,
    background,
    box_of,
    find_outline,
    occlude,
    render_part,
)
from edgetl.data.synthetic.rng import TURN, Rng, turn
from edgetl.data.synthetic.shapes import Plane

SIZE = 160
"""Default height and width of an image, pixels."""

_JPEG_QUALITY = 92


@dataclass(frozen=True, slots=True)
class SyntheticImage:
    """One synthetic image with its labels."""

    pixels: NDArray[np.uint8]
    """Shape `(H, W, 3)`, RGB."""
    label: int
    """Index in `CLASSES`."""
    boxes: NDArray[np.float32]
    """Shape `(M, 4)`, xyxy, pixels, of each part, ignoring occlusion, clipped to the image."""
    box_labels: NDArray[np.int64]
    """Shape `(M,)`."""


def make_part_image(index: int, seed: int, *, size: int = SIZE) -> SyntheticImage:
    """Render image `index` of the set `seed`.

    Args:
        index: From 0; classes alternate.
        seed: Different seeds give different images.
        size: Height and width, pixels; a different size gives a different image.

    Returns:
        An image with one part, or two of the same class.
    """
    rng = Rng(seed, index)
    name = class_of(index)
    canvas = background(rng, size, size)
    light = turn(rng.below(TURN))
    add_distractors(canvas, rng, size)
    boxes: list[tuple[int, int, int, int]] = []
    place = _place(rng, size)
    if rng.happens(0.06):
        boxes.extend(_part(canvas, name, rng, light, _beside(place, size)))
    boxes.extend(_part(canvas, name, rng, light, place))
    if rng.happens(0.12):
        occlude(canvas, rng, place)
    pixels = apply_exposure(canvas, rng)
    return SyntheticImage(
        pixels=pixels,
        label=CLASSES.index(name),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        box_labels=np.full(len(boxes), CLASSES.index(name), np.int64),
    )


def write_part_folder(folder: Path, images: int, seed: int) -> None:
    """Write JPEG images into one folder per class, a layout for user data.

    JPEG bytes depend on the version of Pillow, unlike the pixels of `make_part_image`.
    """
    for index in range(images):
        target = folder / class_of(index) / f"{index:06d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(make_part_image(index, seed).pixels).save(target, quality=_JPEG_QUALITY)


def _part(
    canvas: Plane, name: str, rng: Rng, light: tuple[float, float], place: Place
) -> list[tuple[int, int, int, int]]:
    """Render one part; return its box, or an empty list if it is not visible."""
    height, width = canvas.shape[:2]
    outline = find_outline(name, rng, place, height=height, width=width)
    render_part(canvas, outline, rng, light)
    box = box_of(outline.mask(height, width))
    return [] if box is None else [box]


def _place(rng: Rng, size: int) -> Place:
    radius = size * rng.between(0.36, 0.47)
    margin = 0.95 * radius
    return Place(rng.between(margin, size - margin), rng.between(margin, size - margin), radius)


def _beside(place: Place, size: int) -> Place:
    """Return a place for a smaller second part, mirrored at the centre."""
    return Place(size - place.x, size - place.y, 0.8 * place.radius)
