"""COCO without boxes: annotations with an image and a category, as iNaturalist and camera traps.

The split of a file follows from its name or folder, such as `train2019.json`.
"""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import basename, splitext

from edgetl.data.container import Container
from edgetl.data.sources import Listing
from edgetl.data.sources._boxes import rows
from edgetl.data.sources._classes import ClassReading
from edgetl.data.sources._json import Form, json_files, read_json
from edgetl.data.split_names import split_in
from edgetl.errors import DataError
from edgetl.types import Fact, LabelKind


class JsonClassesSource:
    """COCO JSON files in which no annotation has a box or an outline."""

    version = 1
    label_kind = LabelKind.CLASSES
    expects = "COCO without boxes, a JSON file with images, annotations and categories"

    def recognises(self, container: Container) -> bool:
        """Return whether a JSON file has annotations with categories alone."""
        return bool(json_files(container, Form.COCO_CLASSES))

    def list(self, container: Container) -> Listing:
        """Return the images with their categories.

        Raises:
            DataError: If a file is not valid JSON, only some images are in a split, or none is in
                train.
        """
        files = json_files(container, Form.COCO_CLASSES)
        reading = ClassReading(container, "COCO", f"`categories` of {' and '.join(files)}")
        reading.files.extend(files)
        for file in files:
            content = _load(container, file)
            images = dict(_named(content, "images", "file_name"))
            categories = dict(_named(content, "categories", "name"))
            split = split_in(splitext(basename(file))[0])
            for position, row in enumerate(rows(content, "annotations")):
                where = f"{file}, annotation {position}"
                path = images.get(_text(row, "image_id"), "")
                label = categories.get(_text(row, "category_id"), "")
                image = reading.matching.image(path, file, where) if label else None
                if image:
                    reading.add(image, label, where, split)
        return reading.listing()


def _load(container: Container, file: str) -> Fact:
    try:
        return read_json(container, file)
    except ValueError as error:
        raise DataError(f"{file}: {error}", remedy="export it again") from error


def _named(content: Fact, table: str, key: str) -> Iterator[tuple[str, str]]:
    """Yield the ids of a table, as text, with the value of a key."""
    for row in rows(content, table):
        yield _text(row, "id"), _text(row, key)


def _text(row: Fact, key: str) -> str:
    """Return a value as text; empty if there is none."""
    value = row.get(key) if isinstance(row, dict) else None
    return "" if value is None else str(value).strip()


SOURCE = JsonClassesSource()
