"""A table with a line for each image and a column of 0 (or -1) and 1 for each class.

Roboflow calls it multi-label classification (`train/_classes.csv`). Only tables with exactly one 1
in each line can be read, since a classifier predicts one class per image.
"""

from __future__ import annotations

from posixpath import basename, splitext

from edgetl.data.container import Container
from edgetl.data.sources import LabelProblem, Listing
from edgetl.data.sources._classes import ClassReading
from edgetl.data.sources._csv import ImageTable, image_tables
from edgetl.data.split_names import split_in
from edgetl.types import LabelKind

_ZERO = frozenset({"0", "0.0", "-1", "-1.0", "false", "False", "FALSE"})
_ONE = frozenset({"1", "1.0", "true", "True", "TRUE"})
_MIN_CLASSES = 2


class CsvOneHotSource:
    """One column per class."""

    version = 2
    label_kind = LabelKind.CLASSES
    expects = "a CSV with a column of 0 and 1 for each class, such as `file,cat,dog`"

    def recognises(self, container: Container) -> bool:
        """Return whether a table names images and has a column for each of several classes."""
        return any(map(_has_classes, image_tables(container)))

    def list(self, container: Container) -> Listing:
        """Return the images that the tables name.

        Raises:
            DataError: If only some images are in a split, or none is in train.
        """
        reading = ClassReading(container, "CSV", "")
        tables = [table for table in image_tables(container) if _has_classes(table)]
        for table in tables:
            reading.files.append(table.file)
            of_file = split_in(splitext(basename(table.file))[0])
            for row in table.rows:
                where = f"{table.file}:{row.line}"
                image = reading.matching.image(row.cells[table.file_column], table.file, where)
                labels = [
                    table.header[column]
                    for column in table.other_columns
                    if row.cells[column] in _ONE
                ]
                if image is None:
                    continue
                if len(labels) == 1:
                    reading.add(image, labels[0], where, table.split(row) or of_file)
                elif labels:
                    reading.several(f"{where}: {image} is {' and '.join(labels)}", image)
                else:
                    reading.unclear.add(image)
                    reading.matching.problems.append(
                        LabelProblem(
                            "image without a class",
                            f"{where}: {image} has 0 in every column",
                            fix="give each image one class, or exclude it with `data: {exclude: "
                            "[...]}`",
                        )
                    )
        reading.named_in = f"the header of {' and '.join(table.file for table in tables)}"
        return reading.listing()


def _has_classes(table: ImageTable) -> bool:
    """Return whether all columns but those for image and split have nothing but 0 and 1."""
    columns = table.other_columns
    if len(columns) < _MIN_CLASSES or not all(table.header[column] for column in columns):
        return False
    texts = {row.cells[column] for row in table.rows for column in columns}
    return bool(texts & _ONE) and texts <= _ZERO | _ONE


SOURCE = CsvOneHotSource()
