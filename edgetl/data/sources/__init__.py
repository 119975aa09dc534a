"""The contract of a data layout: list the images with their labels and splits.

A source reads only file names and, for detection, label files. Images are read when the data are
indexed, so planning stays fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from edgetl.data.container import Container
from edgetl.data.hidden_files import is_hidden
from edgetl.data.listing import Box, LabelOrigin, LabelProblem, Listing, Sample
from edgetl.data.sources._agreement import agreed
from edgetl.data.sources._class_names import are_subjects, left_over, unclear_levels
from edgetl.data.sources._files import find_images
from edgetl.data.sources._number_lists import agreeing_lists
from edgetl.data.sources._screened import ScreenedContainer
from edgetl.data.sources._screening import screen
from edgetl.data.sources._segmentation import has_masks, masks_of, why_segmentation
from edgetl.data.sources._unread import (
    join_unread,
    nothing_to_read,
    tables_of_folders,
    unread_labels,
)
from edgetl.data.sources._yaml import read_table
from edgetl.data.task_data import TaskData
from edgetl.errors import DataError
from edgetl.plugins import Slot
from edgetl.types import LabelKind

__all__ = [
    "SOURCES",
    "Box",
    "LabelOrigin",
    "LabelProblem",
    "Listing",
    "Sample",
    "Source",
    "guess_label_kind",
    "list_samples",
    "list_unlabelled",
]


class Source(Protocol):
    """A layout of labelled images."""

    version: int
    """Raised whenever the same files give different samples, labels or splits than before."""
    label_kind: LabelKind
    """Kind of its labels."""
    expects: str
    """Expected files, for messages.

    A layout that knows classes by the names of folders or files alone also states that as its
    `label_origin`, a `LabelOrigin`; without it, labels are in files.
    """

    def recognises(self, container: Container) -> bool:
        """Return whether the files have this layout."""

    def list(self, container: Container) -> Listing:
        """Return the contents of the layout.

        Raises:
            DataError: If the layout contradicts itself.
        """


_EXPORT = (
    "export the labels as a CSV with the columns file and label, or as COCO, Pascal VOC or YOLO if "
    "they are boxes"
)
_NO_SEGMENTATION = (
    "edgetl trains classifiers and detectors: export boxes around the objects as COCO, Pascal VOC "
    "or YOLO and write `task: detection`"
)
_RECIPE_KEYS = frozenset({"name", "task", "data"})
"""Keys of every recipe. Settings of other tools may have them, too, but no table `data`."""

_MAX_SHOWN = 3

SOURCES: Slot[Source] = Slot("edgetl.data.sources", "SOURCE", "data layout", "edgetl.sources")


def guess_label_kind(container: Container, layout: str = "") -> LabelKind:
    """Return the kind of labels that the files have: boxes if there are any.

    Args:
        container: The files.
        layout: Name of the layout to read; empty to recognise it.

    Raises:
        UsageError: If there is no such layout.
    """
    if layout:
        return SOURCES.load(layout).label_kind
    screened = screen(container)
    sources = map(SOURCES.load, SOURCES.names())
    kinds = {source.label_kind for source in sources if source.recognises(screened)}
    return LabelKind.BOXES if LabelKind.BOXES in kinds else LabelKind.CLASSES


def list_samples(container: Container, path: str, task: TaskData, layout: str = "") -> Listing:
    """Return the contents of `container`, read by the layout that recognises it.

    Args:
        container: The files.
        path: Name of the data in messages.
        task: Only layouts with its kind of labels are tried.
        layout: Name of the layout to read; empty to recognise it.

    Raises:
        DataError: If no layout or several layouts of the kind recognise the files, if files for a
            task without boxes contain labelled boxes, or if there are label files that no layout
            reads.
        UsageError: If there is no such layout.
    """
    screened = screen(container)
    if layout:
        return _finished(_read_stated(screened, path, task, layout), screened, layout)
    layouts = {name: SOURCES.load(name) for name in SOURCES.names()}
    recognised = [name for name, source in layouts.items() if source.recognises(screened)]
    kind = task.label_kind
    fitting = {name: layouts[name] for name in recognised if layouts[name].label_kind is kind}
    if kind is LabelKind.CLASSES and len(recognised) > len(fitting):
        others = ", ".join(name for name in recognised if name not in fitting)
        raise DataError(
            f"the data in '{path}' have labelled boxes ({others}), but the task is {task.task}",
            remedy=f"write {_tasks_with(LabelKind.BOXES, task)}, or exclude the labels with "
            "`data: {exclude: [...]}`",
        )
    if fitting:
        name, listing = _choose(fitting, screened, path)
        return _finished(listing, screened, name)
    if not find_images(screened):
        remedy = nothing_to_read(screened)
        raise DataError(f"no {kind.noun} in '{path}'", remedy=remedy or _expected(layouts, kind))
    not_read = _not_read(screened)
    remedy = _EXPORT if not_read else _expected(layouts, kind)
    if recognised:
        classes = _tasks_with(LabelKind.CLASSES, task)
        remedy += f"; or write {classes} if the folders are class names"
    raise DataError(f"no {kind.noun} in '{path}'{not_read}", remedy=remedy)


def _read_stated(container: ScreenedContainer, path: str, task: TaskData, layout: str) -> Listing:
    """Return what the layout lists that the recipe names."""
    source = SOURCES.load(layout)
    if source.label_kind is not task.label_kind:
        raise DataError(
            f"the layout '{layout}' has {source.label_kind.noun}, but the task is {task.task}",
            remedy=f"write {_tasks_with(source.label_kind, task)}, or another `data.layout`",
        )
    if not source.recognises(container):
        raise DataError(
            f"the data in '{path}' do not have the layout '{layout}'{_not_read(container)}",
            remedy=f"expected {source.expects}; or remove `layout: {layout}` to recognise it",
        )
    return source.list(container)


def _choose(
    sources: Mapping[str, Source], container: ScreenedContainer, path: str
) -> tuple[str, Listing]:
    """Return the layout that is read and its contents.

    Raises:
        DataError: If no layout can be read, or several say different things, or a list of class
            numbers and the folders.
    """
    listings: dict[str, Listing] = {}
    errors: dict[str, DataError] = {}
    for name, source in sources.items():
        try:
            listings[name] = source.list(container)
        except DataError as error:
            errors[name] = error
    origins = {name: _origin(source) for name, source in sources.items()}
    broken = [name for name in errors if origins[name] is LabelOrigin.LABEL_FILES]
    if not listings:
        failed = (broken or [*errors])[0]
        masks = masks_of(container.ignored)
        if not broken and has_masks(len(find_images(container)), masks):
            raise DataError(
                f"the data in '{path}' look like data for segmentation: their labels are "
                f"{len(masks):,} masks ({masks[0]}, ...), and {errors[failed].message}",
                remedy=f"{_NO_SEGMENTATION}; if folders are to be classes, {errors[failed].remedy}",
            ) from errors[failed]
        named = "" if broken else _not_read(container)
        remedy = errors[failed].remedy + (f"; or {_EXPORT}" if named else "")
        raise DataError(errors[failed].message + named, remedy=remedy) from errors[failed]
    chosen = "" if broken else agreed(listings, origins)
    if not chosen:
        reasons = "".join(f"; {name}: {errors[name].message}" for name in broken)
        names = [name for name in sources if name in listings or name in broken]
        raise DataError(
            f"the data in '{path}' have several layouts: {', '.join(names)}{reasons}",
            remedy="exclude the labels of all but one with `data: {exclude: [...]}`, or name the "
            f"one to read with `data: {{layout: {names[0]}}}`",
        )
    known = listings[chosen].labels
    if origins[chosen] is LabelOrigin.FOLDERS:
        known += agreeing_lists(container, listings[chosen].samples)
    classes = listings[chosen].classes
    # A single folder is no class as long as something else may have the labels.
    alone = origins[chosen] is LabelOrigin.FOLDERS and len(classes) == 1
    unread = unread_labels(container, known, weak=alone)
    if origins[chosen] is LabelOrigin.FOLDERS:
        unread += tables_of_folders(container, classes)
    if unread and origins[chosen] is not LabelOrigin.LABEL_FILES:
        where = "folders" if origins[chosen] is LabelOrigin.FOLDERS else "files"
        raise DataError(
            f"the data in '{path}' have labels that are not read: {join_unread(unread)}",
            remedy=f"if the names of {where} are the classes, write `data: {{layout: {chosen}}}`; "
            f"else {_EXPORT}",
        )
    if origins[chosen] is LabelOrigin.FOLDERS:
        _refuse_segmentation(listings[chosen], container, path, chosen)
        _refuse_unclear_folders(listings[chosen], container, path, chosen)
    return chosen, listings[chosen]


def _refuse_segmentation(
    listing: Listing, container: ScreenedContainer, path: str, layout: str
) -> None:
    """Raise an error if the images have masks as labels, and folders that are not of classes."""
    reason = why_segmentation(listing.samples, masks_of(container.ignored))
    if reason and len(listing.classes) > 1:  # one class is refused in any case
        raise DataError(
            f"the data in '{path}' look like data for segmentation, whose folders "
            f"({_few(listing.classes)}) are no classes: {reason}",
            remedy=f"{_NO_SEGMENTATION}; if the folders are the classes, write "
            f"`data: {{layout: {layout}}}`",
        )


def _refuse_unclear_folders(
    listing: Listing, container: ScreenedContainer, path: str, layout: str
) -> None:
    """Raise an error if it is unclear whether folders are classes, by their names or levels."""
    rest = left_over({sample.label for sample in listing.samples})
    if rest:
        patterns = ", ".join(f"'*{name}/*'" for name in rest)
        raise DataError(
            f"the folder '{rest[0]}' in '{path}' is not called like a class, but like one for "
            "images in no class",
            remedy=f"exclude it with `data: {{exclude: [{patterns}]}}`; if it is a class, write "
            f"`data: {{layout: {layout}}}`",
        )
    if are_subjects(listing.classes):
        raise DataError(
            f"the folders {_few(listing.classes)} in '{path}' are called like single subjects or "
            f"recordings, not like classes{_not_read(container)}",
            remedy=f"if they are the classes, write `data: {{layout: {layout}}}`; else sort the "
            "images into one folder per class, or add a CSV with the columns file and label",
        )
    outer, inner = unclear_levels(listing.samples)
    if outer:
        raise DataError(
            f"the folders {_few(outer)} in '{path}' have the same folders inside, {_few(inner)}, "
            "so it is unclear which of them are the classes",
            remedy=f"if {_few(outer)} are the classes, write `data: {{layout: {layout}}}`; if "
            f"{_few(inner)} are, rename the folders around them to train and test where they are "
            f"splits, else merge them, so that each class has one folder",
        )


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_MAX_SHOWN])
    return shown + (", ..." if len(names) > _MAX_SHOWN else "")


def _origin(source: Source) -> LabelOrigin:
    return getattr(source, "label_origin", LabelOrigin.LABEL_FILES)


def _finished(listing: Listing, container: ScreenedContainer, layout: str) -> Listing:
    return replace(
        _trimmed(listing, container),
        layout=layout,
        ignored=container.ignored,
        odd_images=container.odd_images,
    )


def _not_read(container: ScreenedContainer) -> str:
    """Return the labels that are not read, for the end of a message."""
    unread = unread_labels(container, (), weak=True)
    not_read = [join_unread(unread)] if unread else []
    masks = masks_of(container.ignored)
    if has_masks(len(find_images(container)), masks):
        not_read.append(f"{len(masks):,} masks, the labels of segmentation ({masks[0]}, ...)")
    return f"; not read: {'; '.join(not_read)}" if not_read else ""


def _expected(layouts: Mapping[str, Source], kind: LabelKind) -> str:
    expected = (source.expects for source in layouts.values() if source.label_kind is kind)
    return f"expected {'; or '.join(expected)}"


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
    screened = screen(container)
    samples = tuple(
        Sample(name, "", None, labelled=False)
        for name in find_images(screened)
        if name not in container.excluded
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
        others=tuple(name for name in screened.files if name not in names and not is_hidden(name)),
        ignored=screened.ignored,
        odd_images=screened.odd_images,
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
