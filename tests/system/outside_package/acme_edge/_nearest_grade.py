"""The class of a grade."""

from __future__ import annotations


def nearest(grade: float, num_classes: int) -> int:
    return min(max(round(grade), 0), num_classes - 1)
