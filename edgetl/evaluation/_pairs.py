"""Which boxes of two sets are the same object: pairs of one class that overlap enough.

Letters: A boxes of the one set, best first, B boxes of the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgetl.runtime.detections import overlaps

OVERLAP = 0.5
"""Least intersection over union of a pair; the loosest of COCO's thresholds."""


def pairs(
    first: NDArray[np.float32],
    first_labels: NDArray[np.int64],
    second: NDArray[np.float32],
    second_labels: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return for each of `first`, in turn, the free one of `second` that it overlaps most.

    Args:
        first: Shape `(A, 4)`, xyxy.
        first_labels: Shape `(A,)`.
        second: Shape `(B, 4)`, in the same unit.
        second_labels: Shape `(B,)`; only boxes of the same class are paired.

    Returns:
        Shape `(A,)`: positions in `second`; -1 where none overlaps by `OVERLAP`.
    """
    allowed = overlaps(first, second)
    allowed[first_labels[:, None] != second_labels[None]] = 0.0
    found = np.full(len(first), -1, np.int64)
    if not len(second):
        return found
    for row, candidates in enumerate(allowed):
        best = int(candidates.argmax())
        if candidates[best] >= OVERLAP:
            found[row] = best
            allowed[:, best] = 0.0
    return found


def covered(boxes: NDArray[np.float32], region: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return which share of each of `boxes` `(A, 4)` lies in `region` `(4,)`, shape `(A,)`."""
    found, limits = boxes.astype(np.float64), region.astype(np.float64)
    sides = np.minimum(found[:, 2:], limits[2:]) - np.maximum(found[:, :2], limits[:2])
    shared: NDArray[np.float64] = sides.clip(min=0.0).prod(axis=1)
    areas = (found[:, 2:] - found[:, :2]).prod(axis=1)
    np.divide(shared, areas, out=shared, where=areas > 0)
    return shared
