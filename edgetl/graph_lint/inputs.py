"""What a model takes, and its feed: an image, and placeholders for all other inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgetl.graph_lint import not_a_model

_ANY_SIDE = 320
"""Pixels of a side that a file leaves open; a multiple of every usual stride."""
_LEAST_SIDE = 4
"""Pixels; anything smaller is not an image but a list of colours or points."""
_COLOURS = {3: (3,), 4: (1, 3)}
"""Channels that an image may have, by the number of its axes."""


@dataclass(frozen=True, slots=True)
class Image:
    """The input of a network that is an image, as its file states it, sizes in pixels."""

    height: int
    width: int
    channels: int
    channels_first: bool
    dtype: str
    """numpy's name: ``float32``, ``uint8`` ..."""
    batch: int | None = 1
    """Images at a time; None if the input has no axis for them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of what is fed."""
        sides = (self.height, self.width)
        one = (self.channels, *sides) if self.channels_first else (*sides, self.channels)
        return one if self.batch is None else (self.batch, *one)


@dataclass(frozen=True, slots=True)
class InputInfo:
    """An input as a file states it."""

    name: str
    shape: tuple[int | None, ...]
    """None where the file leaves a size open."""
    dtype: str
    """numpy's name; ``object`` for text."""


@dataclass(frozen=True, slots=True)
class Feed:
    """What is fed to every input of a network."""

    image: Image
    image_inputs: tuple[str, ...]
    """Inputs that get the image."""
    others: Mapping[str, NDArray[np.float64]]
    """Placeholders for the rest, as real numbers in the shape that the input takes."""
    notes: tuple[str, ...]
    """Sentences for the reader on how inputs were chosen."""


def feed(model: Path, inputs: Sequence[InputInfo]) -> Feed:
    """Choose the input that takes the image, and what is fed to the others.

    Further inputs of the same shape and type get the image too. Two values are taken for its
    height and width unless they are named a scale, three that are named an info for these and a
    scale of 1. Anything else is ones. An open size is 1, that of a first axis the batch.

    Args:
        model: For messages.
        inputs: All inputs of the file, in its order.

    Raises:
        ConfigError: If none takes an image, or one takes text.
    """
    images = {info.name: image for info in inputs if (image := _image(info)) is not None}
    if not images:
        shown = ", ".join(f"'{info.name}' ({_sizes(info)})" for info in inputs) or "there is none"
        raise not_a_model(
            model, f"no input is an image, (N, H, W, 3) or (N, 3, H, W) or without N: {shown}"
        )
    best = max(
        images,
        key=lambda name: (images[name].channels == 3, images[name].batch is not None),  # noqa: PLR2004
    )
    image = images[best]
    notes = []
    if image.batch not in {None, 1}:
        notes.append(f"every image was fed {image.batch} times, the batch that the file fixes")
    image_inputs, others = [best], {}
    for info in inputs:
        if info.name == best:
            continue
        if images.get(info.name) == image:
            image_inputs.append(info.name)
            notes.append(f"input '{info.name}' was fed with the same image as '{best}'")
            continue
        if np.dtype(info.dtype).kind not in "fiub":
            raise not_a_model(model, f"input '{info.name}' takes no numbers")
        others[info.name], what = _stand_in(info, image)
        notes.append(
            f"input '{info.name}' was fed with {what}; if it needs something else, make it a "
            "constant in the file"
        )
    return Feed(image, tuple(image_inputs), others, tuple(notes))


def _image(info: InputInfo) -> Image | None:
    """Return the image that an input takes; None if it takes something else."""
    *batch, first, second, third = info.shape if len(info.shape) in _COLOURS else (None,) * 3
    colours = _COLOURS.get(len(info.shape), ())
    channels_first = third not in colours
    channels, height, width = (first, second, third) if channels_first else (third, first, second)
    height, width = height or _ANY_SIDE, width or _ANY_SIDE
    if channels is None or channels not in colours or min(height, width) < _LEAST_SIDE:
        return None
    if np.dtype(info.dtype).kind not in "fiu":
        return None
    num_images = (batch[0] or 1) if batch else None
    return Image(height, width, channels, channels_first, info.dtype, num_images)


def _stand_in(info: InputInfo, image: Image) -> tuple[NDArray[np.float64], str]:
    """Return what is fed to an input that takes no image, and its description."""
    batch = image.batch or 1
    sizes = [batch if axis == 0 else 1 for axis in range(len(info.shape))]
    shape = [fixed or open_ for fixed, open_ in zip(info.shape, sizes, strict=True)]
    name = info.name.lower()
    row = (float(image.height), float(image.width), 1.0)
    if shape in ([2], [1, 2], [batch, 2]) and "scale" not in name:
        what = f"{image.height} and {image.width}, height and width of the image"
        return np.broadcast_to(row[:2], shape).copy(), what
    if shape in ([3], [1, 3], [batch, 3]) and "info" in name:
        what = f"{image.height}, {image.width} and 1, height, width and scale of the image"
        return np.broadcast_to(row, shape).copy(), what
    return np.ones(shape), "1" if np.prod(shape) == 1 else "ones"


def _sizes(info: InputInfo) -> str:
    return ", ".join("?" if size is None else str(size) for size in info.shape)
