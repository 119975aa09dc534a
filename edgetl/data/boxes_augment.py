"""Random changes to images with boxes: mosaic, mixup, scale and shift, mirror, colour.

Everything is drawn with one primitive, `draw`, which puts an image at any scale anywhere on the
input and returns its remaining boxes. Letters: H, W of an image, S side of the square input, T
boxes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MIN_SHARE = 0.25
"""A box is dropped if less than this fraction of it is left after cutting, because the rest rarely
shows the object."""
MIN_SIDE = 2.0
"""A box is dropped if a side is shorter than this many pixels of the input after cutting."""

NUM_DRAWS = 12
"""Random numbers that `change` always reads."""

_HALF = 0.5
_CENTRE = (0.3, 0.7)
"""Where the four images of a mosaic meet, as fractions of the side."""
_TO_YIQ = np.array(
    [[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]]
)
"""Brightness and two colour differences (NTSC), in which hue is an angle."""
_TO_RGB = np.linalg.inv(_TO_YIQ)

Rectangle = tuple[int, int, int, int]
"""Left, top, right, bottom, whole pixels; right and bottom lie outside."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Pixels with labelled boxes."""

    pixels: NDArray[np.uint8]
    """Shape `(H, W, 3)`, RGB."""
    boxes: NDArray[np.float32]
    """Shape `(T, 4)`, xyxy, pixels of the scene."""
    labels: NDArray[np.int64]
    """Shape `(T,)`."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An image without its padding, and where preprocessing puts it on the input."""

    scene: Scene
    left: int
    """Pixels of the input."""
    top: int
    frame: tuple[float, float, float, float]
    """Left, top, width and height of the whole upright image on the input, pixels; if a fit cuts
    the image, it extends beyond `scene`."""


@dataclass(frozen=True, slots=True)
class Variation:
    """How much images with boxes vary."""

    flip: bool = False
    """Mirror half of them horizontally."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest size, as a multiple."""
    shift: float = 0.0
    """Largest shift to each side, as a fraction of the input, in addition to the scaling's."""
    hue: float = 0.0
    """Degrees to each side."""
    saturation: float = 0.0
    """Saturation is multiplied by 1 plus or minus this."""
    brightness: float = 0.0
    """Brightness is multiplied by 1 plus or minus this."""
    mosaic: float = 0.0
    """Probability that four images share the input."""
    mixup: float = 0.0
    """Probability that a second image is blended in."""

    @property
    def num_partners(self) -> int:
        """Number of other images that `change` takes: three for a mosaic, one for mixup."""
        return 4 if self.mosaic or self.mixup else 0


VARIATIONS = {
    "none": Variation(),
    "flip": Variation(flip=True),
    "light": Variation(
        flip=True, scale=(0.8, 1.25), shift=0.05, hue=5.0, saturation=0.3, brightness=0.2
    ),
    "strong": Variation(
        flip=True, scale=(0.5, 1.5), shift=0.1, hue=8.0, saturation=0.5, brightness=0.3
    ),
}
"""By level of `augment`; mosaic and mixup are fields of their own."""


def change(
    first: Placed,
    partners: Sequence[Placed],
    variation: Variation,
    draws: NDArray[np.float64],
    *,
    size: int,
    pad: int,
) -> Scene:
    """Return one training sample of `size` x `size` pixels.

    Args:
        first: The image of this sample.
        partners: `variation.num_partners` others: three for a mosaic, then one for mixup.
        variation: How much the sample varies.
        draws: Shape `(NUM_DRAWS + 3 * (1 + len(partners)),)`, in [0, 1): first those of the
            sample, then three of each image.
        size: Side of the input, pixels.
        pad: Grey level of the background.
    """
    own = draws[NUM_DRAWS:].reshape(-1, 3)
    if draws[0] < variation.mosaic:
        four = [first.scene, *(partner.scene for partner in partners[:3])]
        scene = mosaic(four, variation.scale, draws[1:3], own[:4], size=size, pad=pad)
    else:
        scene = move(first, variation, own[0], size=size, pad=pad)
    if draws[3] < variation.mixup:
        scene = mix(scene, move(partners[3], variation, own[4], size=size, pad=pad))
    if variation.flip and draws[4] < _HALF:
        scene = mirror(scene)
    return recolour(scene, variation, draws[5:8])


