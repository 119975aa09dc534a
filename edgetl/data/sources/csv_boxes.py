"""A table with a line for each box: file, class and the corners `xmin, ymin, xmax, ymax`.

TensorFlow's object detection tools use it, and Roboflow as `train/_annotations.csv`. Corners are
pixels, or fractions of the sides where none is above 1 (Open Images). Columns `width` and `height`
are the size of the image. A line without corners is an image without boxes; one with 1 in a column
`IsGroupOf` is a crowd.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from posixpath import basename, splitext

from edgetl.data.container import Container
from edgetl.data.sources import Box, Listing
from edgetl.data.sources._boxes import BoxReading
from edgetl.data.sources._codes import with_names
from edgetl.data.sources._csv import ImageTable, Row, image_tables
from edgetl.data.split_names import split_in
from edgetl.types import LabelKind

_LABELS = ("class", "label", "labelname", "classname", "category", "name")


class CsvBoxesSource:
    """One line per box."""

    version = 3
    label_kind = LabelKind.BOXES
    expects = "a CSV with the columns filename, class, xmin, ymin, xmax and ymax"

    def recognises(self, container: Container) -> bool:
        """Return whether a table names images and has columns for the corners of boxes."""
        return any(_columns(table) for table in image_tables(container))

    def list(self, container: Container) -> Listing:
        """Return the images with the boxes of the tables.

        Raises:
            DataError: If only some images are in a split, or none is in train.
        """
        reading = BoxReading(container, "CSV", "")
        for table in image_tables(container):
            columns = _columns(table)
            if not columns:
                continue
            reading.files.append(table.file)
            relative = _are_fractions(table, columns[1:])
            of_file = split_in(splitext(basename(table.file))[0])
            for row in table.rows:
                where = f"{table.file}:{row.line}"
                image = reading.matching.image(row.cells[table.file_column], table.file, where)
                if image is None:
                    continue
                boxes = reading.boxes.setdefault(image, [])
                split = table.split(row) or of_file
                if split:
                    reading.matching.place(reading.splits, image, split, where)
                if relative:
                    reading.relative.add(image)
                size = _size(table, row)
                if size and not relative:
                    reading.sizes[image] = size
                if any(row.cells[column] for column in columns[1:]):
                    try:
                        box = _box(row, columns, where)
                        boxes.append(replace(box, crowd=_is_crowd(table, row)))
                    except ValueError as error:
                        reading.broken(f"{where}: {error}", image)
        reading.named_in = f"the classes in {' and '.join(reading.files)}"
        return with_names(reading.listing(), container)


def _columns(table: ImageTable) -> tuple[int, ...]:
    """Return the columns of class, left, top, right and bottom; empty if one is missing."""
    label, corners = table.column(*_LABELS), table.corner_columns
    return () if label is None or not corners else (label, *corners)


def _are_fractions(table: ImageTable, columns: Sequence[int]) -> bool:
    """Return whether no corner lies beyond 1."""
    texts = {row.cells[column] for row in table.rows for column in columns} - {""}
    try:
        return bool(texts) and all(abs(float(text)) <= 1.0 for text in texts)
    except ValueError:
        return False


def _size(table: ImageTable, row: Row) -> tuple[int, int] | None:
    """Return height and width of the image as stated."""
    columns = table.column("height"), table.column("width")
    if columns[0] is None or columns[1] is None:
        return None
    height, width = row.cells[columns[0]], row.cells[columns[1]]
    if height.isdecimal() and width.isdecimal() and int(height) and int(width):
        return int(height), int(width)
    return None


def _is_crowd(table: ImageTable, row: Row) -> bool:
    column = table.column("isgroupof", "iscrowd")
    return column is not None and row.cells[column] in {"1", "1.0", "true", "True"}


def _box(row: Row, columns: Sequence[int], where: str) -> Box:
    """Return the box of a line; ValueError with the reason if it is wrong."""
    label, *texts = (row.cells[column] for column in columns)
    if not label:
        raise ValueError("the class is empty")
    values = []
    for text in texts:
        try:
            values.append(float(text))
        except ValueError as error:
            raise ValueError(f"'{text[:40]}' is not a number") from error
    if not all(map(math.isfinite, values)):
        raise ValueError("a corner is not a finite number")
    left, top, right, bottom = values
    return Box(label, (left, top, right, bottom), where)


SOURCE = CsvBoxesSource()
