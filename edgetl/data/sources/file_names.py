"""Classes in file names: `train/cat.0.jpg`, `images/Siamese_12.jpg`, where folders are no classes.

The name of a file is a class, a separator and a number. Names that cameras and tools give (`IMG_1`)
are no classes, and a class has at least two images. Any other layout is preferred. Without split
folders, lists such as `train.txt` and `test.txt` name the splits.
"""

from __future__ import annotations

import re
from collections import Counter
from posixpath import basename, splitext

from edgetl.data.container import Container
from edgetl.data.listing import LabelOrigin, Listing, Sample
from edgetl.data.sources._class_names import is_holder
from edgetl.data.sources._files import find_images, given_splits
from edgetl.data.sources._split_lists import read_split_lists
from edgetl.data.split_names import (
    SplitFolders,
    is_like_a_split,
    split_in,
    splits_in_names,
)
from edgetl.types import LabelKind

_NAME = re.compile(r"(?P<label>[^\W\d_].*?)[\s._-]+\(?\d+\)?")
_FIRST = re.compile(r"(?P<split>[^\W\d_]+)[\W_]+(?P<label>.+)")
_LAST = re.compile(r"(?P<label>.+?)[\W_]+(?P<split>[^\W\d_]+)")
_TOOLS = frozenset(
    {"img", "image", "dsc", "dscn", "dscf", "pic", "picture", "p", "pxl", "mvimg", "gopr", "wp"}
    | {"frame", "cam", "camera", "video", "vid", "clip", "scene", "shot", "screenshot", "snapshot"}
    | {"capture", "scan", "page", "file", "sample", "item", "object", "untitled", "burst", "copy"}
    | {"input", "output", "data", "new", "tmp", "temp", "no", "nr", "id", "x", "original", "aug"}
    | {"mask", "label", "rgb", "depth", "left", "right", "screen shot", "whatsapp image"}
)
"""What cameras and tools put in front of a number, in lower case."""
_MIN_CLASSES = 2
_MIN_IMAGES = 2
_MIN_SHARE = 0.5
"""Of all images, those with a class in their name: a test set often has none."""


class FileNamesSource:
    """Classes in front of numbers."""

    version = 2
    label_kind = LabelKind.CLASSES
    label_origin = LabelOrigin.FILE_NAMES
    expects = "file names of class and number, such as cat.0.jpg"

    def recognises(self, container: Container) -> bool:
        """Return whether folders name no classes and most files do."""
        images = _images(container)
        parents = {name.rpartition("/")[0] for name in images}
        if len({_class_folders(parent) for parent in parents}) != 1:
            return False
        labels = [_label(name) for name in images]
        counts = Counter(label for label in labels if label)
        return (
            len(counts) >= _MIN_CLASSES
            and min(counts.values()) >= _MIN_IMAGES
            and counts.total() >= _MIN_SHARE * len(images)
            and not any(_is_of_a_tool(label) for label in counts)
        )

    def list(self, container: Container) -> Listing:
        """Return the images, labelled by their names.

        Raises:
            DataError: If only some images are in a split, or none is in train.
        """
        images = _images(container)
        folders = SplitFolders(images)
        labels = {name: label for name in images if (label := _label(name))}
        named = splits_in_names(set(labels.values()))
        splits = {name: folders.of(name) or named.get(label) for name, label in labels.items()}
        if named:
            labels = {name: _without_split(label) for name, label in labels.items()}
        lists: tuple[str, ...] = ()
        if not any(splits.values()):
            listed, lists = read_split_lists(container, images)
            splits = {name: listed.get(name) for name in labels if not lists or name in listed}
        known = {*images, *lists}
        return Listing(
            samples=tuple(Sample(name, labels[name], split) for name, split in splits.items()),
            classes=tuple(sorted(set(labels.values()))),
            given=given_splits(splits, "file name"),
            unlabelled=tuple(name for name in images if name not in labels),
            others=tuple(name for name in container.files if name not in known),
            labels=lists,
            unlisted=tuple(name for name in labels if name not in splits),
            named_in="the file names",
        )


def _images(container: Container) -> list[str]:
    excluded = frozenset(container.excluded)
    return [name for name in find_images(container) if name not in excluded]


def _label(name: str) -> str:
    """Return the class in a file name; empty if there is none."""
    match = _NAME.fullmatch(splitext(basename(name))[0])
    return match["label"] if match else ""


def _without_split(label: str) -> str:
    """Return a class without the split in front of it or after it; see `splits_in_names`."""
    first, last = _FIRST.fullmatch(label), _LAST.fullmatch(label)
    if first and split_in(first["split"]):
        return first["label"]
    return last["label"] if last else label


def _class_folders(folder: str) -> tuple[str, ...]:
    """Return the parts of a folder's path that are neither splits nor folders for all images."""
    return tuple(
        part for part in folder.split("/") if not is_like_a_split(part) and not is_holder(part)
    )


def _is_of_a_tool(label: str) -> bool:
    words = re.sub(r"[\W\d_]+", " ", label).strip().lower()
    return words in _TOOLS or is_like_a_split(words)


SOURCE = FileNamesSource()
