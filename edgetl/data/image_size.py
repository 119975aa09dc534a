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
_LEAST_SIDE = 32
"""Of an image that is decoded smaller; with less, its picture is lost."""
_UPRIGHT = 1
_TIFF_BITS_PER_SAMPLE = 258
_DEEP_BITS = 16
_PNG_DEPTH_AT = 24
"""Where the header of a PNG has the bits of a channel."""
_COLOURS = frozenset({"RGB", "RGBA", "LA"})
_WITH_ALPHA = frozenset({"LA", "PA", "RGBA", "La", "RGBa"})
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


def read_orientation(stream: BinaryIO) -> int:
    """Return the EXIF orientation, 1 to 8; 1 if there is none, or the header is damaged."""
    try:
        with Image.open(stream) as image:
            return _orientation(image) if image.format in _READ_WITH_SIZE else _UPRIGHT
    except _DAMAGED:
        return _UPRIGHT


def highest_level(stream: BinaryIO) -> int | None:
    """Return the highest level of an image with 16 bits; None if it has another depth.

    Of colours, Pillow decodes the high byte alone; theirs is the highest level with that byte.
    """
    try:
        with Image.open(stream) as image:
            is_deep = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
            if is_deep and _bits_of_tiff(image) == _DEEP_BITS:
                _, highest = image.getextrema()
                return int(highest) if isinstance(highest, int | float) else None
            if image.mode not in _COLOURS or not _has_deep_colours(image, stream):
                return None
            ends = image.convert("RGB").getextrema()
    except _DAMAGED:
        return None
    return max(int(end[1]) for end in ends if isinstance(end, tuple)) << 8 | 0xFF


def has_frames(stream: BinaryIO) -> bool:
    """Return whether an image that was decoded is only the first of several in its file."""
    try:
        with Image.open(stream) as image:
            return int(getattr(image, "n_frames", 1)) > 1
    except _DAMAGED:
        return False


def why_blank(stream: BinaryIO) -> str:
    """Return why an image is decoded to nothing but white, as transparency makes it so; or empty.

    Args:
        stream: An image that was decoded without an error.
    """
    with Image.open(stream) as image:
        if image.mode not in _WITH_ALPHA and "transparency" not in image.info:
            return ""
        _, highest = image.convert("RGBA").getchannel("A").getextrema()
    if not highest:
        return "every pixel is transparent"
    return "it is white on a transparent background, which is decoded to white"


def reduced_jpeg(stream: BinaryIO) -> tuple[tuple[int, int], Image.Image] | None:
    """Return height and width of an intact JPEG, and a small image of it; None if it is no such.

    All its data are read, but decoded to an eighth of the size per side, in a third of the time.
    The small image is not turned upright.
    """
    try:
        with Image.open(stream) as image:
            if image.format != "JPEG" or image.width * image.height > MAX_PIXELS:
                return None
            size = _upright(image)
            width, height = (max(side // _SHRINK, _LEAST_SIDE) for side in image.size)
            image.draft(None, (width, height))
            image.load()
            return size, image.copy()
    except _DAMAGED:
        return None


def _upright(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (width, height) if _orientation(image) in _QUARTER_TURNS else (height, width)


def _orientation(image: Image.Image) -> int:
    # Reading the EXIF data of a PNG that has none would decode the image.
    if _EXIF_SOURCES.isdisjoint(image.info):
        return _UPRIGHT
    orientation: int = image.getexif().get(_EXIF_ORIENTATION, _UPRIGHT)
    return orientation


def _bits_of_tiff(image: Image.Image) -> int:
    """Return the bits of a grey level; as many as of any other deep format if it is no TIFF."""
    per_sample = getattr(image, "tag_v2", {}).get(_TIFF_BITS_PER_SAMPLE)
    return int(per_sample[0]) if isinstance(per_sample, tuple) else _DEEP_BITS


def _has_deep_colours(image: Image.Image, stream: BinaryIO) -> bool:
    """Return whether an open image with several channels has 16 bits in each."""
    if image.format == "PNG":
        stream.seek(_PNG_DEPTH_AT)
        depth = stream.read(1)
        stream.seek(0)
        return depth == bytes([_DEEP_BITS])
    per_sample = getattr(image, "tag_v2", {}).get(_TIFF_BITS_PER_SAMPLE)
    return isinstance(per_sample, tuple) and set(per_sample) == {_DEEP_BITS}
