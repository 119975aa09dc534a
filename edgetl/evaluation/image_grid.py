"""Draw a grid of images with labels and predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from edgetl.runtime.draw import transliterate

Colour = tuple[int, int, int]

LABELLED: Colour = (0, 200, 83)
PREDICTED: Colour = (255, 145, 0)
MAX_TILES = 12

_COLUMNS = 4
_TILE = 320
"""Height and width of an image in the grid, pixels."""
_LINE = 18
_TEXT = 13
_MARGIN = 6
_INK: Colour = (240, 240, 240)
_PAPER: Colour = (24, 24, 24)


@dataclass(frozen=True, slots=True)
class Mark:
    """One box."""

    box: NDArray[np.float32]
    """Shape `(4,)`, xyxy, pixels of the fitted image."""
    colour: Colour
    text: str = ""


@dataclass(frozen=True, slots=True)
class Tile:
    """One image of the grid."""

    image: NDArray[np.uint8]
    """Shape `(H, W, 3)`, RGB, the network's input."""
    lines: Sequence[str]
    """Text below the image."""
    marks: Sequence[Mark] = field(default=())


def grid(tiles: Sequence[Tile], legend: Sequence[tuple[str, Colour]]) -> NDArray[np.uint8]:
    """Return one image of `tiles`, at least one, below a legend of the colours."""
    columns = min(_COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    step = _TILE + _LINE * max(len(tile.lines) for tile in tiles) + 2 * _MARGIN
    size = (columns * (_TILE + _MARGIN) + _MARGIN, rows * step + _LINE + _MARGIN)
    canvas = Image.new("RGB", size, _PAPER)
    _write_legend(ImageDraw.Draw(canvas), legend)
    for position, tile in enumerate(tiles):
        left = _MARGIN + position % columns * (_TILE + _MARGIN)
        top = _LINE + _MARGIN + position // columns * step
        canvas.paste(_marked(tile), (left, top))
        for row, line in enumerate(tile.lines):
            draw = ImageDraw.Draw(canvas)
            at = (left, top + _TILE + row * _LINE)
            draw.text(at, _shortened(line, draw), fill=_INK, font=_font())
    return np.asarray(canvas)


def _write_legend(draw: ImageDraw.ImageDraw, legend: Sequence[tuple[str, Colour]]) -> None:
    left = float(_MARGIN)
    for text, colour in legend:
        draw.rectangle((left, _MARGIN, left + _TEXT, _MARGIN + _TEXT - 1), fill=colour)
        left += _TEXT + _MARGIN
        draw.text((left, _MARGIN - 2), text, fill=_INK, font=_font())
        left += draw.textlength(text, font=_font()) + 3 * _MARGIN


def _marked(tile: Tile) -> Image.Image:
    height, width = tile.image.shape[:2]
    scale = np.array([_TILE / width, _TILE / height] * 2)
    canvas = Image.fromarray(tile.image).resize((_TILE, _TILE), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(canvas)
    for mark in tile.marks:
        left, top, right, bottom = (round(float(value)) for value in mark.box * scale)
        corners = (left, top, max(left, right - 1), max(top, bottom - 1))
        draw.rectangle(corners, outline=mark.colour, width=2)
        if mark.text:
            at = (corners[0] + 3, max(0, corners[1] - _TEXT - 2))
            draw.text(
                at,
                transliterate(mark.text),
                fill=mark.colour,
                font=_font(),
                stroke_width=1,
                stroke_fill=0,
            )
    return canvas


def _shortened(line: str, draw: ImageDraw.ImageDraw) -> str:
    """Return `line`, truncated at the start if it is too wide: file names differ at the end."""
    shortened = transliterate(line)
    while draw.textlength(shortened, font=_font()) > _TILE:
        shortened = f"...{shortened[4:]}"
    return shortened


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_TEXT)
