"""Datumaro, also exported by CVAT: `annotations/SPLIT.json` with items, of which boxes are read.

Boxes are x, y, width and height in pixels. A label number is a position in the list of labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from posixpath import basename, splitext

from edgetl.data.container import Container
from edgetl.data.sources import Box, Listing
from edgetl.data.sources._boxes import BoxReading, corners_of_size, rows
from edgetl.data.sources._json import Form, json_files, read_json
from edgetl.data.split_names import split_in
from edgetl.errors import DataError
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
            try:
                content = read_json(container, file)
            except ValueError as error:
                raise DataError(f"{file}: {error}", remedy="export it again") from error
            names = _names(content, file)
            classes.update(dict.fromkeys(names))
            split = split_in(splitext(basename(file))[0])
            for item in rows(content, "items"):
                where = f"{file}, item '{item.get('id') if isinstance(item, dict) else item}'"
                image = reading.matching.image(_path(item), file, where)
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


def _names(content: Fact, file: str) -> list[str]:
    """Return the names of the labels, in the order of their numbers."""
    categories = content.get("categories") if isinstance(content, dict) else None
    labels = rows(categories, "label", "labels")
    names = [label.get("name") for label in labels if isinstance(label, dict)]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise DataError(
            f"{file}: `categories: label: labels` names no labels",
            remedy="export it again with labels, or exclude it with `data: {exclude: [...]}`",
        )
    return [str(name) for name in names]


def _path(item: Fact) -> str:
    """Return the path of an item's image, which older versions only give as its id."""
    if not isinstance(item, dict):
        return ""
    for key in ("image", "media"):
        media = item.get(key)
        if isinstance(media, dict) and isinstance(media.get("path"), str) and media["path"]:
            return str(media["path"])
    return str(item.get("id") or "")


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