def move(
    image: Placed, variation: Variation, draws: NDArray[np.float64], *, size: int, pad: int
) -> Scene:
    """Return the input with an image that was scaled about its centre and shifted.

    Both are relative to the frame of the image, so inputs of every size and fit show the same part.

    Args:
        image: The image to draw.
        variation: Ranges of its scale and shift.
        draws: Three: for the scale and the two shifts.
        size: Side of the input, pixels.
        pad: Grey level around the image.
    """
    scale = _scale(draws[0], variation.scale)
    reach = variation.shift + _HALF * abs(scale - 1.0)
    left, top, width, height = image.frame
    x, y = left + width * _HALF, top + height * _HALF
    new_left = x + (image.left - x) * scale + _either(draws[1], reach) * width
    new_top = y + (image.top - y) * scale + _either(draws[2], reach) * height
    canvas = np.full((size, size, 3), pad, np.uint8)
    shown = draw(
        canvas, image.scene, scale=scale, left=new_left, top=new_top, clip=(0, 0, size, size)
    )
    return Scene(canvas, *shown)


def mosaic(
    scenes: Sequence[Scene],
    scales: tuple[float, float],
    draws: NDArray[np.float64],
    own: NDArray[np.float64],
    *,
    size: int,
    pad: int,
) -> Scene:
    """Return four images on one input, each in one quarter (Bochkovskiy et al. 2020, section 3.3).

    A random part of an image larger than its quarter is shown; a smaller image has a random
    position in it. Boxes are clipped to their quarter.

    Args:
        scenes: Four.
        scales: Smallest and largest size, as a multiple of the image's size on the input.
        draws: Two, for the point where the images meet.
        own: Shape `(4, 3)`: for scale and position of each.
        size: Side of the input, pixels.
        pad: Grey level of the background.
    """
    low, high = _CENTRE
    x, y = (round(size * (low + (high - low) * draw)) for draw in draws.tolist())
    quarters: tuple[Rectangle, ...] = (
        (0, 0, x, y),
        (x, 0, size, y),
        (0, y, x, size),
        (x, y, size, size),
    )
    canvas = np.full((size, size, 3), pad, np.uint8)
    boxes, labels = [], []
    for scene, quarter, (for_scale, for_x, for_y) in zip(
        scenes, quarters, own.tolist(), strict=True
    ):
        scale = _scale(for_scale, scales)
        height, width = (side * scale for side in scene.pixels.shape[:2])
        left = quarter[0] + for_x * (quarter[2] - quarter[0] - width)
        top = quarter[1] + for_y * (quarter[3] - quarter[1] - height)
        kept, classes = draw(canvas, scene, scale=scale, left=left, top=top, clip=quarter)
        boxes.append(kept)
        labels.append(classes)
    return Scene(canvas, np.concatenate(boxes), np.concatenate(labels))


def mix(first: Scene, second: Scene) -> Scene:
    """Return the mean of two scenes of one size with the boxes of both.

    Zhang et al. 2018 (mixup), with equal shares as for detectors (Zhang et al. 2019).
    """
    total = first.pixels.astype(np.uint16) + second.pixels
    return Scene(
        (total >> 1).astype(np.uint8),
        np.concatenate([first.boxes, second.boxes]),
        np.concatenate([first.labels, second.labels]),
    )


def mirror(scene: Scene) -> Scene:
    """Return the scene mirrored horizontally."""
    width = scene.pixels.shape[1]
    boxes = scene.boxes.copy()
    boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    return Scene(np.ascontiguousarray(scene.pixels[:, ::-1]), boxes, scene.labels)


