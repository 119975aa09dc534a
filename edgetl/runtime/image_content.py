"""Name what is no image that Pillow reads, and complete JPEGs that lack only their end."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from edgetl.runtime.errors import SAVE_AGAIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEAD_BYTES = 512
"""How much of a file `what_instead` looks at."""

_HEIF = (
    "convert it to JPEG, for example with `heif-convert a.heic a.jpg`, or on a Mac with `sips -s "
    "format jpeg a.heic --out a.jpg`; phones can be set to store JPEGs"
)
_BRAND = slice(4, 12)
_BRANDS = {
    b"avif": ("an AVIF image, which Pillow reads from 11.3 on", SAVE_AGAIN),
    b"avis": ("an AVIF image, which Pillow reads from 11.3 on", SAVE_AGAIN),
    b"crx ": ("a raw image of a camera", SAVE_AGAIN),
    **dict.fromkeys(
        (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"mif1", b"msf1"),
        ("a HEIC image, as phones store them, which Pillow does not read", _HEIF),
    ),
}
"""By the brand of an ISO media file."""
_BEGINNINGS = {
    b"version https://git-lfs": (
        "a Git LFS pointer, not the image itself",
        "run `git lfs pull` in its repository, or download the image itself",
    ),
    b"<!doctype html": ("a web page, not the image itself", "download the image itself"),
    b"<html": ("a web page, not the image itself", "download the image itself"),
    b"<svg": ("a drawing in SVG, which has no pixels", "render it as PNG, or exclude it"),
    b"<?xml": ("XML, not an image", "exclude it"),
    b"%pdf": ("a PDF", "save its pages as PNG, or exclude it"),
    b"\xff\x0a": ("a JPEG XL image, which Pillow does not read", SAVE_AGAIN),
    b"\0\0\0\x0cjxl ": ("a JPEG XL image, which Pillow does not read", SAVE_AGAIN),
}
"""In lower case."""
_JPEG, _END = b"\xff\xd8", b"\xff\xd9"
_NOISE = b"\xaa\x55\x5a\xa5" * 64
_SHRINK = 8


def what_instead(head: bytes) -> tuple[str, str]:
    """Return what a file is, as the end of a sentence, and the remedy.

    Args:
        head: Its first `HEAD_BYTES`.
    """
    if head[_BRAND].startswith(b"ftyp"):
        known = _BRANDS.get(head[_BRAND][4:])
        if known is not None:
            return known
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for beginning, known in _BEGINNINGS.items():
        if text.startswith(beginning):
            return known
    return "not an image in a format that Pillow reads", SAVE_AGAIN


def complete_jpeg(content: bytes) -> bytes | None:
    """Return a JPEG with its end marker, if that is all it lacks; None otherwise.

    Some cameras and programs do not write the marker. Where image data are missing as well, what
    stands behind them changes the pixels: it is decoded as if it was of the image.
    """
    body = content.rstrip(b"\0")
    body = body[:-1] if body.endswith(_END[:1]) else body
    if not content.startswith(_JPEG) or body.endswith(_END):
        return None
    first, second = _reduced(body + _END), _reduced(body + _NOISE + _END)
    if first is None or second is None or not np.array_equal(first, second):
        return None
    return body + _END


def _reduced(content: bytes) -> NDArray[np.uint8] | None:
    """Return the pixels of a JPEG at an eighth of its size; None if it is damaged or progressive.

    A progressive one that ends between two of its scans has all its pixels, only blurred.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.format not in {"JPEG", "MPO"} or "progressive" in image.info:
                return None
            image.draft(None, (image.width // _SHRINK, image.height // _SHRINK))
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError):
        return None
