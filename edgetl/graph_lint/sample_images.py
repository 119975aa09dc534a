"""Images to run a model on: synthetic ones, or files, in the layout and type that it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgetl.graph_lint.inputs import Image
from edgetl.runtime.image_file import read_image
from edgetl.runtime.preprocess import Preprocess, fit_image

_NUM_SYNTHETIC = 4
_DISCS = 5


def sample_inputs(
    model_input: Image, images: Sequence[Path], pixels: tuple[float, float]
) -> Iterator[NDArray[np.generic]]:
    """Yield inputs for `model_input`, each one image, repeated to fill its batch.

    Args:
        model_input: What the model takes.
        images: Stretched to its size; synthetic images if there are none.
        pixels: What black and white become for a float input.
    """
    if images:
        fit = Preprocess(model_input.height, model_input.width, "stretch", "bilinear", 0)
        for path in images:
            yield _encode(fit_image(read_image(path), fit), model_input, pixels)
        return
    for seed in range(_NUM_SYNTHETIC):
        yield _encode(_synthetic(model_input.height, model_input.width, seed), model_input, pixels)


def _synthetic(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Return discs of any colour on a gradient, with noise; ``(H, W, 3)``."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    slope = rng.uniform(-1.0, 1.0, (2, 3))
    base = rng.uniform(40.0, 215.0, 3)
    canvas = (
        base
        + rows[..., None] / height * slope[0] * 120.0
        + columns[..., None] / width * slope[1] * 120.0
    )
    for _ in range(_DISCS):
        row, column = rng.uniform(0, height), rng.uniform(0, width)
        radius = rng.uniform(0.05, 0.3) * min(height, width)
        inside = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
        canvas[inside] = rng.uniform(0.0, 255.0, 3)
    noisy = canvas + rng.normal(0.0, 8.0, canvas.shape)
    pixels: NDArray[np.uint8] = np.clip(noisy, 0, 255).astype(np.uint8)
    return pixels


def _encode(
    image: NDArray[np.uint8], model_input: Image, pixels: tuple[float, float]
) -> NDArray[np.generic]:
    values = image.astype(np.float64)
    if model_input.channels == 1:
        values = values.mean(axis=2, keepdims=True)
    dtype = np.dtype(model_input.dtype)
    if np.issubdtype(dtype, np.floating):
        black, white = pixels
    else:
        limits = np.iinfo(dtype)
        black, white = float(limits.min), float(limits.max)
    scaled = black + values / 255.0 * (white - black)
    if model_input.channels_first:
        scaled = scaled.transpose(2, 0, 1)
    if not np.issubdtype(dtype, np.floating):
        scaled = np.rint(scaled)
    return np.broadcast_to(scaled, model_input.shape).astype(dtype)
