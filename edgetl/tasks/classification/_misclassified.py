"""The most confident wrong predictions of a classifier."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgetl.data.dataset import Dataset
from edgetl.evaluation.image_grid import MAX_TILES, PREDICTED, Tile, grid
from edgetl.runtime.decode import softmax
from edgetl.types import Split


def worst_errors_image(
    logits: NDArray[np.float32], dataset: Dataset, split: Split
) -> NDArray[np.uint8] | None:
    """Return a grid of the most confident wrong predictions; None if all are right.

    Args:
        logits: Shape `(N, K)`.
        dataset: The dataset with the images.
        split: The split of the images.
    """
    labels, names = dataset.labels(split), dataset.names(split)
    predicted = logits.argmax(axis=1)
    confidence = softmax(logits).max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    if not len(wrong):
        return None
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:MAX_TILES]
    images = dataset.images(split)

    def caption(image: int) -> str:
        prediction = f"{dataset.classes[predicted[image]]} {confidence[image]:.2f}"
        return f"predicted {prediction}, is {dataset.classes[labels[image]]}"

    tiles = [Tile(np.array(images[i]), (caption(i), names[i])) for i in worst]
    legend = f"the {len(worst)} most confident of {len(wrong)} errors on {len(labels)} images"
    return grid(tiles, [(legend, PREDICTED)])
