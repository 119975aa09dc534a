"""The photos on which a detector misses most objects or sees most that are none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgetl.data.dataset import Dataset, Truth
from edgetl.evaluation import Answers
from edgetl.evaluation._pairs import OVERLAP, covered, pairs
from edgetl.evaluation._picture import ANSWERED, LABELLED, MOST_TILES, Mark, Tile, grid
from edgetl.runtime.detections import Detections, Suppression
from edgetl.runtime.preprocess import place
from edgetl.types import Split


@dataclass(frozen=True, slots=True)
class _Miss:
    """What went wrong on one photo."""

    photo: int
    missed: int
    """Objects that no detection meets."""
    false: int
    """Detections that meet no object."""


def picture_of_misses(
    answers: Answers, dataset: Dataset, split: Split, rule: Suppression
) -> NDArray[np.uint8] | None:
    """Return a grid of the photos with most errors; None if there is no error at all.

    Args:
        answers: Of all photos of the split.
        dataset: Where the photos come from.
        split: Which part of it.
        rule: Detections from its score on are shown.
    """
    truths, names = dataset.truths(split), dataset.names(split)
    found = [_found(answers, i, rule) for i in range(len(truths))]
    misses = [_miss(i, truth, found[i]) for i, truth in enumerate(truths)]
    wrong = [miss for miss in misses if miss.missed or miss.false]
    if not wrong:
        return None
    worst = sorted(wrong, key=lambda miss: -miss.missed - miss.false)[:MOST_TILES]
    tiles = [
        Tile(
            np.array(dataset.images(split)[miss.photo]),
            (f"{miss.missed} missed, {miss.false} false", names[miss.photo]),
            _marks(dataset, split, miss.photo, truths[miss.photo], found[miss.photo]),
        )
        for miss in worst
    ]
    missed, false = sum(miss.missed for miss in wrong), sum(miss.false for miss in wrong)
    return grid(
        tiles,
        [
            (f"labelled: {missed} missed on {len(truths)} photos", LABELLED),
            (f"found with a score from {rule.score:g}: {false} false", ANSWERED),
        ],
    )


def _found(answers: Answers, photo: int, rule: Suppression) -> Detections:
    rows = slice(answers["offsets"][photo], answers["offsets"][photo + 1])
    kept = answers["scores"][rows] >= rule.score
    boxes, scores, labels = (answers[name][rows][kept] for name in ("boxes", "scores", "labels"))
    return Detections(boxes, scores, labels)


def _miss(photo: int, truth: Truth, found: Detections) -> _Miss:
    single = ~truth.crowd
    met = pairs(found.boxes, found.labels, truth.boxes[single], truth.labels[single])
    in_crowd = np.zeros(len(met), bool)
    for box, label in zip(truth.boxes[truth.crowd], truth.labels[truth.crowd], strict=True):
        in_crowd |= (covered(found.boxes, box) >= OVERLAP) & (found.labels == label)
    hits = int((met >= 0).sum())
    false = int(((met < 0) & ~in_crowd).sum())
    return _Miss(photo, missed=int(single.sum()) - hits, false=false)


def _marks(
    dataset: Dataset, split: Split, photo: int, truth: Truth, found: Detections
) -> list[Mark]:
    height, width = (int(side) for side in dataset.photo_sizes(split)[photo])
    placement = place(height, width, dataset.preprocess)
    labelled = placement.to_input(truth.boxes)
    answered = placement.to_input(found.boxes)
    return [Mark(box, LABELLED) for box in labelled] + [
        Mark(box, ANSWERED, f"{dataset.classes[label]} {score:.2f}")
        for box, label, score in zip(answered, found.labels, found.scores, strict=True)
    ]
