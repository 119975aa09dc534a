"""Refuse class folders whose names show that they are no classes."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from edgetl.data.split_names import KNOWN_SPLITS, is_like_a_split
from edgetl.errors import DataError

_HOLDERS = frozenset(
    {"images", "image", "imgs", "img", "jpegimages", "pictures", "data", "dataset", "files"}
    | {"labels", "annotations", "annotation", "classes", "jpg", "jpeg", "png", "jpgs", "pngs"}
)
"""Names of folders that hold all images of a layout, in lower case."""


def is_holder(name: str) -> bool:
    """Return whether a folder is called like one for all images of a layout."""
    return name.lower() in _HOLDERS


def check_classes(root: str, classes: Collection[str], images: Iterable[str]) -> None:
    """Raise an error if a class is only a folder of a layout.

    Args:
        root: The folder with the classes or splits, empty or ending in a slash.
        classes: Their names.
        images: Names of all images.

    Raises:
        DataError: If a class has the name of a split, or all have names of folders for images.
    """
    splits = sorted(name for name in classes if is_like_a_split(name))
    if splits:
        raise DataError(
            f"the folder '{splits[0]}' would be a class, but has the name of a split",
            remedy="put the splits beside each other, with one folder per class in each; delete "
            f"the folder if it is empty; the names of splits are {KNOWN_SPLITS}",
        )
    if classes and all(map(is_holder, classes)) and any(images):
        raise DataError(
            f"'{root}{min(classes)}' is a folder for images, not a class, and nothing else names "
            "the class of an image",
            remedy="sort the images into one folder per class, such as images/cat",
        )
