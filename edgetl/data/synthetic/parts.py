"""The classes of small parts, and their order in the images."""

from __future__ import annotations

CLASSES = ("bracket", "gear", "nut", "screw", "spring", "washer")
"""Sorted, so that the indices equal the labels of a dataset."""

VERSION = 1
"""Raised whenever the pixels of single parts change for the same seed."""

SCENE_VERSION = 1
"""Raised whenever the pixels or boxes of scenes change for the same seed."""

_EMPTY_EVERY = 20


def class_of(index: int) -> str:
    """Return the class of image `index`; classes alternate."""
    return CLASSES[index % len(CLASSES)]


def main_class(index: int) -> str | None:
    """Return the class of the first part of scene `index`; None for the 5 % of empty scenes."""
    return None if index % _EMPTY_EVERY == _EMPTY_EVERY - 1 else class_of(index)
