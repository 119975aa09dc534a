"""Match boxes of two sets by class and overlap.

Letters: A boxes of the first set, best first, B boxes of the second set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgetl.runtime.detections import overlaps

OVERLAP = 0.5
"""Minimum intersection over union of a pair; COCO's lowest threshold."""


def pairs(
    first: NDArray[np.float32],
    first_labels: NDArray[np.int64],
    second: NDArray[np.float32],
    second_labels: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Match each box of `first`, in order, with the unmatched box of `second` of highest overlap.

    Args:
        first: Shape `(A, 4)`, xyxy.
        first_labels: Shape `(A,)`.
        second: Shape `(B, 4)`, in the same unit.
        second_labels: Shape `(B,)`; only boxes of the same class match.

    Returns:
        Shape `(A,)`: indices in `second`; -1 if none overlaps by `OVERLAP`.
    """
    allowed = overlaps(first, second)
    allowed[first_labels[:, None] != second_labels[None]] = 0.0
    matched = np.full(len(first), -1, np.int64)
    if not len(second):
        return matched
    for row, candidates in enumerate(allowed):
        best = int(candidates.argmax())
        if candidates[best] >= OVERLAP:
            matched[row] = best
            allowed[:, best] = 0.0
    return matched


def covered(boxes: NDArray[np.float32], region: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the share of each of `boxes` `(A, 4)` inside `region` `(4,)`, shape `(A,)`."""
    corners, limits = boxes.astype(np.float64), region.astype(np.float64)
    sides = np.minimum(corners[:, 2:], limits[2:]) - np.maximum(corners[:, :2], limits[:2])
    shared: NDArray[np.float64] = sides.clip(min=0.0).prod(axis=1)
    areas = (corners[:, 2:] - corners[:, :2]).prod(axis=1)
    np.divide(shared, areas, out=shared, where=areas > 0)
    return shared
