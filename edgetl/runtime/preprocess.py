"""Fit an image to the input size of a network.

Training, calibration, verification and the device all use these functions and those of
`edgetl.runtime.image_file`, so a model gets the same pixels in the field as in training. Rounding
is specified wherever it happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from edgetl.runtime.packages import check_numpy_and_pillow

if TYPE_CHECKING:
    from numpy.typing import NDArray

check_numpy_and_pillow()  # what follows fails with older ones

FITS = ("letterbox", "stretch", "crop")
ANCHORS = ("centre", "top-left")
_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
}
_MAX_LEVEL = 255


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
    return _placed(Image.fromarray(np.ascontiguousarray(cut)), layout, preprocess)


def fit_decoded(image: Image.Image, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Bring an upright image of mode RGB to the network's input size; see `fit_image`.

    The pixels are the same. Of a large image this needs half the memory, because there is no array
    of all its pixels.
    """
    layout = _layout(image.height, image.width, preprocess)
    right, bottom = layout.cut_left + layout.cut_width, layout.cut_top + layout.cut_height
    box = (layout.cut_left, layout.cut_top, right, bottom)
    cut = image if box == (0, 0, *image.size) else image.crop(box)
    return _placed(cut, layout, preprocess)


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


def _part(side: int, numerator: int, denominator: int) -> int:
    """Return ``side * numerator / denominator`` rounded half up, at least 1."""
    return max(1, (2 * side * numerator + denominator) // (2 * denominator))


def _placed(cut: Image.Image, layout: _Layout, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Return the input that `cut`, the crop of `layout`, becomes."""
    size = (layout.width, layout.height)
    resized = np.array(cut.resize(size, _FILTERS[preprocess.filter]))
    if resized.shape[:2] == (preprocess.height, preprocess.width):
        return resized
    canvas = np.full((preprocess.height, preprocess.width, 3), preprocess.pad, np.uint8)
    rows = slice(layout.top, layout.top + layout.height)
    canvas[rows, layout.left : layout.left + layout.width] = resized
    return canvas
