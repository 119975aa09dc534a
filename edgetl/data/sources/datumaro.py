"""Datumaro, also exported by CVAT: `annotations/SPLIT.json` with items, of which boxes are read.

Boxes are x, y, width and height in pixels. A label number is a position in the list of labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from posixpath import basename, splitext

from edgetl.data.container import Container
from edgetl.data.sources import Box, Listing
from edgetl.data.sources._boxes import BoxReading, corners_of_size, rows
from edgetl.data.sources._datumaro import load, names_of, path_of
from edgetl.data.sources._json import Form, json_files
from edgetl.data.split_names import split_in
from edgetl.types import Fact, LabelKind

_SIDES = 4


class DatumaroSource:
    """Datumaro JSON files."""

    version = 1
    label_kind = LabelKind.BOXES
    expects = "Datumaro, annotations/*.json with items and categories"

    def recognises(self, container: Container) -> bool:
        """Return whether a JSON file has items and categories."""
        return bool(json_files(container, Form.DATUMARO))

    def list(self, container: Container) -> Listing:
        """Return the images with their boxes.

        Raises:
            DataError: If a file is not valid JSON or names no labels, only some images are in a
                split, or none is in train.
        """
        files = json_files(container, Form.DATUMARO)
        reading = BoxReading(container, "Datumaro", f"`categories` of {' and '.join(files)}")
        reading.files.extend(files)
        classes: dict[str, None] = {}
        for file in files:
            content = load(container, file)
            names = names_of(content, file)
            classes.update(dict.fromkeys(names))
            split = split_in(splitext(basename(file))[0])
            for item in rows(content, "items"):
                where = f"{file}, item '{item.get('id') if isinstance(item, dict) else item}'"
                image = reading.matching.image(path_of(item), file, where)
                if image is None:
                    continue
                if split:
                    reading.splits[image] = split
                kept = reading.boxes.setdefault(image, [])
                for position, annotation in enumerate(rows(item, "annotations")):
                    if _is_of_image(annotation):
                        continue
                    try:
                        kept.append(_box(annotation, names, f"{where}, annotation {position}"))
                    except ValueError as error:
                        reading.broken(f"{where}, annotation {position}: {error}", image)
        reading.classes = [*classes]
        return reading.listing()


def _is_of_image(annotation: Fact) -> bool:
    """Return whether an annotation is about the whole image, and so says nothing of boxes."""
    return isinstance(annotation, dict) and annotation.get("type") in {"label", "caption"}


def _box(annotation: Fact, names: Sequence[str], where: str) -> Box:
    """Return the box of an annotation; ValueError with the reason if it is none."""
    kind = annotation.get("type") if isinstance(annotation, dict) else None
    if kind != "bbox":
        raise ValueError(f"is a {str(kind)[:40]}; only bbox is read as a box")
    number = annotation.get("label_id")
    if not isinstance(number, int) or not 0 <= number < len(names):
        raise ValueError(f"there is no label with number {str(number)[:40]}")
    sides = rows(annotation, "bbox")
    if len(sides) != _SIDES:
        raise ValueError("bbox must be four numbers, x, y, width and height")
    place = dict(zip(("x", "y", "width", "height"), sides, strict=True))
    return Box(names[number], corners_of_size(place), where)


SOURCE = DatumaroSource()
