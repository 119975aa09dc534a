"""Settings for non-maximum suppression, the same in evaluation and on the device.

Letters: D detections.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgetl.config.recipe import NmsTable
from edgetl.data.dataset import Dataset
from edgetl.runtime.detections import MAX_CANDIDATES, NmsSettings
from edgetl.tasks.detection._coco import Matches
from edgetl.types import Split

_LIMIT_STEP = 100
"""`max_detections` is a multiple of this, like COCO's 100."""
_LEAST_OPERATING_SCORE = 0.05
_OPERATING_SCORE = 0.3
"""Used if the images do not determine the best score."""


def nms_settings(table: NmsTable, num_objects: int = 0) -> NmsSettings:
    """Return the settings of a recipe, with defaults for missing values.

    Args:
        table: The recipe's table.
        num_objects: Largest number of objects in a known image. The default of `max_detections`
            is 1.5 times as many, for false detections and fuller images.
    """
    default = -(-3 * num_objects // (2 * _LIMIT_STEP)) * _LIMIT_STEP
    return NmsSettings(
        score_threshold=_OPERATING_SCORE
        if table.score_threshold is None
        else table.score_threshold,
        iou=table.iou,
        max_detections=table.max_detections or min(max(default, _LIMIT_STEP), MAX_CANDIDATES),
        mode=table.mode,
    )


def most_objects(dataset: Dataset, *splits: Split) -> int:
    """Return the largest number of objects in an image of some splits."""
    truths = (truth for split in splits for truth in dataset.truths(split))
    return max((len(truth.labels) for truth in truths), default=0)


def best_score(classes: Sequence[Matches]) -> float:
    """Return the score threshold with the best F1 at an IoU of .5, over all classes together.

    It is rounded down to two digits, so that it includes the detection at the threshold.
    """
    scores = np.concatenate([matches.scores for matches in classes])
    hits = np.concatenate([matches.hits[0] for matches in classes])
    counted = np.concatenate([~matches.ignored[0] for matches in classes])
    if not hits.any():
        return _OPERATING_SCORE
    order = np.argsort(-scores, kind="stable")
    true_positives, detections = np.cumsum(hits[order]), np.cumsum(counted[order])
    objects = sum(int(matches.objects.sum()) for matches in classes)
    best = float(scores[order][np.argmax(2 * true_positives / (detections + objects))])
    return max(_LEAST_OPERATING_SCORE, int(best * 100) / 100)


def truncated(dataset: Dataset, split: Split, nms: NmsSettings) -> str | None:
    """Return a message if images have more objects than `nms` allows, else None."""
    counts = [len(truth.labels) for truth in dataset.truths(split)]
    fuller = sum(count > nms.max_detections for count in counts)
    if not fuller:
        return None
    return (
        f"{fuller} of {len(counts)} {split.value} images have up to {max(counts)} objects, more "
        f"than nms.max_detections allows ({nms.max_detections})"
    )
