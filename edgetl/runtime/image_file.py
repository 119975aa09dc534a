"""Decode an image file into upright RGB, with no more memory than its pixels take.

A large image is held once by Pillow, at four bytes a pixel. It becomes an array in strips of rows:
`numpy.asarray` would hold the pixels twice more for a while.
"""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Callable

import numpy as np
from PIL import Image, UnidentifiedImageError

from edgetl.runtime.errors import CHECK_ACCESS, SAVE_AGAIN, ImageError
from edgetl.runtime.preprocess import Preprocess, fit_decoded, fit_image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    _ToRgb = Callable[[Image.Image], NDArray[np.uint8]]

MAX_PIXELS = 89_478_485
"""Largest image that is decoded: Pillow's default limit, a quarter GiB of RGB."""

BACKGROUND = 255
"""Grey level behind transparent pixels: white, as a browser shows them."""

_STRIP_PIXELS = 1 << 18
"""How many pixels become an array at once."""
_MAX_LEVEL = 255
_EXIF_ORIENTATION = 0x0112
_EXIF_SOURCES = frozenset(
    {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type APP1"}
)
"""Keys of ``Image.info`` from which Pillow's ``getexif`` reads the orientation."""
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TIFF_BITS_PER_SAMPLE = 258
_TIFF_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0

DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
)
"""Exceptions that Pillow 11 to 13 raise on damaged files; OSError includes UnidentifiedImageError,
RuntimeError comes from AVIF."""


def read_image(source: Path | BinaryIO, *, name: str = "") -> NDArray[np.uint8]:
    """Decode an image into upright RGB.

    Reads the first frame of an animation and applies the EXIF orientation. Greyscale, palette and
    CMYK become RGB; CMYK as written by Adobe (inverted in JPEG), without colour profiles. 16-bit
    grey and colour keep the high byte, ``v >> 8``. Transparent pixels are blended with `BACKGROUND`
    and rounded to the nearest level. A JPEG may lack its end marker if no pixel is missing.

    Args:
        source: A file, or an open stream at its start.
        name: Name of the image in messages; the path if empty.

    Returns:
        Shape ``(H, W, 3)``, uint8, read-only.

    Raises:
        ImageError: If the file is missing, a folder, not an image, damaged, truncated or too large,
            or the system refuses it; if the pixels have no defined range (float, 32-bit integer);
            if a 16-bit image has a transparent level; or if there is not enough memory.
    """
    called = name or str(source if isinstance(source, Path) else getattr(source, "name", "image"))
    with _enough_memory(called):
        return _array(*_decode(source, called))


def read_fitted(source: Path, preprocess: Preprocess) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Decode an image and bring it to the network's input size.

    Returns:
        The same pixels as `fit_image` of `read_image`, in less memory; and height and width of the
        upright image.

    Raises:
        ImageError: As `read_image`.
    """
    with _enough_memory(str(source)):
        image, to_rgb = _decode(source, str(source))
        size = (image.height, image.width)
        if to_rgb is None:
            # Rebound, so that the decoded image is freed before this one is resized.
            image = image if image.mode == "RGB" else image.convert("RGB")
            return fit_decoded(image, preprocess), size
        pixels = _array(image, to_rgb)
        del image  # likewise
        return fit_image(pixels, preprocess), size


def _decode(source: Path | BinaryIO, called: str) -> tuple[Image.Image, _ToRgb | None]:
    """Return the upright image, and what makes RGB of a strip; None if Pillow's conversion does."""
    try:
        _check_source(source, called)
        with Image.open(source) as image:
            _check_size(image, called)
            image.load()
            return _upright(image), _conversion(image, called)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _refused(called, str(error)) from error
    except UnidentifiedImageError as error:
        from edgetl.runtime.image_content import HEAD_BYTES, what_instead

        raise _refused(called, *what_instead(_content(source, HEAD_BYTES))) from error
    except DAMAGED as error:
        if isinstance(error, OSError) and error.strerror:  # of the system, not of Pillow
            raise _refused(called, error.strerror, CHECK_ACCESS) from error
        from edgetl.runtime.image_content import complete_jpeg

        completed = complete_jpeg(_content(source))
        if completed is None:
            raise _refused(called, f"damaged or truncated ({error})") from error
        return _decode(io.BytesIO(completed), called)


