"""LabelMe: one JSON file per image with shapes, of which rectangles are read.

Points are in pixels of the image as stored, of which the file states width and height.
"""

from __future__ import annotations

from posixpath import splitext

from edgetl.data.container import Container
from edgetl.data.sources import Box, Listing
from edgetl.data.sources._boxes import BoxReading, rows, text
from edgetl.data.sources._json import Form, json_files, read_json
from edgetl.types import Fact, LabelKind

_MIN_POINTS = 2


class LabelMeSource:
    """LabelMe JSON files."""

    version = 1
    label_kind = LabelKind.BOXES
    expects = "LabelMe, a JSON file with shapes beside each image"

    def recognises(self, container: Container) -> bool:
        """Return whether a JSON file has shapes and the path of an image."""
        return bool(json_files(container, Form.LABELME))

    def list(self, container: Container) -> Listing:
        """Return the images with the rectangles of their JSON files.

        Raises:
            DataError: If only some images are in a split, or none is in train.
        """
        files = json_files(container, Form.LABELME)
        reading = BoxReading(container, "LabelMe", "`label` of the JSON files")
        reading.files.extend(files)
        for file in files:
            try:
                content = read_json(container, file)
            except ValueError as error:
                reading.broken(f"{file}: {error}", _beside(reading, file, ""))
                continue
            stated = content.get("imagePath") if isinstance(content, dict) else None
            path = _beside(reading, file, str(stated or ""))
            image = reading.matching.image(path, file, file)
            if image is None:
                continue
            size = _size(content)
            if size:
                reading.sizes[image] = size
            kept = reading.boxes.setdefault(image, [])
            for position, shape in enumerate(rows(content, "shapes")):
                where = f"{file}, shape {position}"
                try:
                    kept.append(_box(shape, where))
                except ValueError as error:
                    reading.broken(f"{where}: {error}", image)
        return reading.listing()


def _beside(reading: BoxReading, file: str, stated: str) -> str:
    """Return the image with the name of a JSON file; the stated path if there is none.

    Renaming images leaves the stated path behind.
    """
    stem = splitext(file)[0]
    images = reading.matching.lookup.find(stem, file)
    return images[0] if len(images) == 1 or not stated else stated


def _size(content: Fact) -> tuple[int, int] | None:
    height, width = content.get("imageHeight"), content.get("imageWidth")
    if isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0:
        return height, width
    return None


def _box(shape: Fact, where: str) -> Box:
    """Return the box of a rectangle; ValueError with the reason if it is another shape."""
    kind = shape.get("shape_type") if isinstance(shape, dict) else None
    if kind != "rectangle":
        raise ValueError(f"is a {str(kind)[:40]}; only rectangles are read as boxes")
    points = rows(shape, "points")
    if len(points) < _MIN_POINTS or not all(map(_is_point, points)):
        raise ValueError("points must be two corners or more, x and y in pixels")
    across, down = zip(*points, strict=True)
    corners = (float(min(across)), float(min(down)), float(max(across)), float(max(down)))
    return Box(text(shape, "label"), corners, where)


def _is_point(point: Fact) -> bool:
    return (
        isinstance(point, list)
        and len(point) == 2  # noqa: PLR2004 - x and y
        and all(isinstance(value, int | float) and -1e9 < value < 1e9 for value in point)  # noqa: PLR2004 - larger than any image
    )


SOURCE = LabelMeSource()
