"""Boxes around the outlines of objects: polygons, oriented boxes and masks of COCO."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgetl.types import Fact

Corners = tuple[float, float, float, float]

_FAR = 1e9
"""Larger than any coordinate of an image."""
_LEAST_POINTS = 3


def around_points(numbers: Sequence[float]) -> Corners | None:
    """Return the box around points x, y, x, y, ...; None unless there are three at least."""
    if len(numbers) < 2 * _LEAST_POINTS or len(numbers) % 2:
        return None
    xs, ys = numbers[::2], numbers[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def around_oriented(x: float, y: float, width: float, height: float, radians: float) -> Corners:
    """Return the box around a rectangle that is turned about its centre."""
    cosine, sine = abs(math.cos(radians)), abs(math.sin(radians))
    across, down = (width * cosine + height * sine) / 2, (width * sine + height * cosine) / 2
    return x - across, y - down, x + across, y + down


def around_segmentation(segmentation: Fact) -> Corners | None:
    """Return the box around a segmentation of COCO, polygons or a mask; None if it is neither."""
    if isinstance(segmentation, dict):
        return _around_mask(segmentation)
    boxes = []
    for polygon in segmentation if isinstance(segmentation, list) else ():
        if not isinstance(polygon, list) or not all(map(_is_coordinate, polygon)):
            return None
        box = around_points([float(number) for number in polygon])
        if box is None:
            return None
        boxes.append(box)
    return _union(boxes)


def _around_mask(mask: Fact) -> Corners | None:
    """Return the box around a mask in run lengths, which go down its columns."""
    size, counts = mask.get("size"), mask.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not isinstance(size[0], int):  # noqa: PLR2004
        return None
    if isinstance(counts, str):
        counts = _decoded_counts(counts)
    height = size[0]
    if height < 1 or not isinstance(counts, list):
        return None
    boxes, start = [], 0
    for position, count in enumerate(counts):
        if not isinstance(count, int) or count < 0:
            return None
        if position % 2 and count:
            boxes.append(_around_run(start, start + count, height))
        start += count
    return _union(boxes)


def _around_run(start: int, stop: int, height: int) -> Corners:
    """Return the box around the pixels from `start` to `stop`, counted down the columns."""
    left, right = start // height, (stop - 1) // height
    if left != right:
        return float(left), 0.0, float(right + 1), float(height)
    return float(left), float(start % height), float(right + 1), float((stop - 1) % height + 1)


def _decoded_counts(text: str) -> list[int] | None:
    """Return the run lengths that COCO packs into text; None if it is cut short.

    Five bits in a character, the lowest first, with a sixth where more follow; from the third run
    on they are differences to the run before the last one (pycocotools, `rleFrString`).
    """
    counts: list[int] = []
    position = 0
    while position < len(text):
        value = shift = 0
        more = True
        while more:
            if position == len(text):
                return None
            bits = ord(text[position]) - 48
            value |= (bits & 0x1F) << shift
            more = bool(bits & 0x20)
            shift += 5
            position += 1
            if not more and bits & 0x10:
                value |= -1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))  # noqa: PLR2004
    return counts


def _union(boxes: Sequence[Corners]) -> Corners | None:
    if not boxes:
        return None
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _is_coordinate(value: Fact) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -_FAR < value < _FAR
