from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgetl.tasks.detection._pairs import covered, pairs

SQUARE = [0.0, 0.0, 10.0, 10.0]


def boxes(*rows: list[float]) -> NDArray[np.float32]:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_best_box_takes_the_nearest_and_the_next_one_takes_another() -> None:
    first = boxes(SQUARE, SQUARE, SQUARE)
    second = boxes([0, 0, 10, 8], SQUARE)
    labels = np.zeros(3, np.int64)
    assert pairs(first, labels, second, labels[:2]).tolist() == [1, 0, -1]


def test_other_classes_and_distant_boxes_do_not_match() -> None:
    first = boxes(SQUARE, [50, 50, 60, 60])
    second = boxes(SQUARE, [56, 50, 66, 60])
    matched = pairs(first, np.array([0, 1]), second, np.array([1, 1]))
    assert matched.tolist() == [-1, -1]


def test_empty_sets_have_no_matches() -> None:
    none = np.zeros(0, np.int64)
    assert pairs(boxes(SQUARE), np.zeros(1, np.int64), boxes(), none).tolist() == [-1]
    assert pairs(boxes(), none, boxes(SQUARE), np.zeros(1, np.int64)).tolist() == []


def test_covered_is_the_share_of_the_box_and_not_of_the_region() -> None:
    region = np.array([0, 0, 100, 100], np.float32)
    shares = covered(boxes([10, 10, 20, 20], [95, 0, 105, 10], [7, 7, 7, 7]), region)
    assert shares.tolist() == [1.0, 0.5, 0.0]
