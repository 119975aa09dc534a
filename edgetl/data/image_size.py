"""The size of an image without decoding all its pixels, upright."""

from __future__ import annotations

from typing import BinaryIO

from PIL import Image

from edgetl.runtime.image_file import DAMAGED, MAX_PIXELS

_EXIF_ORIENTATION = 0x0112
_EXIF_SOURCES = frozenset({"exif", "xmp", "Raw profile type exif", "Raw profile type APP1"})
_QUARTER_TURNS = frozenset({5, 6, 7, 8})
_READ_WITH_SIZE = frozenset({"JPEG", "PNG", "BMP", "WEBP", "GIF", "PPM"})
"""Formats whose header states the decoded size, before rotation to upright."""
_SHRINK = 8
_DAMAGED = (*DAMAGED, Image.DecompressionBombError, Image.DecompressionBombWarning)
"""Exceptions of Pillow for damaged headers; decoding reports them in words."""


def read_size(stream: BinaryIO) -> tuple[int, int] | None:
    """Return height and width in pixels; None if they are only known after decoding."""
    try:
        with Image.open(stream) as image:
            if image.format not in _READ_WITH_SIZE:
                return None
            return _upright(image)
    except _DAMAGED:
        return None


def size_of_sound_jpeg(stream: BinaryIO) -> tuple[int, int] | None:
    """Return height and width of an intact JPEG; None if they are only known after decoding.

    All its data are read, but decoded to an eighth of the size per side, in a third of the time.
    """
    try:
        with Image.open(stream) as image:
            if image.format != "JPEG" or image.width * image.height > MAX_PIXELS:
                return None
            size = _upright(image)
            image.draft(None, (image.width // _SHRINK, image.height // _SHRINK))
            image.load()
    except _DAMAGED:
        return None
    return size


def _upright(image: Image.Image) -> tuple[int, int]:
    # Reading the EXIF data of a PNG that has none would decode the image.
    has_exif = not _EXIF_SOURCES.isdisjoint(image.info)
    turned = has_exif and image.getexif().get(_EXIF_ORIENTATION, 1) in _QUARTER_TURNS
    width, height = image.size
    return (width, height) if turned else (height, width)
