from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetl.evaluation._pairs import covered, overlaps, pairs

SQUARE = [0.0, 0.0, 10.0, 10.0]


def boxes(*rows: list[float]) -> NDArray[np.float32]:
    return np.array(rows, np.float32).reshape(-1, 4)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        pytest.param(SQUARE, 1.0, id="the same"),
        # 50 shared of 100 + 100 - 50.
        pytest.param([5.0, 0.0, 15.0, 10.0], 1 / 3, id="half"),
        pytest.param([10.0, 0.0, 20.0, 10.0], 0.0, id="side by side"),
        pytest.param([2.0, 2.0, 4.0, 4.0], 0.04, id="inside"),
        pytest.param([3.0, 3.0, 3.0, 3.0], 0.0, id="without area"),
    ],
)
def test_overlap_by_hand(other: list[float], expected: float) -> None:
    assert overlaps(boxes(SQUARE), boxes(other))[0, 0] == pytest.approx(expected)


def test_boxes_without_area_do_not_overlap() -> None:
    assert overlaps(boxes([1, 1, 1, 1]), boxes([1, 1, 1, 1]))[0, 0] == 0.0


def test_best_box_takes_the_nearest_and_leaves_the_others_to_the_next() -> None:
    first = boxes(SQUARE, SQUARE, SQUARE)
    second = boxes([0, 0, 10, 8], SQUARE)
    labels = np.zeros(3, np.int64)
    assert pairs(first, labels, second, labels[:2]).tolist() == [1, 0, -1]


def test_other_classes_and_far_boxes_are_no_partners() -> None:
    first = boxes(SQUARE, [50, 50, 60, 60])
    second = boxes(SQUARE, [56, 50, 66, 60])
    found = pairs(first, np.array([0, 1]), second, np.array([1, 1]))
    assert found.tolist() == [-1, -1]


def test_nothing_has_no_partners() -> None:
    none = np.zeros(0, np.int64)
    assert pairs(boxes(SQUARE), np.zeros(1, np.int64), boxes(), none).tolist() == [-1]
    assert pairs(boxes(), none, boxes(SQUARE), np.zeros(1, np.int64)).tolist() == []


def test_covered_is_the_share_of_the_box_and_not_of_the_region() -> None:
    region = np.array([0, 0, 100, 100], np.float32)
    found = covered(boxes([10, 10, 20, 20], [95, 0, 105, 10], [7, 7, 7, 7]), region)
    assert found.tolist() == [1.0, 0.5, 0.0]
