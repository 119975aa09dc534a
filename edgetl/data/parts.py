"""What is drawn: the classes of small parts, and which photo shows which."""

from __future__ import annotations

CLASSES = ("bracket", "gear", "nut", "screw", "spring", "washer")
"""Sorted, so that positions here are labels in a dataset."""

VERSION = 1
"""Raised whenever the same seed draws other pixels than before."""


def class_of(index: int) -> str:
    """Return the class that photo `index` shows; classes take turns."""
    return CLASSES[index % len(CLASSES)]
