"""Boxes whose numbers mean something else than the format says: turned, or corners as they are."""

from __future__ import annotations

from collections.abc import Mapping

from edgetl.data.listing import Box, BoxForm, Listing

Corners = tuple[float, float, float, float]

QUARTER_TURNS = frozenset({5, 6, 7, 8})
"""EXIF orientations that exchange height and width."""

_LEAST_BOXES = 3
_BEYOND_SHARE = 0.1
"""Of boxes beyond their image, from which on the numbers as a whole are in doubt."""
_ROUNDING = 0.02
"""Share of a side that is explained by rounding."""


def turned(corners: Corners, size: tuple[float, float], orientation: int) -> Corners:
    """Return a box of the pixels as stored, in the upright image.

    Args:
        corners: xyxy, before the orientation is applied.
        size: Height and width of the upright image, in the units of the corners.
        orientation: Of the EXIF data, 1 to 8 (CIPA DC-008, section 4.6.5.1.6).
    """
    height, width = size
    if orientation in QUARTER_TURNS:
        # As if the image were only mirrored along its diagonal, which is orientation 5.
        left, top, right, bottom = corners
        corners = (top, left, bottom, right)
    mirrors_x = orientation in {2, 3, 6, 7}
    mirrors_y = orientation in {3, 4, 7, 8}
    left, top, right, bottom = corners
    if mirrors_x:
        left, right = width - right, width - left
    if mirrors_y:
        top, bottom = height - bottom, height - top
    return left, top, right, bottom


def as_corners(box: Box, form: BoxForm) -> Corners:
    """Return the numbers of a label as corners, which its format reads as `form`."""
    left, top, right, bottom = box.corners
    if form is BoxForm.CENTRE:
        return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
    return left, top, right - left, bottom - top


def look_like_corners(listing: Listing, sizes: Mapping[str, tuple[int, int]]) -> bool:
    """Return whether labels that should have centres or sizes have corners in their place.

    Read as corners every box lies in its image; read by the format some reach beyond it.

    Args:
        listing: Images with the boxes of their layout.
        sizes: Height and width by image.
    """
    if listing.form is BoxForm.CORNERS:
        return False
    count = num_beyond = 0
    for sample in listing.samples:
        size = (1, 1) if sample.relative else sizes.get(sample.name)
        for box in sample.boxes if size else ():
            if box.needs is not None or size is None:
                continue
            count += 1
            num_beyond += not _is_inside(box.corners, size)
            if not _is_inside(as_corners(box, listing.form), size):
                return False
    return count >= _LEAST_BOXES and num_beyond >= _BEYOND_SHARE * count


def look_like_fractions(listing: Listing) -> bool:
    """Return whether all boxes that should be in pixels lie between 0 and 1."""
    count = 0
    for sample in listing.samples:
        for box in sample.boxes:
            if sample.relative or not _is_inside(_smallest(box, listing.form), (1, 1)):
                return False
            count += 1
    return count >= _LEAST_BOXES


def _smallest(box: Box, form: BoxForm) -> Corners:
    """Return a box, or the one that its numbers are as corners if that lies in the image."""
    corners = box.corners if form is BoxForm.CORNERS else as_corners(box, form)
    return corners if _is_inside(corners, (1, 1)) else box.corners


def _is_inside(corners: Corners, size: tuple[int, int]) -> bool:
    left, top, right, bottom = corners
    height, width = size
    across, down = _ROUNDING * width, _ROUNDING * height
    return -across <= left < right <= width + across and -down <= top < bottom <= height + down
