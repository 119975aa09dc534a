"""Bootstrap intervals of mean average precision over images.

Images are resampled with replacement; detections are matched only once. Letters: B resamples, N
images, D detections, T IoU thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from edgetl.tasks.detection._coco import Matches

_RESAMPLES = 300
_SEED = 0
_SAME = 1e-9
"""Resamples this close to the value differ from it only by rounding."""
_CELLS = 1 << 22
"""Maximum of resamples times detections in memory at once, 32 MiB per table."""
_Z_95 = NormalDist().inv_cdf(0.975)
_RECALLS = np.linspace(0.0, 1.0, 101)
"""COCO's recall thresholds."""


def resamples(num_images: int) -> NDArray[np.int64]:
    """Return the count of each image in each resample, shape `(B, N)`; reproducible."""
    rng = np.random.default_rng(_SEED)
    return rng.multinomial(num_images, [1 / num_images] * num_images, size=_RESAMPLES)


def mean_precision(classes: Sequence[Matches], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean average precision of each resample, shape `(B,)`; NaN without any object.

    As in COCO, a class without an object in a resample is not part of its mean.

    Args:
        classes: Matched detections of each class.
        counts: Shape `(B, N)`.
    """
    total = np.zeros(len(counts))
    present = np.zeros(len(counts))
    for matches in classes:
        rows = max(1, _CELLS // max(1, len(matches.scores)))
        blocks = [counts[start : start + rows] for start in range(0, len(counts), rows)]
        precision = np.concatenate([_average_precision(matches, block) for block in blocks])
        total += np.nan_to_num(precision)
        present += ~np.isnan(precision)
    mean = np.full(len(counts), np.nan)
    np.divide(total, present, out=mean, where=present > 0)
    return mean


def interval(value: float, repeated: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % interval of `value`, bias-corrected percentiles of its resamples.

    A class with few images is missing from some resamples, which shifts their median; the
    correction shifts the percentiles by the same amount (Efron 1987, Better bootstrap confidence
    intervals, JASA 82, 171-185, without acceleration). An interval cannot show errors that occur on
    no image: a model that is always right gets an interval of width zero.

    Args:
        value: The value for the original images.
        repeated: The values of the resamples, shape `(B,)`; NaN for resamples without objects.
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
    """Return the average precision over thresholds and recalls, shape `(B,)`; NaN without objects.

    Equals the result of pycocotools for images repeated by their counts. Recall grows only at true
    positives, so precision is needed only there.
    """
    objects = counts @ matches.objects
    total = np.zeros(len(counts))
    weights = counts[:, matches.images].astype(np.float64)
    for hits, ignored in zip(matches.hits, matches.ignored, strict=True):
        where = np.flatnonzero(hits)
        if not len(where):
            continue
        true_positives = np.cumsum(weights[:, where], axis=1)
        num_detections = np.cumsum(weights * ~ignored, axis=1)[:, where]
        precision = true_positives / (num_detections + np.spacing(1))
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = true_positives / np.maximum(objects, 1)[:, None]
        reached = np.searchsorted(_RECALLS, recall, side="right")
        total += (best * np.diff(reached, axis=1, prepend=0)).sum(axis=1) / len(_RECALLS)
    return np.where(objects > 0, total / len(matches.hits), np.nan)
