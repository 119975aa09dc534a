"""Decode an image file and fit it to the input size of a network.

Training, calibration, verification and the device all use these functions, so a model gets the same
pixels in the field as in training. Rounding is specified wherever it happens.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from edgetl.runtime.errors import ImageError
from edgetl.runtime.packages import check_numpy_and_pillow

if TYPE_CHECKING:
    from numpy.typing import NDArray

check_numpy_and_pillow()  # what follows fails with older ones

MAX_PIXELS = 89_478_485
"""Largest image that is decoded: Pillow's default limit, a quarter GiB of RGB."""

BACKGROUND = 255
"""Grey level behind transparent pixels: white, as a browser shows them."""

FITS = ("letterbox", "stretch", "crop")
ANCHORS = ("centre", "top-left")
_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
}
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

_SAVE_AGAIN = "save it again as an 8-bit JPEG or PNG, or exclude it"


@dataclass(frozen=True)
class Preprocess:
    """How to turn an image of any size into the network's input.

    Attributes:
        height: Height of the network's input, pixels.
        width: Width of the network's input, pixels.
        fit: `letterbox` keeps the aspect ratio and pads, `stretch` does not keep it, `crop` takes
            the centre.
        filter: `bilinear`, `bicubic` or `area`; all of them antialias when downscaling.
        pad: Grey level of the letterbox border.
        anchor: Position of the image in the letterbox, `centre` or `top-left`; ignored by others.
    """

    height: int
    width: int
    fit: str
    filter: str
    pad: int
    anchor: str = "centre"

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise ValueError(f"unknown fit '{self.fit}'; known: {', '.join(FITS)}")
        if self.filter not in _FILTERS:
            raise ValueError(f"unknown filter '{self.filter}'; known: {', '.join(_FILTERS)}")
        if self.anchor not in ANCHORS:
            raise ValueError(f"unknown anchor '{self.anchor}'; known: {', '.join(ANCHORS)}")
        if self.height < 1 or self.width < 1 or not 0 <= self.pad <= _MAX_LEVEL:
            raise ValueError(
                f"input {self.height} x {self.width} with pad {self.pad}: "
                "sides must be at least 1 and pad in 0...255"
            )


