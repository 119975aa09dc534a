"""Synthetic scenes of several small parts on a conveyor, with a box around each.

Positions and poses use a different random generator than rendering, so that boxes can be computed
without rendering.
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
_MAX_TRIES = 20
_JPEG_QUALITY = 92
# Purposes of random generators.
_LAYOUT, _RENDERING, _PART = 1, 2, 3


@dataclass(frozen=True, slots=True)
class SyntheticScene:
    """One synthetic scene with its labels."""

    pixels: NDArray[np.uint8]
    """Shape `(H, W, 3)`, RGB."""
    boxes: NDArray[np.float32]
    """Shape `(M, 4)`, xyxy, pixels: the part of each object not covered by other parts, clipped to
    the image. A cable across a part does not shrink its box."""
    labels: NDArray[np.int64]
    """Shape `(M,)`, indices in `CLASSES`."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of a scene; later parts cover earlier ones."""

    name: str
    outline: Outline
    rng: Rng
    """Generator for rendering."""


def make_scene(index: int, seed: int, *, size: int = SIZE) -> SyntheticScene:
    """Render scene `index` of the set `seed`.

    Args:
        index: From 0; every twentieth scene is empty.
        seed: Different seeds give different scenes.
        size: Height and width, pixels; a different size gives a different scene.

    Returns:
        A scene with up to five parts of any classes.
    """
    parts = _arrange(index, seed, size)
    rng = Rng(seed, index, _RENDERING)
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
    """Return boxes and labels of a scene from `make_scene` without rendering it."""
    return _boxes(_arrange(index, seed, size), size)


def write_scene_folder(folder: Path, images: int, seed: int) -> None:
    """Write JPEG images and YOLO labels, a layout for user data.

    JPEG bytes depend on the version of Pillow, unlike the pixels of `make_scene`.
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
    """Return the parts of a scene from bottom to top."""
    first = main_class(index)
    if first is None:
        return []
    rng = Rng(seed, index, _LAYOUT)
    names = [first, *(CLASSES[rng.below(len(CLASSES))] for _ in range(rng.below(_MAX_PARTS)))]
    places: list[Place] = []
    parts = []
    for number, name in enumerate(names):
        place = _place(rng, size, places)
        if place is None:  # no space left
            break
        places.append(place)
        of_part = Rng(seed, index, _PART, number + 1)
        outline = find_outline(name, of_part, place, height=size, width=size)
        parts.append(_Part(name, outline, of_part))
    return parts


def _place(rng: Rng, size: int, others: list[Place]) -> Place | None:
    """Return a place that covers no other part too much; None if all tries fail."""
    radius = size * rng.between(0.11, 0.21)
    # One in five may be cut off by the border, one in five may overlap another part.
    margin = radius * (0.45 if rng.happens(0.2) else 1.0)
    apart = 0.65 if rng.happens(0.2) else 1.0
    for _ in range(_MAX_TRIES):
        place = Place(
            rng.between(margin, size - margin), rng.between(margin, size - margin), radius
        )
        if all(_are_apart(place, other, apart) for other in others):
            return place
    return None


def _are_apart(one: Place, other: Place, apart: float) -> bool:
    distance = apart * (one.radius + other.radius)
    across, down = one.x - other.x, one.y - other.y
    return across * across + down * down >= distance * distance


def _boxes(parts: list[_Part], size: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    covered = np.zeros((size, size), np.bool_)
    labelled: list[tuple[tuple[int, int, int, int], int]] = []
    for part in reversed(parts):
        mask = part.outline.mask(size, size)
        box = box_of(mask & ~covered)
        covered |= mask
        if box is not None:
            labelled.append((box, CLASSES.index(part.name)))
    labelled.reverse()
    boxes = np.array([box for box, _ in labelled], np.float32).reshape(-1, 4)
    return boxes, np.array([label for _, label in labelled], np.int64)