def recolour(scene: Scene, variation: Variation, draws: NDArray[np.float64]) -> Scene:
    """Return the scene with changed hue, saturation and brightness; greys stay grey.

    One 3 x 3 matrix does all three, in a tenth of the time that a conversion to HSV takes.

    Args:
        scene: Not changed.
        variation: Range of each.
        draws: Three, in the order of the summary.
    """
    if not (variation.hue or variation.saturation or variation.brightness):
        return scene
    angle = math.radians(_either(draws[0], variation.hue))
    colour = 1.0 + _either(draws[1], variation.saturation)
    light = 1.0 + _either(draws[2], variation.brightness)
    c, s = colour * math.cos(angle), colour * math.sin(angle)
    turned = light * _TO_RGB @ np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]]) @ _TO_YIQ
    rows = np.concatenate([turned, np.zeros((3, 1))], axis=1).ravel()
    pixels = Image.fromarray(scene.pixels).convert("RGB", tuple(rows.tolist()))
    return Scene(np.array(pixels), scene.boxes, scene.labels)


def draw(
    canvas: NDArray[np.uint8],
    scene: Scene,
    *,
    scale: float,
    left: float,
    top: float,
    clip: Rectangle,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw a scene at a scale onto part of a canvas; return boxes and labels as `keep_seen` does.

    Args:
        canvas: Shape `(S, S, 3)`; changed.
        scene: The scene to draw.
        scale: Above zero.
        left: Of the scene's left border, pixels of the canvas; may be outside.
        top: Of its upper border.
        clip: The part of the canvas to draw on.
    """
    height, width = scene.pixels.shape[:2]
    x0, x1 = max(clip[0], round(left)), min(clip[2], round(left + width * scale))
    y0, y1 = max(clip[1], round(top)), min(clip[3], round(top + height * scale))
    if x0 >= x1 or y0 >= y1:
        return np.empty((0, 4), np.float32), np.empty(0, np.int64)
    if scale == 1.0:
        x, y = x0 - round(left), y0 - round(top)
        canvas[y0:y1, x0:x1] = scene.pixels[y : y + y1 - y0, x : x + x1 - x0]
    else:
        window = (
            max(0.0, (x0 - left) / scale),
            max(0.0, (y0 - top) / scale),
            min(float(width), (x1 - left) / scale),
            min(float(height), (y1 - top) / scale),
        )
        canvas[y0:y1, x0:x1] = _resampled(scene.pixels, window, (x1 - x0, y1 - y0))
    moved = scene.boxes * np.float32(scale) + np.array([left, top, left, top], np.float32)
    return keep_seen(moved, scene.labels, (x0, y0, x1, y1))


def keep_seen(
    boxes: NDArray[np.float32], labels: NDArray[np.int64], seen: Rectangle
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return boxes clipped to the visible part, and their labels, without those that lost too much.

    A box is dropped if less than `MIN_SHARE` of it or a side below `MIN_SIDE` is left.
    """
    x0, y0, x1, y1 = seen
    low, high = np.array([[x0, y0, x0, y0], [x1, y1, x1, y1]], np.float32)
    inside = np.clip(boxes, low, high)
    sides = inside[:, 2:] - inside[:, :2]
    before = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    kept = (sides >= MIN_SIDE).all(axis=1) & (sides.prod(axis=1) >= MIN_SHARE * before)
    return inside[kept], labels[kept]


def _resampled(
    pixels: NDArray[np.uint8], window: tuple[float, float, float, float], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return a part of `pixels`, left, top, right, bottom, at `size`, width and height."""
    # Only the window, with a border for the filter, is copied to Pillow.
    column, row = max(0, int(window[0]) - 2), max(0, int(window[1]) - 2)
    part = pixels[row : math.ceil(window[3]) + 2, column : math.ceil(window[2]) + 2]
    box = (window[0] - column, window[1] - row, window[2] - column, window[3] - row)
    image = Image.fromarray(np.ascontiguousarray(part))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))


def _scale(draw: float, scales: tuple[float, float]) -> float:
    """Return a scale whose logarithm is uniform, so that half is as frequent as double."""
    low, high = scales
    return low * math.exp(draw * math.log(high / low))


def _either(draw: float, reach: float) -> float:
    return reach * (2.0 * draw - 1.0)
