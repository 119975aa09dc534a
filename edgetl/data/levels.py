"""How much training images vary, and how many views of an image that makes. No framework."""

from __future__ import annotations

from enum import StrEnum


class Level(StrEnum):
    """How much training images vary."""

    NONE = "none"
    """One view: the image as it is."""
    FLIP = "flip"
    """Two views: the image as it is, and mirrored left to right."""
    LIGHT = "light"
    """Mirrored or not, cropped to 60 to 100 % of the area, brightness and contrast by 20 %."""
    STRONG = "strong"
    """Cropped to 35 to 100 %, rotated by 20 degrees, colours by 40 %, patches erased."""


_VIEWS = {Level.NONE: 1, Level.FLIP: 2}
"""Levels with so few different views."""


def num_views(level: Level, limit: int | None) -> int | None:
    """Return how many views of an image a training sees; None if each epoch shows a new one.

    Args:
        level: How much images vary.
        limit: What the recipe allows; None for any number.
    """
    known = _VIEWS.get(level)
    if known is None or limit is None:
        return known or limit
    return min(known, limit)
