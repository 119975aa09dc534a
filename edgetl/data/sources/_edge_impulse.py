"""Read the label files of Edge Impulse: `info.labels` and `bounding_boxes.labels`.

Both are JSON, at the root or in `training/` and `testing/`. `info.labels` has a list `files` with
path, category (the split), label and, for objects, boundingBoxes; `bounding_boxes.labels` has a
table `boundingBoxes` from file names to boxes.
https://docs.edgeimpulse.com/tools/specifications/data-annotation/ei-labels
"""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import basename

from edgetl.data.container import Container
from edgetl.data.hidden_files import is_hidden
from edgetl.data.sources._boxes import rows
from edgetl.data.sources._json import read_json
from edgetl.errors import DataError
from edgetl.types import Fact

INFO = "info.labels"
BOXES = "bounding_boxes.labels"


def label_files(container: Container, name: str) -> tuple[str, ...]:
    """Return the label files of one kind, sorted."""
    return tuple(each for each in container.files if basename(each) == name and not is_hidden(each))


def load(container: Container, file: str) -> Fact:
    """Return the content of a label file.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        return read_json(container, file)
    except ValueError as error:
        raise DataError(f"{file}: {error}", remedy="export the project again") from error


def entries(content: Fact) -> list[Mapping[str, Fact]]:
    """Return what `info.labels` says of each file."""
    return [row for row in rows(content, "files") if isinstance(row, dict)]


def has_boxes(container: Container, file: str) -> bool:
    """Return whether an `info.labels` has boxes; one that cannot be read has none."""
    try:
        content = read_json(container, file)
    except ValueError:
        return False
    return any(rows(entry, "boundingBoxes") for entry in entries(content))
