"""Augmented views of an image as a pure function of (image, view number, seed).

A view is described independently of any size: where its points are in the upright source image,
what is occluded and how colours change. Each network input applies its own fit, so that a teacher
at 224 px and a student at 96 px see the same crop of the same image.

A view has the frame of its image: the same shape, filled by a part of the image. Points are
fractions of the frame's sides, from the top left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from edgetl.data.levels import Level, num_views
from edgetl.runtime.preprocess import Preprocess, place


@dataclass(frozen=True, slots=True)
class _Strength:
    """The ranges of a level's random parameters."""

    smallest_area: float = 1.0
    """Of the crop, fraction."""
    widest_ratio: float = 1.0
    """Largest aspect ratio of the crop, as a multiple of the image's; its inverse is the least."""
    degrees: float = 0.0
    colour: float = 0.0
    """Brightness, contrast and saturation are multiplied by 1 plus or minus this."""
    saturation: float = 0.0
    erased: float = 0.0
    """Probability of an erased patch."""


_STRENGTHS = {
    Level.LIGHT: _Strength(smallest_area=0.6, widest_ratio=1.25, colour=0.2),
    Level.STRONG: _Strength(
        smallest_area=0.35,
        widest_ratio=4 / 3,
        degrees=20.0,
        colour=0.4,
        saturation=0.4,
        erased=0.25,
    ),
}
_HALF = 0.5
_ERASED_AREA = (0.02, 0.15)
_NUM_DRAWS = 16

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, fractions of a frame."""


@dataclass(frozen=True, slots=True)
class View:
    """One view of an image, for inputs of any size and fit."""

    crop: Box = (0.0, 0.0, 1.0, 1.0)
    """The part of the rotated image that fills the frame."""
    degrees: float = 0.0
    """Counter-clockwise turn of the image about its centre."""
    mirrored: bool = False
    """Horizontally, after the crop."""
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    """Multiples, applied in this order."""
    erased: Box | None = None
    """An erased patch of the view."""

    @property
    def recolours(self) -> bool:
        """Whether colours change."""
        return (self.brightness, self.contrast, self.saturation) != (1.0, 1.0, 1.0)

    @property
    def moves(self) -> bool:
        """Whether pixels move with respect to the image, apart from mirroring."""
        return bool(self.degrees) or self.crop != (0.0, 0.0, 1.0, 1.0)


def view_number(level: Level, limit: int | None, *, content: str, seed: int, epoch: int) -> int:
    """Return the number of the view of an image in an epoch.

    With the two views of `flip` it is random for each image and epoch; otherwise epochs take the
    views in turn.

    Args:
        level: How much images vary.
        limit: Maximum number of views; None for a new one in every epoch.
        content: SHA-256 of the image.
        seed: Of the training.
        epoch: Counted from 0.
    """
    count = num_views(level, limit)
    if count is None:
        return epoch
    if level is Level.FLIP:
        # The leading 3 separates these streams from others with the same seed.
        return int(_rng(3, seed, epoch, int(content, 16)).integers(count))
    return epoch % count


def make_view(level: Level, number: int, *, content: str, seed: int) -> View:
    """Return view `number` of an image.

    Args:
        level: How much images vary.
        number: Of the view, from 0; with `flip` 0 is the unchanged image and 1 its mirror image.
        content: SHA-256 of the image.
        seed: Of the training.
    """
    if level is Level.NONE:
        return View()
    if level is Level.FLIP:
        return View(mirrored=number == 1)
    draws = _rng(1, seed, number, int(content, 16)).random(_NUM_DRAWS).tolist()
    strength = _STRENGTHS[level]
    turned = strength.degrees and draws[0] < _HALF
    return View(
        crop=_crop(draws[2:6], strength),
        degrees=(draws[1] * 2.0 - 1.0) * strength.degrees if turned else 0.0,
        mirrored=draws[6] < _HALF,
        brightness=_factor(draws[7], strength.colour),
        contrast=_factor(draws[8], strength.colour),
        saturation=_factor(draws[9], strength.saturation),
        erased=_patch(draws[11:15]) if draws[10] < strength.erased else None,
    )


def show_view(
    image: Tensor, view: View, preprocess: Preprocess, *, source_size: tuple[int, int]
) -> Tensor:
    """Return a view of an image as one network sees it.

    Args:
        image: The image fitted to the input, shape `(3, H, W)`, uint8; fastest when its memory is
            channels-last. Not changed.
        view: The view to show.
        preprocess: How the image was fitted. Its border is unchanged; parts that the fit cut off
            have the grey level of the border.
        source_size: Height and width of the upright source image, pixels.

    Returns:
        Shape `(3, H, W)`, uint8; `image` itself if nothing changes.
    """
    if view == View():
        return image
    height, width = source_size
    placement = place(height, width, preprocess)
    left, top, right, bottom = placement.to_input(
        np.array([[0.0, 0.0, width, height]], np.float32)
    )[0].tolist()
    frame = (left, top, right - left, bottom - top)
    x0, y0 = max(0, round(left)), max(0, round(top))
    x1, y1 = min(preprocess.width, round(right)), min(preprocess.height, round(bottom))
    part = image[:, y0:y1, x0:x1]
    if view.moves or view.recolours:
        part = _shown_part(part, view, preprocess, (frame, (x0, y0), height / width))
    elif view.mirrored:
        part = part.flip(2)
    if part.shape == image.shape:
        shown = part
    else:
        shown = torch.full_like(image, preprocess.pad)
        shown[:, y0:y1, x0:x1] = part
    if view.erased is not None:
        rows, columns = _pixels_of(view.erased, frame, (x0, y0, x1, y1))
        shown[:, rows, columns] = preprocess.pad
    return shown


def _shown_part(
    part: Tensor,
    view: View,
    preprocess: Preprocess,
    geometry: tuple[Box, tuple[int, int], float],
) -> Tensor:
    """Return the part of an input that the image covers, moved and recoloured."""
    shown = Image.fromarray(np.ascontiguousarray(part.permute(1, 2, 0).numpy()))
    if view.moves and (view.degrees or preprocess.fit == "crop"):
        shown = _turned(shown, _to_part(view, *geometry), preprocess.pad)
    else:
        shown = _cropped(shown, view.crop) if view.moves else shown
        shown = shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if view.mirrored else shown
    return torch.from_numpy(np.array(_recoloured(shown, view))).permute(2, 0, 1)


def _to_part(
    view: View, frame: Box, origin: tuple[int, int], aspect: float
) -> tuple[float, float, float, float, float, float]:
    """Return the map from pixels of the view to pixels of the image, both counted from `origin`.

    Pixel ``(x, y)`` of the view shows ``(a x + b y + c, d x + e y + f)`` of the image. The rotation
    is about the centre, in units of the source image's width, so that right angles are preserved.

    Args:
        view: The view.
        frame: Left, top, width and height of the image on the input, pixels.
        origin: Left and top, pixels of the input.
        aspect: Height of the source image in its widths.
    """
    left, top, right, bottom = view.crop
    if view.mirrored:
        left, right = right, left
    angle = math.radians(view.degrees)
    cosine, sine = math.cos(angle), math.sin(angle)
    x, y, width, height = frame[0] - origin[0], frame[1] - origin[1], frame[2], frame[3]
    a = cosine * (right - left)
    b = -sine * aspect * (bottom - top) * width / height
    d = sine / aspect * (right - left) * height / width
    e = cosine * (bottom - top)
    # The top left of the frame shows that of the rotated crop.
    u, v = left - _HALF, top - _HALF
    corner_x = x + (cosine * u - sine * aspect * v + _HALF) * width
    corner_y = y + (sine / aspect * u + cosine * v + _HALF) * height
    return a, b, corner_x - a * x - b * y, d, e, corner_y - d * x - e * y


def _turned(part: Image.Image, to_part: tuple[float, ...], pad: int) -> Image.Image:
    return part.transform(
        part.size,
        Image.Transform.AFFINE,
        to_part,
        Image.Resampling.BILINEAR,
        fillcolor=(pad, pad, pad),
    )


def _cropped(part: Image.Image, crop: Box) -> Image.Image:
    window = (
        crop[0] * part.width,
        crop[1] * part.height,
        min(crop[2], 1.0) * part.width,
        min(crop[3], 1.0) * part.height,
    )
    return part.resize(part.size, Image.Resampling.BILINEAR, box=window)


def _recoloured(image: Image.Image, view: View) -> Image.Image:
    """Return the image with changed brightness, contrast and saturation, like `PIL.ImageEnhance`.

    Each blends the image with a degenerate one: black, its mean grey, and its greyscale image.
    """
    if view.brightness != 1.0:
        image = Image.blend(Image.new("RGB", image.size), image, view.brightness)
    if view.contrast != 1.0:
        mean = round(float(np.asarray(image.convert("L")).mean()))
        image = Image.blend(Image.new("RGB", image.size, (mean,) * 3), image, view.contrast)
    if view.saturation != 1.0:
        image = Image.blend(image.convert("L").convert("RGB"), image, view.saturation)
    return image


def _pixels_of(box: Box, frame: Box, seen: tuple[int, int, int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of a box of the frame, at least one of each, inside `seen`."""
    left, top, width, height = frame
    x0, x1 = (round(left + x * width) for x in (box[0], box[2]))
    y0, y1 = (round(top + y * height) for y in (box[1], box[3]))
    return (
        slice(max(seen[1], y0), min(seen[3], max(y1, y0 + 1))),
        slice(max(seen[0], x0), min(seen[2], max(x1, x0 + 1))),
    )


def _factor(draw: float, reach: float) -> float:
    return 1.0 + reach * (2.0 * draw - 1.0)


def _crop(draws: list[float], strength: _Strength) -> Box:
    """Return a random rectangle inside the image."""
    area = strength.smallest_area + (1.0 - strength.smallest_area) * draws[0]
    ratio = math.exp((2.0 * draws[1] - 1.0) * math.log(strength.widest_ratio))
    width, height = min(1.0, math.sqrt(area * ratio)), min(1.0, math.sqrt(area / ratio))
    left, top = draws[3] * (1.0 - width), draws[2] * (1.0 - height)
    return left, top, left + width, top + height


def _patch(draws: list[float]) -> Box:
    """Return a random rectangle of the view to be erased."""
    low, high = _ERASED_AREA
    share = math.sqrt(low + (high - low) * draws[0])
    ratio = math.exp((2.0 * draws[1] - 1.0) * math.log(2.0))
    width, height = share * math.sqrt(ratio), share / math.sqrt(ratio)
    left, top = draws[3] * (1.0 - width), draws[2] * (1.0 - height)
    return left, top, left + width, top + height


def _rng(*words: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))
