"""What is drawn: the classes of small parts, and which image shows which."""

from __future__ import annotations

CLASSES = ("bracket", "gear", "nut", "screw", "spring", "washer")
"""Sorted, so that positions here are labels in a dataset."""

VERSION = 1
"""Raised whenever the same seed draws other pixels of single parts than before."""

SCENE_VERSION = 1
"""Raised whenever the same seed draws other pixels or boxes of scenes than before."""

_EMPTY_EVERY = 20


def class_of(index: int) -> str:
    """Return the class that image `index` shows; classes take turns."""
    return CLASSES[index % len(CLASSES)]


def main_class(index: int) -> str | None:
    """Return the class of the first part of scene `index`; None for an empty belt, 5 % of all."""
    return None if index % _EMPTY_EVERY == _EMPTY_EVERY - 1 else class_of(index)
