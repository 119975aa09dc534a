"""Random changes to training images, by torchvision's transforms v2, one dice throw per image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F  # noqa: N812 - the usual name


class Level(StrEnum):
    """How much training images vary."""

    NONE = "none"
    FLIP = "flip"
    """Mirrored left to right, half of them."""
    LIGHT = "light"
    """And cut to 60 to 100 % of the area, brightness and contrast by 20 %."""
    STRONG = "strong"
    """And cut to 35 to 100 %, turned by 20 degrees, colours by 40 %, patches erased."""


@dataclass(frozen=True, slots=True)
class _Strength:
    """What a level draws from."""

    smallest_area: float = 1.0
    """Of the cut, fraction."""
    widest_ratio: float = 1.0
    """Of the cut's width to its height, and the inverse."""
    degrees: float = 0.0
    colour: float = 0.0
    """Brightness, contrast and saturation are multiplied by 1 plus or minus this."""
    saturation: float = 0.0
    erased: float = 0.0
    """Probability of an erased patch."""


_STRENGTHS = {
    Level.NONE: _Strength(),
    Level.FLIP: _Strength(),
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


def augment(image: Tensor, level: Level, rng: np.random.Generator, *, pad: int) -> Tensor:
    """Return a changed copy of one image, or the image itself where nothing changes.

    The same number of draws is taken at every level and whatever they decide, so an image's changes
    depend on its dice alone.

    Args:
        image: Shape `(3, H, W)`, uint8; fastest when its memory is channels-last.
        level: How much it varies.
        rng: Seeded for this image in this epoch.
        pad: Grey level of corners and patches that show nothing.

    Returns:
        Shape `(3, H, W)`, uint8.
    """
    if level is Level.NONE:
        return image
    draws = rng.random(_NUM_DRAWS)
    strength = _STRENGTHS[level]
    height, width = image.shape[-2:]
    if strength.degrees and draws[0] < _HALF:
        angle = float(draws[1] * 2.0 - 1.0) * strength.degrees
        image = F.rotate(image, angle, InterpolationMode.BILINEAR, fill=[float(pad)])
    if strength.smallest_area < 1.0:
        top, left, cut_h, cut_w = _cut(height, width, draws[2:6], strength)
        image = F.resized_crop(image, top, left, cut_h, cut_w, [height, width], antialias=True)
    if draws[6] < _HALF:
        image = F.horizontal_flip(image)
    if strength.colour:
        image = F.adjust_brightness(image, _factor(draws[7], strength.colour))
        image = F.adjust_contrast(image, _factor(draws[8], strength.colour))
    if strength.saturation:
        image = F.adjust_saturation(image, _factor(draws[9], strength.saturation))
    if draws[10] < strength.erased:
        image = _erase(image, draws[11:15], pad)
    return image


def _factor(draw: float, reach: float) -> float:
    return float(1.0 + reach * (2.0 * draw - 1.0))


def _cut(
    height: int, width: int, draws: np.ndarray, strength: _Strength
) -> tuple[int, int, int, int]:
    """Return top, left, height and width of a random rectangle inside the image."""
    area = strength.smallest_area + (1.0 - strength.smallest_area) * draws[0]
    ratio = math.exp((2.0 * draws[1] - 1.0) * math.log(strength.widest_ratio))
    cut_h = min(height, max(1, round(height * math.sqrt(area / ratio))))
    cut_w = min(width, max(1, round(width * math.sqrt(area * ratio))))
    top = int(draws[2] * (height - cut_h + 1))
    left = int(draws[3] * (width - cut_w + 1))
    return top, left, cut_h, cut_w


def _erase(image: Tensor, draws: np.ndarray, pad: int) -> Tensor:
    """Return a copy with one grey rectangle."""
    height, width = image.shape[-2:]
    low, high = _ERASED_AREA
    share = math.sqrt(low + (high - low) * draws[0])
    ratio = math.exp((2.0 * draws[1] - 1.0) * math.log(2.0))
    patch_h = max(1, round(height * share / math.sqrt(ratio)))
    patch_w = max(1, round(width * share * math.sqrt(ratio)))
    top = int(draws[2] * (height - patch_h + 1))
    left = int(draws[3] * (width - patch_w + 1))
    erased = image.clone()
    erased[:, top : top + patch_h, left : left + patch_w] = pad
    return erased
