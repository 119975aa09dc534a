"""The contract of a data layout: which images there are, with which labels, in which split.

A source looks at names, and for detection at the files that hold the labels; images are read when
the data are indexed, so that planning stays fast.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from edgetl.config.recipe import Drop
from edgetl.data.container import Container
from edgetl.data.sources._files import is_hidden
from edgetl.data.sources._yaml import read_table
from edgetl.errors import DataError
from edgetl.plugins import Slot
from edgetl.types import Split, Task


@dataclass(frozen=True, slots=True)
class Box:
    """One labelled object, as its layout says."""

    label: str
    """Name of its class."""
    corners: tuple[float, float, float, float]
    """xyxy, finite: pixels of the upright image, or fractions of its sides."""
    where: str
    """What messages call it: file and line, object or annotation."""
    crowd: bool = False
    """A group that nobody told apart (COCO's iscrowd)."""
    difficult: bool = False
    """Hard to see (Pascal VOC); used like any other."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image, as its layout says."""

    name: str
    """POSIX path below the data path."""
    label: str
    """Name of its class; empty for detection, until all boxes are known."""
    split: Split | None
    """None where the layout has no splits."""
    boxes: tuple[Box, ...] = ()
    relative: bool = False
    """Corners are fractions of the image's sides."""
    stated_size: tuple[int, int] | None = None
    """Height and width that the labels were made for, where they say so."""
    labelled: bool = True
    """False for an image that a detection layout says nothing of."""


@dataclass(frozen=True, slots=True)
class LabelProblem:
    """Something wrong with labels that shows without looking at images."""

    title: str
    """Of its kind, for messages."""
    example: str
    """Where it is and what it says."""
    drop: Drop | None = None
    """What the recipe can say to leave it out."""
    image: str = ""
    """The image that leaves with it, if any."""
    fix: str = ""
    """What is to be done about it, where leaving it out would be no good advice."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a layout holds."""

    samples: tuple[Sample, ...]
    """Sorted by name."""
    classes: tuple[str, ...]
    """With those that nothing shows. Sorted, or in the order of their numbers in the labels."""
    given: frozenset[Split]
    """Splits that the layout has; none if it leaves the splitting to edgetl."""
    unlabelled: tuple[str, ...]
    """Images that belong to no class; none for detection, see `Sample.labelled`."""
    others: tuple[str, ...]
    """Files that are neither images nor labels, nor hidden, nor recipes."""
    labels: tuple[str, ...] = ()
    """Files that hold labels, names or splits."""
    unlisted: tuple[str, ...] = ()
    """Images that belong to no split, where the layout lists what does."""
    problems: tuple[LabelProblem, ...] = ()
    task: Task = Task.CLASSIFICATION
    layout: str = ""
    """Name of the data layout, which `list_samples` fills in; empty for drawn images."""
    named_in: str = "the folders"
    """Where classes have their names from, for messages."""


class Source(Protocol):
    """A layout of labelled images."""

    version: int
    """Raised whenever the same files give other samples, labels or splits than before."""
    task: Task
    """What it labels for."""
    expects: str
    """What files lie where, for messages."""

    def recognises(self, container: Container) -> bool:
        """Return whether the files are laid out this way."""

    def list(self, container: Container) -> Listing:
        """Return what the layout holds.

        Raises:
            DataError: If the layout contradicts itself.
        """


_RECIPE_KEYS = frozenset({"name", "task", "data", "teacher"})
"""Every recipe has them."""

SOURCES: Slot[Source] = Slot("edgetl.data.sources", "SOURCE", "data layout", "edgetl.sources")


def guess_task(container: Container) -> Task:
    """Return the task that the files seem to be laid out for: detection if there are boxes."""
    tasks = {
        source.task for source in map(SOURCES.load, SOURCES.names()) if source.recognises(container)
    }
    return Task.DETECTION if Task.DETECTION in tasks else Task.CLASSIFICATION


def list_samples(container: Container, path: str, task: Task) -> Listing:
    """Return what the layout that recognises `container` finds in it.

    Args:
        container: The files.
        path: What messages call the data.
        task: Only its layouts are looked for.

    Raises:
        DataError: If no layout of the task recognises it, or several do, or one of another task.
    """
    layouts = {name: SOURCES.load(name) for name in SOURCES.names()}
    found = [name for name, source in layouts.items() if source.recognises(container)]
    fitting = [name for name in found if layouts[name].task is task]
    if task is Task.CLASSIFICATION and len(found) > len(fitting):
        others = ", ".join(name for name in found if name not in fitting)
        raise DataError(
            f"the data in '{path}' hold labelled boxes ({others}), but the task is {task}",
            remedy="write `task: detection`, or leave the labels out with `data: {exclude: [...]}`",
        )
    if len(fitting) > 1:
        raise DataError(
            f"the data in '{path}' are laid out in several ways: {', '.join(fitting)}",
            remedy="leave the labels of all but one out with `data: {exclude: [...]}`",
        )
    if fitting:
        name = fitting[0]
        return replace(_trimmed(layouts[name].list(container), container), layout=name)
    what = "labelled images" if task is Task.CLASSIFICATION else "labelled boxes"
    expected = "; or ".join(source.expects for source in layouts.values() if source.task is task)
    remedy = f"expected {expected}"
    if found:
        remedy += "; or write `task: classification` if folders name what their images show"
    raise DataError(f"no {what} found in '{path}'", remedy=remedy)


def _trimmed(listing: Listing, container: Container) -> Listing:
    """Return the listing without excluded images, faults of their labels, and foreseen files."""
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
    """Return whether a file is a recipe: `edgetl init` writes it among the images."""
    is_yaml = name.lower().endswith((".yaml", ".yml"))
    return is_yaml and read_table(container, name).keys() >= _RECIPE_KEYS
