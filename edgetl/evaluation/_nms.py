"""The rule that makes answers of a detector's outputs, the same when they are counted and shipped.

Letters: D detections.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgetl.config.recipe import NmsTable
from edgetl.data.dataset import Dataset
from edgetl.evaluation._coco import Matches
from edgetl.runtime.detections import MAX_CANDIDATES, NmsSettings
from edgetl.types import Split

_LIMIT_STEP = 100
"""Limits are multiples of it, as COCO's."""
_LEAST_OPERATING_SCORE = 0.05
_OPERATING_SCORE = 0.3
"""Where no image says what is best."""


def nms_settings(wanted: NmsTable, num_objects: int = 0) -> NmsSettings:
    """Return what a recipe asks for.

    Args:
        wanted: By the recipe.
        num_objects: Most that any known image has. A detector also sees what is not there, and
            other images may show more, so where the recipe leaves it open, the limit is half as
            many again.
    """
    room = -(-3 * num_objects // (2 * _LIMIT_STEP)) * _LIMIT_STEP
    return NmsSettings(
        score_threshold=_OPERATING_SCORE
        if wanted.score_threshold is None
        else wanted.score_threshold,
        iou=wanted.iou,
        max_detections=wanted.max_detections or min(max(room, _LIMIT_STEP), MAX_CANDIDATES),
        mode=wanted.mode,
    )


def most_objects(dataset: Dataset, *splits: Split) -> int:
    """Return how many objects the fullest image of some splits has."""
    truths = (truth for split in splits for truth in dataset.truths(split))
    return max((len(truth.labels) for truth in truths), default=0)


def best_score(classes: Sequence[Matches]) -> float:
    """Return the score of the best F1 at an overlap of .5, all classes as one.

    It is rounded down to two digits so that it lets that one in.
    """
    scores = np.concatenate([matches.scores for matches in classes])
    hits = np.concatenate([matches.hits[0] for matches in classes])
    counted = np.concatenate([~matches.ignored[0] for matches in classes])
    if not hits.any():
        return _OPERATING_SCORE
    order = np.argsort(-scores, kind="stable")
    right, told = np.cumsum(hits[order]), np.cumsum(counted[order])
    objects = sum(int(matches.objects.sum()) for matches in classes)
    best = float(scores[order][np.argmax(2 * right / (told + objects))])
    return max(_LEAST_OPERATING_SCORE, int(best * 100) / 100)


def truncated(dataset: Dataset, split: Split, nms: NmsSettings) -> str | None:
    """Return in words which images have more objects than `nms` lets be answered, if any."""
    counts = [len(truth.labels) for truth in dataset.truths(split)]
    fuller = sum(count > nms.max_detections for count in counts)
    if not fuller:
        return None
    return (
        f"{fuller} of {len(counts)} {split.value} images have up to {max(counts)} objects, more "
        f"than the {nms.max_detections} that are answered at most (nms.max_detections)"
    )
