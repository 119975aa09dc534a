"""Datumaro, one class per image: `annotations/SPLIT.json` with a label for each item."""

from __future__ import annotations

from posixpath import basename, splitext

from edgetl.data.container import Container
from edgetl.data.sources import Listing
from edgetl.data.sources._boxes import rows
from edgetl.data.sources._classes import ClassReading
from edgetl.data.sources._datumaro import load, names_of, path_of
from edgetl.data.sources._json import Form, json_files
from edgetl.data.split_names import split_in
from edgetl.types import LabelKind


class DatumaroClassesSource:
    """Datumaro JSON files without anything but labels of images."""

    version = 1
    label_kind = LabelKind.CLASSES
    expects = "Datumaro, annotations/*.json with a label for each item"

    def recognises(self, container: Container) -> bool:
        """Return whether a JSON file has items with labels alone."""
        return bool(json_files(container, Form.DATUMARO_CLASSES))

    def list(self, container: Container) -> Listing:
        """Return the images with their labels.

        Raises:
            DataError: If a file is not valid JSON or names no labels, only some images are in a
                split, or none is in train.
        """
        files = json_files(container, Form.DATUMARO_CLASSES)
        reading = ClassReading(container, "Datumaro", f"`categories` of {' and '.join(files)}")
        reading.files.extend(files)
        for file in files:
            content = load(container, file)
            names = names_of(content, file)
            split = split_in(splitext(basename(file))[0])
            for item in rows(content, "items"):
                path = path_of(item)
                where = f"{file}, item '{path}'"
                image = reading.matching.image(path, file, where)
                for annotation in rows(item, "annotations") if image else ():
                    number = annotation.get("label_id") if isinstance(annotation, dict) else None
                    if image and isinstance(number, int) and 0 <= number < len(names):
                        reading.add(image, names[number], where, split)
        return reading.listing()


SOURCE = DatumaroClassesSource()
