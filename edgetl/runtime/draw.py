"""Draw a model's predictions on an image: boxes with classes, or the class of the whole image.

Line and text sizes scale with the image. The font is Pillow's own, which looks the same on every
machine but has only ASCII letters: others are transliterated, `Öse` to `Oese`.
"""

from __future__ import annotations

import colorsys
import unicodedata
from dataclasses import dataclass
from math import ceil, floor, sqrt
from typing import TYPE_CHECKING

import numpy as np
import PIL
from PIL import Image, ImageDraw, ImageFont

from edgetl.runtime.errors import EdgetlUsageError, PackageError
from edgetl.runtime.packages import LEAST_PILLOW_TO_DRAW, is_older

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edgetl.runtime.detections import Detections

    Colour = tuple[int, int, int]
    Area = tuple[int, int, int, int]

_TEXT_SHARE = 1 / 38
_LINE_SHARE = 1 / 240
_MIN_TEXT = 12
_THIN = 2
"""Width of the thinnest line, pixels."""
_GOLDEN_SHARE = 0.618034
"""Hue step between successive classes, as a share of the colour circle; golden ratio."""
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
_BRIGHT = 115
_SMALL_BOX_TAGS = 4
"""A box smaller than this many tags counts as small and should not be hidden under a tag."""
_MAX_HIDDEN_SHARE = 0.4
"""Largest area of small boxes that a tag may hide, as a share of its own area."""
_TRANSLITERATED = str.maketrans(
    {"Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ẞ": "SS",
     "Æ": "Ae", "æ": "ae", "Ø": "Oe", "ø": "oe", "Œ": "Oe", "œ": "oe", "Ł": "L", "ł": "l"}
)  # fmt: skip


@dataclass(frozen=True)
class _Tag:
    """Text on a filled rectangle."""

    text: str
    colour: Colour
    area: Area
    """xyxy, whole pixels."""


def draw_detections(
    image: NDArray[np.uint8], detections: Detections, labels: Sequence[str]
) -> NDArray[np.uint8]:
    """Return a copy of `image` with the box, class and score of every detection.

    A tag is placed above its box, or else where it hides least; high scores are placed first. A tag
    that would overlap another one or hide too much of small boxes is dropped; the colour still
    identifies the class. Images lower than a line of text have no tags.

    Args:
        image: Shape ``(h, w, 3)``, uint8, RGB.
        detections: In pixels of `image`.
        labels: Class names, indexed by the detections' labels.

    Raises:
        EdgetlUsageError: If this build of Pillow cannot draw text.
        PackageError: If this Pillow is too old to draw it.
    """
    canvas = Image.fromarray(image)
    pen = ImageDraw.Draw(canvas)
    brush = _Brush.of(canvas)
    areas = [_pixels(box, canvas.size) for box in detections.boxes.tolist()]
    # Highest score last, so that it is on top.
    for area, label in zip(reversed(areas), reversed(detections.labels.tolist())):
        brush.box(pen, area, _colour(label))
    tags: list[_Tag] = []
    for i, (score, label) in enumerate(zip(detections.scores.tolist(), detections.labels.tolist())):
        text = transliterate(f"{labels[label]} {score:.2f}")
        place = _place(areas, i, tags, brush.size(text), canvas.size)
        if place is not None:
            tags.append(_Tag(text, _colour(label), place))
    for tag in tags:
        brush.tag(pen, tag)
    return np.array(canvas)


