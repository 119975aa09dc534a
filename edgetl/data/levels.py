"""Levels of augmentation, and the number of views of an image for each. No framework."""

from __future__ import annotations

from enum import StrEnum


class Level(StrEnum):
    """How much training images vary."""

    NONE = "none"
    """One view: the unchanged image."""
    FLIP = "flip"
    """Two views: the unchanged image, and its mirror image."""
    LIGHT = "light"
    """Mirrored or not, cropped to 60 to 100 % of the area, brightness and contrast by 20 %."""
    STRONG = "strong"
    """Cropped to 35 to 100 %, rotated by 20 degrees, colours by 40 %, patches erased."""


_VIEWS = {Level.NONE: 1, Level.FLIP: 2}
"""Levels with this many different views."""


def num_views(level: Level, limit: int | None) -> int | None:
    """Return the number of views of an image in a training; None if each epoch shows a new one.

    Args:
        level: How much images vary.
        limit: From the recipe; None for any number.
    """
    known = _VIEWS.get(level)
    if known is None or limit is None:
        return known or limit
    return min(known, limit)
