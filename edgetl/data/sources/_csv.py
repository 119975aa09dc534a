"""Read tables of labels: which column names the images, and which images they are."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from edgetl.data.container import Container
from edgetl.data.sources._files import has_image_suffix, read_text, with_suffix
from edgetl.data.sources._lookup import ImageLookup
from edgetl.data.split_names import split_of
from edgetl.types import Fact, Split

_LINES = (".jsonl", ".ndjson")
"""Suffixes of files with a JSON object per line, such as `metadata.jsonl` of Hugging Face."""
_DELIMITERS = ",;\t|"
_LOOKED_AT = 200
"""Rows that decide on the meaning of a column."""
_MIN_SHARE = 0.5
"""Of the rows looked at, those that name an image."""
_FILE_COLUMNS = (
    *("filename", "file", "imagename", "image", "img", "imgname", "path", "filepath", "filepaths"),
    *("imagepath", "imageid", "id", "name", "fname"),
)
"""Names of columns with images, without anything but letters, the most certain first."""
_SPLIT_COLUMNS = frozenset({"split", "set", "subset", "dataset", "partition", "usage", "phase"})
_FLAGS = {
    **dict.fromkeys(("isvalid", "isval", "isvalidation"), Split.VAL),
    **dict.fromkeys(("istest", "istesting"), Split.TEST),
}
"""Splits by the columns that say whether an image is in them; the others are in train."""
_YES, _NO = frozenset({"true", "1", "1.0", "yes"}), frozenset({"false", "0", "0.0", "no", ""})
_CORNERS = (("xmin", "x1", "left"), ("ymin", "y1", "top"), ("xmax", "x2", "right"),
            ("ymax", "y2", "bottom"))  # fmt: skip
"""Names of the columns with left, top, right and bottom of a box, likewise."""
_BOX_HEADER = ("file", "x1", "y1", "x2", "y2", "class")
_BOX = frozenset({"xmin", "bbox", "box", "boxes", "boundingbox", "xcenter", "cx", "polygon"})
_TRIAL = re.compile("submission|submit", re.IGNORECASE)
"""In the name of a file with made-up labels, an example for a competition."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table, with the text of each column."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class ImageTable:
    """A table whose lines name images."""

    file: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    file_column: int

    @property
    def has_header(self) -> bool:
        """Whether the first line has names of columns, not an image."""
        return not has_image_suffix(self.header[self.file_column])

    @cached_property
    def split_column(self) -> int | None:
        """The column that names the split of each image, if there is one."""
        for position, name in enumerate(self.header):
            named = {row.cells[position] for row in self.rows[:_LOOKED_AT]} - {""}
            if plain(name) in _SPLIT_COLUMNS and named and all(map(split_of, named)):
                return position
        return None

    @cached_property
    def flag_column(self) -> int | None:
        """The column that says whether an image is in a split, such as `is_valid` of fastai."""
        for position, name in enumerate(self.header):
            cells = {row.cells[position].casefold() for row in self.rows}
            if plain(name) in _FLAGS and cells <= _YES | _NO and cells & _YES:
                return position
        return None

    @property
    def other_columns(self) -> tuple[int, ...]:
        """Columns besides those for image and split, and those without a name and content."""
        return tuple(
            position
            for position, name in enumerate(self.header)
            if position not in {self.file_column, self.split_column, self.flag_column}
            and (name or any(row.cells[position] for row in self.rows))
        )

    @property
    def corner_columns(self) -> tuple[int, ...]:
        """The columns with left, top, right and bottom of a box; empty if one is missing."""
        columns = [self.column(*names) for names in _CORNERS]
        known = tuple(column for column in columns if column is not None)
        return known if len(known) == len(columns) else ()

    @property
    def has_boxes(self) -> bool:
        """Whether some columns are about boxes, be they understood or not."""
        named = {plain(self.header[position]) for position in self.other_columns}
        return bool(self.corner_columns or named & _BOX or named >= {"x", "y"})

    def column(self, *names: str) -> int | None:
        """Return the first column with one of the plain `names`, which are in order of trust."""
        columns = {plain(self.header[position]): position for position in self.other_columns}
        return next((columns[name] for name in names if name in columns), None)

    def split(self, row: Row) -> Split | None:
        """Return the split that a line names."""
        if self.split_column is not None:
            return split_of(row.cells[self.split_column])
        if self.flag_column is None:
            return None
        flagged = row.cells[self.flag_column].casefold() in _YES
        return _FLAGS[plain(self.header[self.flag_column])] if flagged else Split.TRAIN


