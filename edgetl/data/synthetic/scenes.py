"""Scenes of several small parts on a conveyor, with a box around each.

Where parts lie and how they are turned is thrown with other dice than how all is painted, so that
boxes can be had without painting.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgetl.data.synthetic.parts import CLASSES, main_class
from edgetl.data.synthetic.rendering import (
    Outline,
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

SIZE = 160
"""Default height and width of a scene, pixels."""

_MAX_PARTS = 5
_MAX_THROWS = 20
_JPEG_QUALITY = 92
# Purposes of dice.
_ARRANGING, _PAINTING, _PART = 1, 2, 3


@dataclass(frozen=True, slots=True)
class SyntheticScene:
    """One drawn scene with what it shows."""

    pixels: NDArray[np.uint8]
    """Shape `(H, W, 3)`, RGB."""
    boxes: NDArray[np.float32]
    """Shape `(M, 4)`, xyxy, pixels: around what is seen of each part between other parts and inside
    the border. A cable that crosses a part does not shrink its box."""
    labels: NDArray[np.int64]
    """Shape `(M,)`, positions in `CLASSES`."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One part that lies on the belt; later ones lie over earlier ones."""

    name: str
    outline: Outline
    rng: Rng
    """To paint it with."""


def make_scene(index: int, seed: int, *, size: int = SIZE) -> SyntheticScene:
    """Draw scene `index` of the set `seed`.

    Args:
        index: From 0; every twentieth belt is empty.
        seed: Another seed gives other scenes.
        size: Height and width, pixels. Another size is another scene.

    Returns:
        A scene with up to five parts of any classes.
    """
    parts = _arrange(index, seed, size)
    rng = Rng(seed, index, _PAINTING)
    canvas = background(rng, size, size)
    light = turn(rng.below(TURN))
    add_distractors(canvas, rng, size)
    for part in parts:
        render_part(canvas, part.outline, part.rng, light)
    if parts and rng.happens(0.15):
        occlude(canvas, rng, parts[rng.below(len(parts))].outline.place)
    boxes, labels = _boxes(parts, size)
    return SyntheticScene(apply_exposure(canvas, rng), boxes, labels)


def scene_boxes(
    index: int, seed: int, *, size: int = SIZE
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return boxes and labels of what `make_scene` draws, without painting it."""
    return _boxes(_arrange(index, seed, size), size)


def write_scene_folder(folder: Path, images: int, seed: int) -> None:
    """Write JPEG images and YOLO labels, as users keep their own.

    The bytes of JPEG files depend on the version of Pillow, unlike the pixels of `make_scene`.
    """
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(CLASSES))
    (folder / "data.yaml").write_text(f"names:\n{names}", encoding="utf-8")
    for index in range(images):
        scene = make_scene(index, seed)
        image = Image.fromarray(scene.pixels)
        image.save(folder / "images" / f"{index:06d}.jpg", quality=_JPEG_QUALITY)
        height, width = scene.pixels.shape[:2]
        lines = []
        for label, (left, top, right, bottom) in zip(scene.labels, scene.boxes, strict=True):
            x, y = (left + right) / 2 / width, (top + bottom) / 2 / height
            w, h = (right - left) / width, (bottom - top) / height
            lines.append(f"{label} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n")
        (folder / "labels" / f"{index:06d}.txt").write_text("".join(lines), encoding="utf-8")


def _arrange(index: int, seed: int, size: int) -> list[_Part]:
    """Return the parts of a scene from the lowest to the uppermost."""
    first = main_class(index)
    if first is None:
        return []
    rng = Rng(seed, index, _ARRANGING)
    names = [first, *(CLASSES[rng.below(len(CLASSES))] for _ in range(rng.below(_MAX_PARTS)))]
    places: list[Place] = []
    parts = []
    for number, name in enumerate(names):
        place = _place(rng, size, places)
        if place is None:  # the belt is full
            break
        places.append(place)
        of_part = Rng(seed, index, _PART, number + 1)
        outline = find_outline(name, of_part, place, height=size, width=size)
        parts.append(_Part(name, outline, of_part))
    return parts


def _place(rng: Rng, size: int, others: list[Place]) -> Place | None:
    """Return a place that covers no other part too much; None after many throws in vain."""
    radius = size * rng.between(0.11, 0.21)
    # One in five may be cut by the border, one in five may lie over another.
    margin = radius * (0.45 if rng.happens(0.2) else 1.0)
    apart = 0.65 if rng.happens(0.2) else 1.0
    for _ in range(_MAX_THROWS):
        place = Place(
            rng.between(margin, size - margin), rng.between(margin, size - margin), radius
        )
        if all(_are_apart(place, other, apart) for other in others):
            return place
    return None


def _are_apart(one: Place, other: Place, apart: float) -> bool:
    wanted = apart * (one.radius + other.radius)
    across, down = one.x - other.x, one.y - other.y
    return across * across + down * down >= wanted * wanted


def _boxes(parts: list[_Part], size: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    covered = np.zeros((size, size), np.bool_)
    found: list[tuple[tuple[int, int, int, int], int]] = []
    for part in reversed(parts):
        mask = part.outline.mask(size, size)
        box = box_of(mask & ~covered)
        covered |= mask
        if box is not None:
            found.append((box, CLASSES.index(part.name)))
    found.reverse()
    boxes = np.array([box for box, _ in found], np.float32).reshape(-1, 4)
    return boxes, np.array([label for _, label in found], np.int64)
