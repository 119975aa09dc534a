"""How much a mean average precision depends on the choice of images.

Images are drawn again with replacement; what became of their detections stays as it was matched
once. Letters: B resamples, N images, D detections, T thresholds of overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from edgetl.evaluation._coco import Matches

_RESAMPLES = 300
_SEED = 0
_SAME = 1e-9
"""Resamples so near to the value differ from it by rounding only."""
_CELLS = 1 << 22
"""Most resamples times detections that are held at once, 32 MiB per table of them."""
_Z_95 = NormalDist().inv_cdf(0.975)
_RECALLS = np.linspace(0.0, 1.0, 101)
"""COCO reads precision at these."""


def resamples(num_images: int) -> NDArray[np.int64]:
    """Return how often each image is drawn, shape `(B, N)`; the same for the same number."""
    draw = np.random.default_rng(_SEED)
    return draw.multinomial(num_images, [1 / num_images] * num_images, size=_RESAMPLES)


def mean_precision(classes: Sequence[Matches], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean average precision of each resample, shape `(B,)`; NaN without any object.

    As in COCO, a class without an object in a resample is no part of its mean.

    Args:
        classes: What became of the detections of each class.
        counts: Shape `(B, N)`.
    """
    total = np.zeros(len(counts))
    present = np.zeros(len(counts))
    for matches in classes:
        rows = max(1, _CELLS // max(1, len(matches.scores)))
        blocks = [counts[start : start + rows] for start in range(0, len(counts), rows)]
        found = np.concatenate([_average_precision(matches, block) for block in blocks])
        total += np.nan_to_num(found)
        present += ~np.isnan(found)
    mean = np.full(len(counts), np.nan)
    np.divide(total, present, out=mean, where=present > 0)
    return mean


def interval(value: float, repeated: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % interval of `value`, bias-corrected percentiles of its resamples.

    Few images of a class that is left out of some resamples shift their median; the correction
    moves the percentiles by as much (Efron 1987, Better bootstrap confidence intervals, JASA 82,
    171-185, with no acceleration). What no image shows, no interval can: a model that is right
    everywhere gets one without width.

    Args:
        value: Of the images as they are.
        repeated: Of the resamples, shape `(B,)`; NaN where one has nothing to measure.
    """
    known = np.sort(repeated[~np.isnan(repeated)])
    if not len(known):
        return value, value
    normal = NormalDist()
    lower, same = known < value - _SAME, np.abs(known - value) <= _SAME
    below = float(lower.mean()) + float(same.mean()) / 2
    shift = normal.inv_cdf(min(max(below, 0.5 / len(known)), 1 - 0.5 / len(known)))
    low, high = (normal.cdf(2 * shift + z) for z in (-_Z_95, _Z_95))
    return float(np.quantile(known, low)), float(np.quantile(known, high))


def _average_precision(matches: Matches, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the precision over thresholds and recalls, shape `(B,)`; NaN without an object.

    Exactly what pycocotools computes of images that are there as often as they were drawn. Recall
    only grows at hits, so precision is needed there alone.
    """
    objects = counts @ matches.objects
    total = np.zeros(len(counts))
    weights = counts[:, matches.images].astype(np.float64)
    for hits, ignored in zip(matches.hits, matches.ignored, strict=True):
        where = np.flatnonzero(hits)
        if not len(where):
            continue
        right = np.cumsum(weights[:, where], axis=1)
        told = np.cumsum(weights * ~ignored, axis=1)[:, where]
        precision = right / (told + np.spacing(1))
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = right / np.maximum(objects, 1)[:, None]
        reached = np.searchsorted(_RECALLS, recall, side="right")
        total += (best * np.diff(reached, axis=1, prepend=0)).sum(axis=1) / len(_RECALLS)
    return np.where(objects > 0, total / len(matches.hits), np.nan)
