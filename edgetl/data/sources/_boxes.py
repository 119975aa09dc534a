"""What layouts with few label files for many images have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgetl.config.recipe import Drop
from edgetl.data.container import Container
from edgetl.data.listing import Box, LabelProblem, Listing, Sample
from edgetl.data.sources._files import find_images, given_splits
from edgetl.data.sources._lookup import ImageLookup, Matching
from edgetl.data.split_names import SplitFolders
from edgetl.types import Fact, LabelKind, Split

BROKEN = "annotation that cannot be read"
_FAR = 1e9
"""Larger than any coordinate of an image."""


@dataclass(slots=True)
class BoxReading:
    """Boxes by image from the label files read so far, and their problems."""

    container: Container
    layout: str
    """Name in messages."""
    named_in: str
    """Origin of the class names."""
    matching: Matching = field(init=False)
    files: list[str] = field(default_factory=list)
    """Label files."""
    boxes: dict[str, list[Box]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Height and width as stated."""
    splits: dict[str, Split] = field(default_factory=dict)
    """Split of an image, where the labels state it."""
    relative: set[str] = field(default_factory=set)
    """Images whose boxes are fractions of their sides."""
    classes: list[str] | None = None
    """All class names, where the labels list them; else those of boxes, sorted."""

    def __post_init__(self) -> None:
        """Look at the images."""
        self.matching = Matching(ImageLookup.of(self.container))

    def broken(self, what: str, image: str = "") -> None:
        """Record an annotation that cannot be read."""
        self.matching.problems.append(LabelProblem(BROKEN, what, Drop.BAD_LABELS, image))

    def listing(self) -> Listing:
        """Return the contents of the layout.

        Raises:
            DataError: If only some images are in a split, or none is in train.
        """
        images = find_images(self.container)
        folders = SplitFolders((*images, *self.files))
        splits = {name: self.splits.get(name) or folders.of(name) for name in images}
        samples = [
            Sample(
                name,
                "",
                splits[name],
                tuple(self.boxes.get(name, ())),
                relative=name in self.relative,
                stated_size=self.sizes.get(name),
                labelled=name in self.boxes,
            )
            for name in sorted(images)
        ]
        names = {box.label for boxes in self.boxes.values() for box in boxes}
        known = {*images, *self.files}
        return Listing(
            samples=tuple(samples),
            classes=tuple(self.classes or sorted(names)),
            given=given_splits(splits, self.layout, self.container.excluded),
            unlabelled=(),
            others=tuple(name for name in self.container.files if name not in known),
            labels=tuple(self.files),
            problems=tuple(self.matching.problems),
            label_kind=LabelKind.BOXES,
            named_in=self.named_in,
        )


def number(row: Fact, key: str) -> float:
    """Return a finite number of a plausible size; ValueError says what is wrong with it."""
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, int | float) or isinstance(value, bool) or not -_FAR < value < _FAR:
        raise ValueError(f"{key} is {str(value)[:40]!r}, not a finite number")
    return float(value)


def corners_of_size(row: Fact) -> tuple[float, float, float, float]:
    """Return the corners of a box with x, y, width and height; ValueError as `number`."""
    left, top, width, height = (number(row, key) for key in ("x", "y", "width", "height"))
    return left, top, left + width, top + height


def text(row: Fact, key: str) -> str:
    """Return a text that is not empty, without spaces around it; ValueError otherwise."""
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key} is {str(value)[:40]!r}, not a name")
    return value.strip()


def rows(content: Fact, *keys: str) -> Sequence[Fact]:
    """Return a list below the keys of nested tables; empty if it is not there."""
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content if isinstance(content, list) else ()