def _content(source: Path | BinaryIO, size: int = -1) -> bytes:
    """Return the first `size` bytes of an image; all of them if it is negative."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            return file.read(size)
    source.seek(0)
    return source.read(size)


def _array(image: Image.Image, to_rgb: _ToRgb | None) -> NDArray[np.uint8]:
    """Return the pixels of `image` as RGB, strip by strip."""
    convert = to_rgb or _opaque
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    num_rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, num_rows):
        bottom = min(top + num_rows, image.height)
        pixels[top:bottom] = convert(image.crop((0, top, image.width, bottom)))
    pixels.setflags(write=False)
    return pixels


@contextmanager
def _enough_memory(called: str) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise _refused(
            called,
            "there is not enough memory for its pixels",
            "stop other programs, or scale it down on another machine",
        ) from error


def _check_source(source: Path | BinaryIO, called: str) -> None:
    if isinstance(source, Path):
        if source.is_dir():
            remedy = f"pass the images in it, for example {source / '*.jpg'}"
            raise _refused(called, "it is a folder", remedy)
        if not source.is_file():
            raise _refused(called, "no such file", "check the path")
        empty = source.stat().st_size == 0
    else:
        empty = not source.read(1)
        source.seek(0)
    if empty:
        raise _refused(called, "the file is empty")


def _check_size(image: Image.Image, called: str) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _refused(
            called, f"{image.width} x {image.height} pixels exceed the limit of {MAX_PIXELS:,}"
        )


def _refused(called: str, reason: str, remedy: str = SAVE_AGAIN) -> ImageError:
    return ImageError(f"cannot read image '{called}': {reason}", remedy=remedy)


def _upright(image: Image.Image) -> Image.Image:
    # Importing Pillow's EXIF reader takes 10 ms, and most images on a device have no EXIF data.
    # Pillow already rotates TIFF files on loading.
    has_exif = not _EXIF_SOURCES.isdisjoint(image.info)
    turn = _UPRIGHT.get(image.getexif().get(_EXIF_ORIENTATION, 1)) if has_exif else None
    return image if turn is None else image.transpose(turn)


def _conversion(image: Image.Image, called: str) -> _ToRgb | None:
    """Return what makes RGB of a strip of a loaded image; None if Pillow's conversion does."""
    if _has_deep_key(image):
        raise _refused(called, "16-bit images with a transparent level are not supported")
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return _deep_conversion(image, called)
    if image.mode in {"LA", "PA", "RGBA", "La", "RGBa"} or "transparency" in image.info:
        return _blended
    return None


def _has_deep_key(image: Image.Image) -> bool:
    """Return whether the transparent level has 16 bits; Pillow 13 compares it with 8-bit levels."""
    key = image.info.get("transparency")
    levels = key if isinstance(key, tuple) else (key,)
    return (image.mode.startswith("I;16") and key is not None) or any(
        isinstance(level, int) and level > _MAX_LEVEL for level in levels
    )


def _deep_conversion(image: Image.Image, called: str) -> _ToRgb:
    """Return what makes RGB of grey levels with more than 8 bits."""
    if image.mode == "F" or (image.mode == "I" and image.format not in {"PNG", "PPM"}):
        kind = "float" if image.mode == "F" else "32-bit or signed integer"
        raise _refused(called, f"{kind} pixels have no defined range")
    bits, inverted = 16, False
    if image.format == "TIFF":
        tags: dict[int, object] = getattr(image, "tag_v2", {})
        per_sample = tags.get(_TIFF_BITS_PER_SAMPLE)
        bits = int(per_sample[0]) if isinstance(per_sample, tuple) else bits
        inverted = tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO
    return partial(_high_byte, bits=bits, inverted=inverted)


def _opaque(strip: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))


def _high_byte(strip: Image.Image, *, bits: int, inverted: bool) -> NDArray[np.uint8]:
    """Return RGB of grey levels of `bits` bits: their high byte in all three channels."""
    values = np.asarray(strip)
    if inverted:
        values = (1 << bits) - 1 - values
    grey = (values >> (bits - 8)).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _blended(strip: Image.Image) -> NDArray[np.uint8]:
    """Return RGBA blended with `BACKGROUND`: ``(c * a + 255 * (255 - a)) / 255``, to nearest."""
    rgba = np.asarray(strip.convert("RGBA"))
    colour = rgba[:, :, :3].astype(np.uint16)
    alpha = rgba[:, :, 3:].astype(np.uint16)
    # At most 255 * 255 + 127, which fits into 16 bits.
    blended = (colour * alpha + BACKGROUND * (255 - alpha) + 127) // 255
    return blended.astype(np.uint8)