@dataclass(frozen=True)
class Placement:
    """Position of an image in the network's input: ``x_input = x_image * scale_x + left``.

    The same holds for y. Coordinates refer to pixel edges, so an image extends from 0 to its width.
    """

    scale_x: float
    scale_y: float
    left: float
    top: float

    def to_input(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert boxes `(..., 4)`, xyxy, from pixels of the image to pixels of the input."""
        scale, shift = self._columns()
        return (boxes * scale + shift).astype(np.float32)

    def to_image(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert boxes `(..., 4)`, xyxy, from pixels of the input to pixels of the image."""
        scale, shift = self._columns()
        return ((boxes - shift) / scale).astype(np.float32)

    def _columns(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        scale = np.array([self.scale_x, self.scale_y] * 2)
        return scale, np.array([self.left, self.top] * 2)


@dataclass(frozen=True)
class _Layout:
    """The crop of an image, and the part of the input that it fills; whole pixels."""

    cut_top: int
    cut_left: int
    cut_height: int
    cut_width: int
    top: int
    left: int
    height: int
    width: int


def read_image(source: Path | BinaryIO, *, name: str = "") -> NDArray[np.uint8]:
    """Decode an image into upright RGB.

    Reads the first frame of an animation and applies the EXIF orientation. Greyscale, palette and
    CMYK become RGB; CMYK as written by Adobe (inverted in JPEG), without colour profiles. 16-bit
    grey and colour keep the high byte, ``v >> 8``. Transparent pixels are blended with `BACKGROUND`
    and rounded to the nearest level.

    Args:
        source: A file, or an open stream at its start.
        name: Name of the image in messages; the path if empty.

    Returns:
        Shape ``(H, W, 3)``, uint8, read-only.

    Raises:
        ImageError: If the file is missing, a folder, not an image, damaged, truncated or too large;
            if the pixels have no defined range (float, 32-bit integer); or if a 16-bit image has a
            transparent level.
    """
    called = name or str(source if isinstance(source, Path) else getattr(source, "name", "image"))
    _check_source(source, called)
    try:
        with Image.open(source) as image:
            _check_size(image, called)
            image.load()
            return _rgb(image, called)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _refused(called, str(error)) from error
    except UnidentifiedImageError as error:
        raise _refused(called, "not an image in a format that Pillow reads") from error
    except DAMAGED as error:
        raise _refused(called, f"damaged or truncated ({error})") from error


def fit_image(image: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.uint8]:
    """Bring an image to the network's input size.

    With ``h``, ``w`` of the image and ``H``, ``W`` of the input; ``round`` rounds half up, in
    integers, and every side is at least 1:

    - `stretch`: resize to ``H x W``.
    - `letterbox`: the limiting side becomes ``H`` or ``W``, the other one ``round(h * W / w)`` or
      ``round(w * H / h)``; placed at the top left, or centred, with an odd border pixel at the
      bottom or right. Small images are enlarged.
    - `crop`: take the largest centred rectangle with the input's aspect ratio, sides rounded the
      same way, dropping an odd pixel at the bottom or right; then resize to ``H x W``.

    Args:
        image: Shape ``(h, w, 3)``, uint8, RGB, upright.
        preprocess: Input size, fit and filter.

    Returns:
        Shape ``(H, W, 3)``, uint8; a new array.

    Raises:
        ValueError: If `image` has another shape or dtype.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:  # noqa: PLR2004
        raise ValueError(f"image must be uint8 (h, w, 3), got {image.dtype} {image.shape}")
    layout = _layout(image.shape[0], image.shape[1], preprocess)
    cut = image[
        layout.cut_top : layout.cut_top + layout.cut_height,
        layout.cut_left : layout.cut_left + layout.cut_width,
    ]
    resized = _resize(cut, layout.height, layout.width, preprocess.filter)
    if resized.shape[:2] == (preprocess.height, preprocess.width):
        return resized
    canvas = np.full((preprocess.height, preprocess.width, 3), preprocess.pad, np.uint8)
    rows = slice(layout.top, layout.top + layout.height)
    canvas[rows, layout.left : layout.left + layout.width] = resized
    return canvas


def place(height: int, width: int, preprocess: Preprocess) -> Placement:
    """Return the position that `fit_image` gives an image of `height` x `width` pixels, exactly.

    Raises:
        ValueError: If the image has no pixels.
    """
    if height < 1 or width < 1:
        raise ValueError(f"an image of {height} x {width} has no pixels")
    layout = _layout(height, width, preprocess)
    scale_x, scale_y = layout.width / layout.cut_width, layout.height / layout.cut_height
    return Placement(
        scale_x,
        scale_y,
        layout.left - layout.cut_left * scale_x,
        layout.top - layout.cut_top * scale_y,
    )


def _layout(h: int, w: int, preprocess: Preprocess) -> _Layout:
    """Return crop and position of an image of `h` x `w`; see `fit_image`."""
    height, width = preprocess.height, preprocess.width
    if preprocess.fit == "stretch":
        return _Layout(0, 0, h, w, 0, 0, height, width)
    width_binds = w * height >= h * width
    if preprocess.fit == "letterbox":
        inner_h = _part(h, width, w) if width_binds else height
        inner_w = width if width_binds else _part(w, height, h)
        centred = preprocess.anchor == "centre"
        top = (height - inner_h) // 2 if centred else 0
        left = (width - inner_w) // 2 if centred else 0
        return _Layout(0, 0, h, w, top, left, inner_h, inner_w)
    cut_h = h if width_binds else _part(w, height, width)
    cut_w = _part(h, width, height) if width_binds else w
    return _Layout((h - cut_h) // 2, (w - cut_w) // 2, cut_h, cut_w, 0, 0, height, width)


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


def _refused(called: str, reason: str, remedy: str = _SAVE_AGAIN) -> ImageError:
    return ImageError(f"cannot read image '{called}': {reason}", remedy=remedy)


def _rgb(image: Image.Image, called: str) -> NDArray[np.uint8]:
    """Return the upright RGB pixels of a loaded image."""
    # Importing Pillow's EXIF reader takes 10 ms, and most images on a device have no EXIF data.
    # Pillow already rotates TIFF files on loading.
    has_exif = not _EXIF_SOURCES.isdisjoint(image.info)
    turn = _UPRIGHT.get(image.getexif().get(_EXIF_ORIENTATION, 1)) if has_exif else None
    upright = image if turn is None else image.transpose(turn)
    if _has_deep_key(image):
        raise _refused(called, "16-bit images with a transparent level are not supported")
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return _from_deep(image, upright, called)
    if image.mode in {"LA", "PA", "RGBA", "La", "RGBa"} or "transparency" in image.info:
        return _blend(np.asarray(upright.convert("RGBA")))
    return np.asarray(upright.convert("RGB"))


def _has_deep_key(image: Image.Image) -> bool:
    """Return whether the transparent level has 16 bits; Pillow 13 compares it with 8-bit levels."""
    key = image.info.get("transparency")
    levels = key if isinstance(key, tuple) else (key,)
    return (image.mode.startswith("I;16") and key is not None) or any(
        isinstance(level, int) and level > _MAX_LEVEL for level in levels
    )


def _from_deep(image: Image.Image, upright: Image.Image, called: str) -> NDArray[np.uint8]:
    """Return RGB of a grey image with more than 8 bits: its high byte in all three channels."""
    if image.mode == "F" or (image.mode == "I" and image.format not in {"PNG", "PPM"}):
        kind = "float" if image.mode == "F" else "32-bit or signed integer"
        raise _refused(called, f"{kind} pixels have no defined range")
    values = np.asarray(upright)
    bits = 16
    if image.format == "TIFF":
        tags: dict[int, object] = getattr(image, "tag_v2", {})
        per_sample = tags.get(_TIFF_BITS_PER_SAMPLE)
        bits = int(per_sample[0]) if isinstance(per_sample, tuple) else bits
        if tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO:
            values = (1 << bits) - 1 - values
    grey = (values >> (bits - 8)).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _blend(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return RGBA blended with `BACKGROUND`: ``(c * a + 255 * (255 - a)) / 255``, to nearest."""
    colour = rgba[:, :, :3].astype(np.uint16)
    alpha = rgba[:, :, 3:].astype(np.uint16)
    # At most 255 * 255 + 127, which fits into 16 bits.
    blended = (colour * alpha + BACKGROUND * (255 - alpha) + 127) // 255
    return blended.astype(np.uint8)


def _part(side: int, numerator: int, denominator: int) -> int:
    """Return ``side * numerator / denominator`` rounded half up, at least 1."""
    return max(1, (2 * side * numerator + denominator) // (2 * denominator))


def _resize(image: NDArray[np.uint8], height: int, width: int, resample: str) -> NDArray[np.uint8]:
    source = Image.fromarray(np.ascontiguousarray(image))
    return np.array(source.resize((width, height), _FILTERS[resample]))
