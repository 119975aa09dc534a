"""The contract of a data layout: list the images with their labels and splits.

A source reads only file names and, for detection, label files. Images are read when the data are
indexed, so planning stays fast.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from edgetl.config.recipe import Drop
from edgetl.data.container import Container
from edgetl.data.sources._files import is_hidden, is_image
from edgetl.data.sources._yaml import read_table
from edgetl.data.task_data import TaskData
from edgetl.errors import DataError
from edgetl.plugins import Slot
from edgetl.types import LabelKind, Split


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
    named_in: str = "the folders"
    """Origin of the class names, for messages."""


class Source(Protocol):
    """A layout of labelled images."""

    version: int
    """Raised whenever the same files give different samples, labels or splits than before."""
    label_kind: LabelKind
    """Kind of its labels."""
    expects: str
    """Expected files, for messages."""

    def recognises(self, container: Container) -> bool:
        """Return whether the files have this layout."""

    def list(self, container: Container) -> Listing:
        """Return the contents of the layout.

        Raises:
            DataError: If the layout contradicts itself.
        """


_RECIPE_KEYS = frozenset({"name", "task", "data"})
"""Keys of every recipe. Settings of other tools may have them, too, but no table `data`."""

SOURCES: Slot[Source] = Slot("edgetl.data.sources", "SOURCE", "data layout", "edgetl.sources")


def guess_label_kind(container: Container) -> LabelKind:
    """Return the kind of labels that the layout of the files has: boxes if there are any."""
    sources = map(SOURCES.load, SOURCES.names())
    kinds = {source.label_kind for source in sources if source.recognises(container)}
    return LabelKind.BOXES if LabelKind.BOXES in kinds else LabelKind.CLASSES


def list_samples(container: Container, path: str, task: TaskData) -> Listing:
    """Return the contents of `container`, read by the layout that recognises it.

    Args:
        container: The files.
        path: Name of the data in messages.
        task: Only layouts with its kind of labels are tried.

    Raises:
        DataError: If no layout or several layouts of the kind recognise the files, or if files
            for a task without boxes contain labelled boxes.
    """
    layouts = {name: SOURCES.load(name) for name in SOURCES.names()}
    recognised = [name for name, source in layouts.items() if source.recognises(container)]
    kind = task.label_kind
    fitting = [name for name in recognised if layouts[name].label_kind is kind]
    if kind is LabelKind.CLASSES and len(recognised) > len(fitting):
        others = ", ".join(name for name in recognised if name not in fitting)
        raise DataError(
            f"the data in '{path}' have labelled boxes ({others}), but the task is {task.task}",
            remedy=f"write {_tasks_with(LabelKind.BOXES, task)}, or exclude the labels with "
            "`data: {exclude: [...]}`",
        )
    if len(fitting) > 1:
        raise DataError(
            f"the data in '{path}' have several layouts: {', '.join(fitting)}",
            remedy="exclude the labels of all but one with `data: {exclude: [...]}`",
        )
    if fitting:
        name = fitting[0]
        return replace(_trimmed(layouts[name].list(container), container), layout=name)
    expected = "; or ".join(
        source.expects for source in layouts.values() if source.label_kind is kind
    )
    remedy = f"expected {expected}"
    if recognised:
        classes = _tasks_with(LabelKind.CLASSES, task)
        remedy += f"; or write {classes} if the folders are class names"
    raise DataError(f"no {kind.noun} in '{path}'", remedy=remedy)


def _tasks_with(kind: LabelKind, task: TaskData) -> str:
    return " or ".join(f"`task: {name}`" for name in task.tasks_with(kind))


def list_unlabelled(container: Container, path: str) -> Listing:
    """Return all images of `container`, without labels and splits.

    Args:
        container: The files.
        path: What messages call the data.

    Raises:
        DataError: If there is no image.
    """
    samples = tuple(
        Sample(name, "", None, labelled=False) for name in container.files if is_image(name)
    )
    if not samples:
        raise DataError(
            f"no images found in '{path}'", remedy="set `unlabelled: {path: ...}` to their folder"
        )
    names = {sample.name for sample in samples}
    return Listing(
        samples=samples,
        classes=(),
        given=frozenset(),
        unlabelled=(),
        others=tuple(name for name in container.files if name not in names and not is_hidden(name)),
    )


def _trimmed(listing: Listing, container: Container) -> Listing:
    """Return the listing without excluded images, their label problems, and known other files."""
    excluded = frozenset(container.excluded)
    return replace(
        listing,
        samples=tuple(sample for sample in listing.samples if sample.name not in excluded),
        unlisted=tuple(name for name in listing.unlisted if name not in excluded),
        problems=tuple(problem for problem in listing.problems if problem.image not in excluded),
        others=tuple(
            name
            for name in listing.others
            if not is_hidden(name) and not _is_recipe(container, name)
        ),
    )


def _is_recipe(container: Container, name: str) -> bool:
    """Return whether a file is a recipe: `edgetl init` writes one next to the images."""
    if not name.lower().endswith((".yaml", ".yml")):
        return False
    table = read_table(container, name)
    return table.keys() >= _RECIPE_KEYS and isinstance(table["data"], dict)
