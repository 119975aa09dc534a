"""What a data layout lists: images with their labels and splits, and problems of the labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from edgetl.config.recipe import Drop, Repair
from edgetl.types import LabelKind, Split

BY_FOLDERS = "the folders"
"""Origin of class names that are names of folders."""


class LabelOrigin(IntEnum):
    """Where a layout gets the labels from, the least certain first."""

    FILE_NAMES = 0
    FOLDERS = 1
    LABEL_FILES = 2


class BoxForm(StrEnum):
    """What the four numbers of a box are in a label file."""

    CORNERS = "corners"
    CENTRE = "centre"
    """Centre x, centre y, width, height."""
    ORIGIN = "origin"
    """Left, top, width, height."""


@dataclass(frozen=True, slots=True)
class Box:
    """One labelled object."""

    label: str
    """Name of its class."""
    corners: tuple[float, float, float, float]
    """xyxy, finite: pixels of the upright image, or fractions of its sides."""
    where: str
    """Location for messages: file and line, object or annotation."""
    crowd: bool = False
    """A group of objects labelled as one (COCO's iscrowd)."""
    difficult: bool = False
    """Hard to recognise (Pascal VOC); treated like any other box."""
    needs: Repair | None = None
    """What the recipe must allow before this is a box: it is one of pixels where the format has
    fractions, or drawn around an outline."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image with its labels."""

    name: str
    """POSIX path relative to the data path."""
    label: str
    """Class name; empty for detection until all boxes are known."""
    split: Split | None
    """None if the layout has no splits."""
    boxes: tuple[Box, ...] = ()
    relative: bool = False
    """Whether box corners are fractions of the image's sides."""
    stated_size: tuple[int, int] | None = None
    """Height and width stated in the labels, if any."""
    labelled: bool = True
    """False for an image without labels in a detection layout."""


@dataclass(frozen=True, slots=True)
class LabelProblem:
    """A problem of the labels that can be detected without reading images."""

    title: str
    """Kind of problem, for messages."""
    example: str
    """Location and details."""
    drop: Drop | None = None
    """The value of `data.drop` that allows dropping it."""
    image: str = ""
    """The image to drop with it, if any."""
    fix: str = ""
    """How to fix it, if dropping would be bad advice."""
    advice: str = ""
    """How to fix it where it is so frequent that dropping is no remedy."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Images that are no examples, so that no layout lists them."""

    what: str
    """Kind of images, for messages."""
    names: tuple[str, ...]
    """Sorted."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The contents of a layout."""

    samples: tuple[Sample, ...]
    """Sorted by name."""
    classes: tuple[str, ...]
    """All class names, including empty classes; sorted, or in the order of the label numbers."""
    given: frozenset[Split]
    """Splits defined by the layout; empty if edgetl has to split the data."""
    unlabelled: tuple[str, ...]
    """Images without a class; empty for detection, see `Sample.labelled`."""
    others: tuple[str, ...]
    """Files other than images, labels, hidden files and recipes."""
    labels: tuple[str, ...] = ()
    """Files with labels, names or splits."""
    unlisted: tuple[str, ...] = ()
    """Images missing from all splits that the layout lists."""
    problems: tuple[LabelProblem, ...] = ()
    label_kind: LabelKind = LabelKind.CLASSES
    layout: str = ""
    """Name of the data layout, set by `list_samples`; empty for synthetic images."""
    named_in: str = BY_FOLDERS
    """Origin of the class names, for messages."""
    form: BoxForm = BoxForm.CORNERS
    """What the numbers of its boxes are in the label files."""
    ignored: tuple[Ignored, ...] = ()
    """Images that are no examples, set by `list_samples`."""
    odd_images: tuple[str, ...] = ()
    """Images without the suffix of one, set by `list_samples`."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Images that must be in one split with others, to the name of their group."""
    states_groups: bool = False
    """Whether the recipe states the groups; else they are copies, recognised by their names."""
    group_hint: str = ""
    """What images seem to belong together, and how to state it; empty if the recipe does."""