def plain(name: str) -> str:
    """Return the letters and digits of a column's name in lower case: `Image ID` is `imageid`."""
    return re.sub(r"[\W_]", "", name).lower()


def image_tables(container: Container) -> list[ImageTable]:
    """Return the tables of which at least half of the lines name an image."""
    names = table_files(container)
    if not names:
        return []
    lookup = ImageLookup.of(container)
    tables = (image_table(container, name, lookup) for name in names)
    return [table for table in tables if table is not None]


def table_files(container: Container) -> tuple[str, ...]:
    """Return the files with tables, but for examples of what to hand in to a competition."""
    names = with_suffix(container, ".csv", ".tsv", *_LINES)
    return tuple(name for name in names if not _TRIAL.search(name))


def image_table(container: Container, name: str, lookup: ImageLookup) -> ImageTable | None:
    """Return a table; None if it cannot be read or its lines do not name images."""
    try:
        header, rows = read_rows(container, name)
    except ValueError:
        return None
    column = _file_column(name, header, rows[:_LOOKED_AT], lookup)
    return None if column is None else ImageTable(name, header, tuple(rows), column)


def read_rows(container: Container, name: str) -> tuple[tuple[str, ...], list[Row]]:
    """Return the header and the lines; raises ValueError with the reason if there are none."""
    text = read_text(container, name)
    if name.lower().endswith(_LINES):
        return _read_lines(text)
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        header = tuple(cell.strip() for cell in next(reader, []))
        rows = [Row(reader.line_num, _padded(cells, len(header))) for cells in reader if any(cells)]
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from error
    if _is_box(header):
        return _BOX_HEADER, [Row(1, header), *rows]
    return header, rows


def _read_lines(text: str) -> tuple[tuple[str, ...], list[Row]]:
    """Return the keys and values of JSON Lines, an object per line; nested values are empty."""
    objects: list[tuple[int, dict[str, Fact]]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            content = json.loads(line)
            if not isinstance(content, dict):
                raise ValueError(f"line {number}: no object")
            objects.append((number, content))
    header = tuple(dict.fromkeys(key for _, content in objects for key in content))
    return header, [
        Row(number, tuple(_cell(content.get(key)) for key in header)) for number, content in objects
    ]


def _cell(value: Fact) -> str:
    return "" if value is None or isinstance(value, list | dict) else str(value).strip()


def _is_box(cells: Sequence[str]) -> bool:
    """Return whether a first line is one of Keras RetinaNet, which has no header."""
    return (
        len(cells) == len(_BOX_HEADER)
        and has_image_suffix(cells[0])
        and all(re.fullmatch(r"-?\d*\.?\d*", cell) for cell in cells[1:5])
    )


def _padded(cells: Sequence[str], count: int) -> tuple[str, ...]:
    texts = [cell.strip() for cell in cells[:count]]
    return (*texts, *[""] * (count - len(texts)))


def _file_column(
    file: str, header: Sequence[str], rows: Sequence[Row], lookup: ImageLookup
) -> int | None:
    """Return the column whose texts name images in most lines.

    Names without suffix only count under a header for images, as numbers are names, too.
    """
    order = {name: position for position, name in enumerate(_FILE_COLUMNS)}

    def names_image(text: str, column: int) -> bool:
        known = plain(header[column]) in order
        return (known or has_image_suffix(text)) and bool(lookup.find(text, file))

    def certainty(column: int) -> tuple[float, int]:
        hits = sum(names_image(row.cells[column], column) for row in rows)
        return hits / len(rows), -order.get(plain(header[column]), len(order))

    if not rows or not header:
        return None
    best = max(range(len(header)), key=certainty)
    return best if certainty(best)[0] >= _MIN_SHARE else None
