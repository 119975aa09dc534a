"""CreateML: a JSON list of images with annotations, one file per split or one for all.

A box has its centre, width and height in pixels (`train/_annotations.createml.json`).
"""

from __future__ import annotations

from collections.abc import Sequence
from posixpath import basename, splitext

from edgetl.data.container import Container
from edgetl.data.sources import Box, Listing
from edgetl.data.sources._boxes import BoxReading, number, text
from edgetl.data.sources._json import Form, json_files, read_json
from edgetl.data.split_names import split_in
from edgetl.errors import DataError
from edgetl.types import Fact, LabelKind


class CreateMlSource:
    """CreateML JSON files."""

    version = 1
    label_kind = LabelKind.BOXES
    expects = "CreateML, a JSON list of images with annotations"

    def recognises(self, container: Container) -> bool:
        """Return whether a JSON file is such a list."""
        return bool(json_files(container, Form.CREATEML))

    def list(self, container: Container) -> Listing:
        """Return the images with their boxes.

        Raises:
            DataError: If a file is not valid JSON, only some images are in a split, or none is in
                train.
        """
        files = json_files(container, Form.CREATEML)
        reading = BoxReading(container, "CreateML", f"`label` in {' and '.join(files)}")
        reading.files.extend(files)
        for file in files:
            try:
                content = read_json(container, file)
            except ValueError as error:
                raise DataError(f"{file}: {error}", remedy="export it again") from error
            split = split_in(splitext(basename(file))[0])
            for position, entry in enumerate(content if isinstance(content, list) else ()):
                where = f"{file}, image at position {position}"
                image = reading.matching.image(_path(entry), file, where)
                if image is None:
                    continue
                if split:
                    reading.splits[image] = split
                annotations = _annotations(entry)
                if annotations is None:
                    reading.broken(f"{where}: has no list of annotations", image)
                    continue
                kept = reading.boxes.setdefault(image, [])
                for position_in, annotation in enumerate(annotations):
                    try:
                        kept.append(_box(annotation, f"{where}, annotation {position_in}"))
                    except ValueError as error:
                        reading.broken(f"{where}, annotation {position_in}: {error}", image)
        return reading.listing()


def _path(entry: Fact) -> str:
    if not isinstance(entry, dict):
        return ""
    return str(entry.get("image") or entry.get("imagefilename") or "")


def _annotations(entry: Fact) -> Sequence[Fact] | None:
    """Return the boxes of an image; None if it has no list of them, which is not the same as none.

    Some versions of the format use the singular.
    """
    lists = [entry.get(key) for key in ("annotations", "annotation")]
    return next((each for each in lists if isinstance(each, list)), None)


def _box(annotation: Fact, where: str) -> Box:
    """Return the box of an annotation; ValueError with the reason if it is wrong."""
    place = annotation.get("coordinates") if isinstance(annotation, dict) else None
    x, y, width, height = (number(place, key) for key in ("x", "y", "width", "height"))
    corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Box(text(annotation, "label"), corners, where)


SOURCE = CreateMlSource()
