"""The images on which a detector misses most objects or sees most that are none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgetl.data.dataset import Dataset, Truth
from edgetl.evaluation import Predictions
from edgetl.evaluation._image_grid import LABELLED, MOST_TILES, PREDICTED, Mark, Tile, grid
from edgetl.evaluation._pairs import OVERLAP, covered, pairs
from edgetl.runtime.detections import Detections, NmsSettings
from edgetl.runtime.preprocess import place
from edgetl.types import Split


@dataclass(frozen=True, slots=True)
class _Miss:
    """What went wrong on one image."""

    image: int
    missed: int
    """Objects that no detection meets."""
    false: int
    """Detections that meet no object."""


def worst_errors_image(
    predictions: Predictions, dataset: Dataset, split: Split, nms: NmsSettings
) -> NDArray[np.uint8] | None:
    """Return a grid of the images with most errors; None if there is no error at all.

    Args:
        predictions: Of all images of the split.
        dataset: Where the images come from.
        split: Which part of it.
        nms: Detections from its score on are shown.
    """
    truths, names = dataset.truths(split), dataset.names(split)
    found = [_found(predictions, i, nms) for i in range(len(truths))]
    worst_errors = [_miss(i, truth, found[i]) for i, truth in enumerate(truths)]
    wrong = [miss for miss in worst_errors if miss.missed or miss.false]
    if not wrong:
        return None
    worst = sorted(wrong, key=lambda miss: -miss.missed - miss.false)[:MOST_TILES]
    tiles = [
        Tile(
            np.array(dataset.images(split)[miss.image]),
            (f"{miss.missed} missed, {miss.false} false", names[miss.image]),
            _marks(dataset, split, miss.image, truths[miss.image], found[miss.image]),
        )
        for miss in worst
    ]
    missed, false = sum(miss.missed for miss in wrong), sum(miss.false for miss in wrong)
    return grid(
        tiles,
        [
            (f"labelled: {missed} missed on {len(truths)} images", LABELLED),
            (f"found with a score from {nms.score_threshold:g}: {false} false", PREDICTED),
        ],
    )


def _found(predictions: Predictions, image: int, nms: NmsSettings) -> Detections:
    rows = slice(predictions["offsets"][image], predictions["offsets"][image + 1])
    kept = predictions["scores"][rows] >= nms.score_threshold
    boxes, scores, labels = (
        predictions[name][rows][kept] for name in ("boxes", "scores", "labels")
    )
    return Detections(boxes, scores, labels)


def _miss(image: int, truth: Truth, found: Detections) -> _Miss:
    single = ~truth.crowd
    met = pairs(found.boxes, found.labels, truth.boxes[single], truth.labels[single])
    in_crowd = np.zeros(len(met), bool)
    for box, label in zip(truth.boxes[truth.crowd], truth.labels[truth.crowd], strict=True):
        in_crowd |= (covered(found.boxes, box) >= OVERLAP) & (found.labels == label)
    hits = int((met >= 0).sum())
    false = int(((met < 0) & ~in_crowd).sum())
    return _Miss(image, missed=int(single.sum()) - hits, false=false)


def _marks(
    dataset: Dataset, split: Split, image: int, truth: Truth, found: Detections
) -> list[Mark]:
    height, width = (int(side) for side in dataset.image_sizes(split)[image])
    placement = place(height, width, dataset.preprocess)
    labelled = placement.to_input(truth.boxes)
    num_predictions = placement.to_input(found.boxes)
    return [Mark(box, LABELLED) for box in labelled] + [
        Mark(box, PREDICTED, f"{dataset.classes[label]} {score:.2f}")
        for box, label, score in zip(num_predictions, found.labels, found.scores, strict=True)
    ]
