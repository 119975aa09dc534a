"""The rule that makes answers of a detector's outputs, the same when they are counted and shipped.

Letters: D detections.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgetl.config.recipe import SuppressionTable
from edgetl.data.dataset import Dataset
from edgetl.evaluation._coco import Matches
from edgetl.runtime.detections import MAX_CANDIDATES, Suppression
from edgetl.types import Split

_LIMIT_STEP = 100
"""Limits are multiples of it, as COCO's."""
_LEAST_OPERATING_SCORE = 0.05
_OPERATING_SCORE = 0.3
"""Where no photo says what is best."""


def wanted_rule(wanted: SuppressionTable, num_objects: int = 0) -> Suppression:
    """Return what a recipe asks for.

    Args:
        wanted: By the recipe.
        num_objects: Most that any known photo has. A detector also sees what is not there, and
            other photos may show more, so where the recipe leaves it open, the limit is half as
            many again.
    """
    room = -(-3 * num_objects // (2 * _LIMIT_STEP)) * _LIMIT_STEP
    return Suppression(
        score=_OPERATING_SCORE if wanted.score is None else wanted.score,
        iou=wanted.iou,
        limit=wanted.limit or min(max(room, _LIMIT_STEP), MAX_CANDIDATES),
        mode=wanted.mode,
    )


def most_objects(dataset: Dataset, *splits: Split) -> int:
    """Return how many objects the fullest photo of some splits has."""
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


def cut_off(dataset: Dataset, split: Split, rule: Suppression) -> str | None:
    """Return in words which photos have more objects than `rule` lets be answered, if any."""
    counts = [len(truth.labels) for truth in dataset.truths(split)]
    fuller = sum(count > rule.limit for count in counts)
    if not fuller:
        return None
    return (
        f"{fuller} of {len(counts)} {split.value} photos have up to {max(counts)} objects, more "
        f"than the {rule.limit} that are answered at most (suppression.limit)"
    )
