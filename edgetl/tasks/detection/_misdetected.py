"""The images with the most missed objects and false detections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgetl.data.dataset import Dataset, Truth
from edgetl.evaluation import Predictions
from edgetl.evaluation.image_grid import LABELLED, MAX_TILES, PREDICTED, Mark, Tile, grid
from edgetl.runtime.detections import Detections, NmsSettings
from edgetl.runtime.preprocess import place
from edgetl.tasks.detection._pairs import OVERLAP, covered, pairs
from edgetl.types import Split


@dataclass(frozen=True, slots=True)
class _Errors:
    """Number of errors on one image."""

    image: int
    missed: int
    """Objects without a matching detection."""
    false: int
    """Detections without a matching object."""


def worst_errors_image(
    predictions: Predictions, dataset: Dataset, split: Split, nms: NmsSettings
) -> NDArray[np.uint8] | None:
    """Return a grid of the images with the most errors; None if there are no errors.

    Args:
        predictions: Predictions for all images of the split.
        dataset: The dataset with the images.
        split: The split of the images.
        nms: Settings with the score threshold of the detections to draw.
    """
    truths, names = dataset.truths(split), dataset.names(split)
    detections = [_detections(predictions, i, nms) for i in range(len(truths))]
    errors = [_count_errors(i, truth, detections[i]) for i, truth in enumerate(truths)]
    wrong = [each for each in errors if each.missed or each.false]
    if not wrong:
        return None
    worst = sorted(wrong, key=lambda each: -each.missed - each.false)[:MAX_TILES]
    tiles = [
        Tile(
            np.array(dataset.images(split)[each.image]),
            (f"{each.missed} missed, {each.false} false", names[each.image]),
            _marks(dataset, split, each.image, truths[each.image], detections[each.image]),
        )
        for each in worst
    ]
    missed, false = sum(each.missed for each in wrong), sum(each.false for each in wrong)
    return grid(
        tiles,
        [
            (f"labelled: {missed} missed on {len(truths)} images", LABELLED),
            (f"detected with a score from {nms.score_threshold:g}: {false} false", PREDICTED),
        ],
    )


def _detections(predictions: Predictions, image: int, nms: NmsSettings) -> Detections:
    rows = slice(predictions["offsets"][image], predictions["offsets"][image + 1])
    kept = predictions["scores"][rows] >= nms.score_threshold
    boxes, scores, labels = (
        predictions[name][rows][kept] for name in ("boxes", "scores", "labels")
    )
    return Detections(boxes, scores, labels)


def _count_errors(image: int, truth: Truth, detections: Detections) -> _Errors:
    single = ~truth.crowd
    boxes, labels = detections.boxes, detections.labels
    matched = pairs(boxes, labels, truth.boxes[single], truth.labels[single])
    in_crowd = np.zeros(len(matched), bool)
    for box, label in zip(truth.boxes[truth.crowd], truth.labels[truth.crowd], strict=True):
        in_crowd |= (covered(boxes, box) >= OVERLAP) & (labels == label)
    hits = int((matched >= 0).sum())
    false = int(((matched < 0) & ~in_crowd).sum())
    return _Errors(image, missed=int(single.sum()) - hits, false=false)


def _marks(
    dataset: Dataset, split: Split, image: int, truth: Truth, detections: Detections
) -> list[Mark]:
    height, width = (int(side) for side in dataset.image_sizes(split)[image])
    placement = place(height, width, dataset.preprocess)
    labelled = placement.to_input(truth.boxes)
    predicted = placement.to_input(detections.boxes)
    return [Mark(box, LABELLED) for box in labelled] + [
        Mark(box, PREDICTED, f"{dataset.classes[label]} {score:.2f}")
        for box, label, score in zip(predicted, detections.labels, detections.scores, strict=True)
    ]