def draw_label(image: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """Return a copy of `image` with `text`, one or more lines, in its upper left corner.

    Args:
        image: Shape ``(h, w, 3)``, uint8, RGB.
        text: Truncated at the edge of the image.

    Raises:
        EdgetlUsageError: If this build of Pillow cannot draw text.
        PackageError: If this Pillow is too old to draw it.
    """
    canvas = Image.fromarray(image)
    brush = _Brush.of(canvas)
    label = transliterate(text)
    width, height = brush.size(label)
    brush.tag(ImageDraw.Draw(canvas), _Tag(label, _BLACK, (0, 0, width, height)))
    return np.array(canvas)


@dataclass(frozen=True)
class _Brush:
    """Font and line widths for an image of a given size."""

    font: ImageFont.FreeTypeFont | ImageFont.ImageFont
    line: int
    margin: int

    @classmethod
    def of(cls, image: Image.Image) -> _Brush:
        side = sqrt(image.width * image.height)
        size = max(_MIN_TEXT, round(side * _TEXT_SHARE))
        if is_older(PIL.__version__, LEAST_PILLOW_TO_DRAW):
            raise PackageError(
                f"pillow {PIL.__version__} has no font that scales, so it cannot draw predictions; "
                f"that needs {LEAST_PILLOW_TO_DRAW} or newer",
                remedy=f"pip install 'pillow>={LEAST_PILLOW_TO_DRAW}', or predict without --draw",
            )
        try:
            font = ImageFont.load_default(size)
        except ImportError as error:
            raise EdgetlUsageError(
                f"this Pillow cannot draw text: {error}", remedy="pip install --upgrade pillow"
            ) from error
        return cls(font, max(_THIN, round(side * _LINE_SHARE)), ceil(size / 6))

    def size(self, text: str) -> tuple[int, int]:
        """Return width and height of a tag with `text`, pixels."""
        lines = text.split("\n")
        width = max(self.font.getlength(line) for line in lines)
        return ceil(width) + 2 * self.margin, self._line_height() * len(lines) + self.margin

    def box(self, pen: ImageDraw.ImageDraw, area: Area, colour: Colour) -> None:
        """Draw a frame inside `area`, with hairlines on both sides if the frame is thick enough."""
        left, top, right, bottom = area
        ground = _contrast(colour)
        lined = self.line > _THIN
        for inset in range(self.line + 2 * lined):
            if right - left <= 2 * inset or bottom - top <= 2 * inset:
                return
            frame = (left + inset, top + inset, right - inset - 1, bottom - inset - 1)
            is_hair_line = lined and inset in {0, self.line + 1}
            pen.rectangle(frame, outline=ground if is_hair_line else colour)

    def tag(self, pen: ImageDraw.ImageDraw, tag: _Tag) -> None:
        """Draw `tag`."""
        left, top, right, bottom = tag.area
        pen.rectangle((left, top, right - 1, bottom - 1), fill=tag.colour)
        for row, line in enumerate(tag.text.split("\n")):
            place = (left + self.margin, top + self.margin // 2 + row * self._line_height())
            pen.text(place, line, fill=_contrast(tag.colour), font=self.font)

    def _line_height(self) -> int:
        _, top, _, bottom = self.font.getbbox("Ag")
        return ceil(bottom + min(0, top)) + self.margin // 2


def _pixels(box: Sequence[float], size: tuple[int, int]) -> Area:
    """Return the whole pixels that `box` covers, at least one, inside an image of `size`."""
    width, height = size
    left = min(max(floor(box[0]), 0), width - 1)
    top = min(max(floor(box[1]), 0), height - 1)
    return (
        left,
        top,
        max(left + 1, min(ceil(box[2]), width)),
        max(top + 1, min(ceil(box[3]), height)),
    )


def _place(
    areas: Sequence[Area],
    index: int,
    tags: Sequence[_Tag],
    size: tuple[int, int],
    image: tuple[int, int],
) -> Area | None:
    """Return the area where a tag of `size` for box `index` hides least; None if too much."""
    if size[1] > image[1]:
        return None
    tag_area = size[0] * size[1]
    places = np.array(
        [_inside(left, top, size, image) for left, top in _corners(areas[index], size)]
    )
    boxes = np.array(areas)
    small = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) < _SMALL_BOX_TAGS * tag_area
    own = np.arange(len(boxes)) == index
    hidden = _hidden(places, boxes[small & ~own])
    if tags:
        hidden[_hidden(places, np.array([tag.area for tag in tags])) > 0] = tag_area
    least = int((hidden + _hidden(places, boxes[small & own])).argmin())
    if hidden[least] > _MAX_HIDDEN_SHARE * tag_area:
        return None
    left, top, right, bottom = places[least].tolist()
    return left, top, right, bottom


def _hidden(places: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of pixels of `others` that each of `places` would hide."""
    a, b = places[:, np.newaxis], others[np.newaxis]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    hidden: NDArray[np.int64] = np.prod(np.maximum(sides, 0), axis=-1).sum(axis=1)
    return hidden


def _corners(area: Area, tag: tuple[int, int]) -> Iterator[tuple[int, int]]:
    left, top, right, bottom = area
    width, height = tag
    for x in (left, right - width):
        yield x, top - height
        yield x, top
        yield x, bottom
        yield x, bottom - height


def _inside(left: int, top: int, tag: tuple[int, int], image: tuple[int, int]) -> Area:
    x = max(0, min(left, image[0] - tag[0]))
    y = max(0, min(top, image[1] - tag[1]))
    return x, y, x + tag[0], y + tag[1]


def transliterate(text: str) -> str:
    """Return `text` in ASCII, the letters of Pillow's font; letters without a match become `?`."""
    plain = unicodedata.normalize("NFC", text).translate(_TRANSLITERATED)
    marked = unicodedata.normalize("NFKD", plain)
    bare = "".join(letter for letter in marked if not unicodedata.combining(letter))
    return bare.encode("ascii", "replace").decode("ascii")


def _colour(label: int) -> Colour:
    """Return the colour of class `label`: hues far apart, odd labels darker."""
    value = 0.95 if label % 2 == 0 else 0.7
    red, green, blue = colorsys.hsv_to_rgb(label * _GOLDEN_SHARE % 1.0, 0.85, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _contrast(colour: Colour) -> Colour:
    """Return black or white, whichever contrasts more with `colour`."""
    red, green, blue = colour
    return _BLACK if 0.299 * red + 0.587 * green + 0.114 * blue > _BRIGHT else _WHITE
