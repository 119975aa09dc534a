"""A table with a line for each image: its file and its class, under a header.

The columns are recognised by what is in them: the first names images, with or without path and
suffix; the class has a common name (`label`, `class`, `species`, ...) or is the only other column.
A column `split`, the name of the table (`train.csv`) or the folders of the images name splits.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from posixpath import basename, splitext

from edgetl.data.container import Container
from edgetl.data.sources import Listing
from edgetl.data.sources._classes import ClassReading
from edgetl.data.sources._codes import with_names
from edgetl.data.sources._csv import ImageTable, Row, image_tables
from edgetl.data.sources._files import find_images
from edgetl.data.split_names import split_in
from edgetl.types import LabelKind

_LABEL_COLUMNS = (
    *("label", "labels", "class", "classname", "classes", "category", "categoryname", "target"),
    *("species", "breed", "diagnosis", "dx", "labelname", "choice", "tag", "tags", "y", "type"),
    *("name", "classid", "labelid", "classindex", "categoryid"),
)
"""Names of columns with classes, without anything but letters, the most certain first."""
_MIN_ROWS = 10
_MIN_COVERED = 0.1
"""Of all images, those that the tables name: a table of few examples is not that of the labels."""
_MAX_SHARE = 0.5
"""Distinct texts per line; a column with more is no class but a name or a measurement."""
_MISSING = frozenset({"", "NaN", "nan", "NULL", "null", "<NA>", "N/A", "n/a", "#N/A"})
"""What tools write for a class that is not known."""
_BETWEEN = re.compile(r"\s*[|;,]\s*|\s+")
_NUMBER = re.compile(r"-?\d*\.?\d+")


class CsvClassesSource:
    """One line per image with its class."""

    version = 3
    label_kind = LabelKind.CLASSES
    expects = "a CSV with a header and a line per image, such as `file,label`"

    def recognises(self, container: Container) -> bool:
        """Return whether a table names images and their classes."""
        tables = image_tables(container)
        count = sum(len(table.rows) for table in tables if label_column(table) is not None)
        return count > 0 and count >= _MIN_COVERED * len(find_images(container))

    def list(self, container: Container) -> Listing:
        """Return the images that the tables name.

        Raises:
            DataError: If only some images are in a split, or none is in train.
        """
        reading = ClassReading(container, "CSV", "")
        columns = []
        for table in image_tables(container):
            column = label_column(table)
            if column is None:
                continue
            reading.files.append(table.file)
            columns.append(f"`{table.header[column]}` of {table.file}")
            labels = {row.cells[column] for row in table.rows}
            truth = _truth_column(table)
            of_file = split_in(splitext(basename(table.file))[0])
            for row in table.rows:
                where, label = f"{table.file}:{row.line}", row.cells[column]
                image = reading.matching.image(row.cells[table.file_column], table.file, where)
                if image is None or label in _MISSING or not _holds(row, truth):
                    continue
                parts = _BETWEEN.split(label)
                if len(parts) > 1 and labels.issuperset(parts):
                    reading.several(f"{where}: {image} has {', '.join(parts)}", image)
                reading.add(image, label, where, table.split(row) or of_file)
        reading.named_in = " and ".join(columns)
        return with_names(reading.listing(), container)


def label_column(table: ImageTable) -> int | None:
    """Return the column with the class of each image; None if it is unclear which one it is."""
    others = table.other_columns
    if table.has_boxes or not table.has_header:
        return None
    named = (table.column(name) for name in _LABEL_COLUMNS)
    candidates = [column for column in named if column is not None]
    if not candidates and len(others) == 1:
        candidates = [*others]
    return next((column for column in candidates if _has_classes(table, column)), None)


def _truth_column(table: ImageTable) -> int | None:
    """Return the column that says 1 or 0 for whether the class is in the image (Open Images)."""
    column = table.column("confidence")
    if column is None or {row.cells[column] for row in table.rows} - {"0", "1", "0.0", "1.0"}:
        return None
    return column


def _holds(row: Row, column: int | None) -> bool:
    return column is None or float(row.cells[column]) > 0


def _has_classes(table: ImageTable, column: int) -> bool:
    """Return whether the texts of a column repeat as classes do."""
    texts = {row.cells[column] for row in table.rows}
    count = len(table.rows)
    if texts == {""} or _is_measured(texts - _MISSING):
        return False
    return count < _MIN_ROWS or len(texts) <= _MAX_SHARE * count


def _is_measured(texts: Collection[str]) -> bool:
    """Return whether all texts are numbers and some are not whole, as no class is called."""
    return all(map(_NUMBER.fullmatch, texts)) and any(float(text) % 1 for text in texts)


SOURCE = CsvClassesSource()
