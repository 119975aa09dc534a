"""What the labelled images are, as a table for a terminal or a log."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence

from edgetl.data.listing_notes import few
from edgetl.facts.dataset import DataOverview, DatasetFacts, ImageSizes
from edgetl.types import Role, Split

_MAX_CLASSES = 20
_NAME_CHARACTERS = 40
_SUM = ("total",)
_WIDE = 120
"""Columns that no table reaches, so that no row is wrapped."""


def data_table(overview: DataOverview) -> str:
    """Return images or boxes per class and split, and below them sizes and what is not used.

    Of many classes the first are shown, and the range of the others.
    """
    lines = [] if overview.facts.role is Role.UNLABELLED else [_table(overview.facts)]
    return "\n".join([*lines, *_lines(overview)])


def _table(facts: DatasetFacts) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    splits = (Split.TEST,) if facts.role is Role.EVALUATION else tuple(Split)
    labelled = facts.counts if facts.boxes is None else facts.boxes
    rows = {
        label: _with_sum([labelled[split].get(label, 0) for split in splits])
        for label in facts.classes
    }
    table = Table(box=None, pad_edge=False, header_style="")
    table.add_column(_title(facts), no_wrap=True)
    for name in (*splits, *_SUM[: len(splits) - 1]):
        table.add_column(name, justify="right", no_wrap=True)

    def add(name: str, cells: Iterable[str]) -> None:
        table.add_row(Text(name), *map(Text, cells))

    # One line is not saved by a line that says so.
    num_shown = len(rows) if len(rows) <= _MAX_CLASSES + 1 else _MAX_CLASSES
    for label in facts.classes[:num_shown]:
        add(_shortened(label), map(_number, rows[label]))
    rest = [rows[label] for label in facts.classes[num_shown:]]
    if rest:
        add(f"and {len(rest):,} more", map(_range, zip(*rest, strict=True)))
    if facts.boxes is not None:
        add("all boxes", _numbers([sum(facts.boxes[split].values()) for split in splits]))
        if any(facts.backgrounds.values()):
            add("images without boxes", _numbers([facts.backgrounds[split] for split in splits]))
    add("all images", _numbers([facts.images[split] for split in splits]))
    text = io.StringIO()
    Console(file=text, width=_WIDE, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _title(facts: DatasetFacts) -> str:
    what = "images" if facts.boxes is None else "boxes"
    count = len(facts.classes)
    title = f"{what} of {count:,} {'class' if count == 1 else 'classes'}"
    return f"{title} to evaluate" if facts.role is Role.EVALUATION else title


def _numbers(counts: Sequence[int]) -> list[str]:
    return [_number(count) for count in _with_sum(counts)]


def _number(count: int) -> str:
    return f"{count:,}"


def _with_sum(counts: Sequence[int]) -> list[int]:
    """Return the counts of splits, and their sum if there are several."""
    return [*counts, *([sum(counts)] if len(counts) > 1 else [])]


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _shortened(name: str) -> str:
    """Return a class name that fits into a row and can be printed."""
    shown = name if name.isprintable() else ascii(name)
    return shown if len(shown) <= _NAME_CHARACTERS else f"{shown[: _NAME_CHARACTERS - 3]}..."


def _lines(overview: DataOverview) -> Iterator[str]:
    facts = overview.facts
    if facts.role is Role.UNLABELLED:
        yield f"unlabelled images: {sum(facts.images.values()):,}"
    if overview.sizes is not None:
        yield f"image sizes: {_sizes(overview.sizes, sum(facts.images.values()))}"
    for kind, names in facts.dropped.items():
        yield f"dropped: {len(names):,} {kind} ({few(names)})"
    for kind, number in facts.repaired.items():
        yield f"repaired: {number:,} by {kind}"
    if facts.crowds:
        boxes = "box around a group" if facts.crowds == 1 else "boxes around groups"
        yield f"crowds: {facts.crowds:,} {boxes}, neither trained on nor counted"
    if facts.duplicates:
        what = "image repeats another" if facts.duplicates == 1 else "images repeat others"
        yield f"duplicates: {facts.duplicates:,} {what}, in the same split"
    yield from overview.notes


def _sizes(sizes: ImageSizes, num_images: int) -> str:
    """Return for example `30 of 96 x 72, 10 of 64 x 48`."""
    of_some = f" (of {sizes.images:,} images)" if sizes.images < num_images else ""
    if sizes.distinct == 1:
        return f"{_pixels(sizes.smallest)}{of_some}"
    common = [f"{number:,} of {width} x {height}" for width, height, number in sizes.common]
    if sizes.distinct == len(common):
        return f"{', '.join(common)}{of_some}"
    return (
        f"{sizes.distinct:,} different, from {_pixels(sizes.smallest)} to "
        f"{_pixels(sizes.largest)}, most often {_pixels(sizes.common[0][:2])}{of_some}"
    )


def _pixels(size: Sequence[int]) -> str:
    return f"{size[0]} x {size[1]}"
