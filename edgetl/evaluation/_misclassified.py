"""The images whose wrong class was answered with most confidence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgetl.data.dataset import Dataset
from edgetl.evaluation._image_grid import MOST_TILES, PREDICTED, Tile, grid
from edgetl.runtime.decode import softmax
from edgetl.types import Split


def worst_errors_image(
    logits: NDArray[np.float32], dataset: Dataset, split: Split
) -> NDArray[np.uint8] | None:
    """Return a grid of the most confident wrong answers; None if every answer is right.

    Args:
        logits: Shape `(N, K)`.
        dataset: Where the images come from.
        split: Which part of it.
    """
    labels, names = dataset.labels(split), dataset.names(split)
    chosen = logits.argmax(axis=1)
    confidence = softmax(logits).max(axis=1)
    wrong = np.flatnonzero(chosen != labels)
    if not len(wrong):
        return None
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:MOST_TILES]
    images = dataset.images(split)

    def said(image: int) -> str:
        answer = f"{dataset.classes[chosen[image]]} {confidence[image]:.2f}"
        return f"says {answer}, is {dataset.classes[labels[image]]}"

    tiles = [Tile(np.array(images[i]), (said(i), names[i])) for i in worst]
    shown = f"the {len(worst)} most confident of {len(wrong)} wrong answers on {len(labels)} images"
    return grid(tiles, [(shown, PREDICTED)])
