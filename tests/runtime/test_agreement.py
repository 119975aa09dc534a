from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetl.runtime.agreement import Comparison, Tally
from edgetl.runtime.contract import Contract
from edgetl.runtime.detections import NmsSettings

_NMS = NmsSettings(0.3, 0.5, 10, "class-aware")
_STRICT = Comparison(_NMS, score_slack=0.001, box_slack=0.0001, precision="fp32")
_BOX = (0.1, 0.1, 0.3, 0.3)
_OTHER = (0.6, 0.6, 0.8, 0.8)

_Object = tuple[tuple[float, float, float, float], int, float]


def _predictions(*objects: _Object) -> dict[str, NDArray[np.float32]]:
    """Return what a detector of two classes answers to one image with these objects."""
    scores = np.zeros((1, len(objects), 2), np.float32)
    for i, (_, label, score) in enumerate(objects):
        scores[0, i, label] = score
    boxes = np.array([box for box, _, _ in objects], np.float32).reshape(1, -1, 4)
    return {"boxes": boxes, "scores": scores}


@pytest.mark.parametrize(
    ("detected", "lost"),
    [
        pytest.param([(_OTHER, 1, 0.8), (_BOX, 0, 0.9)], 0, id="other order"),
        pytest.param([(_BOX, 0, 0.9)], 1, id="one is gone"),
        pytest.param([(_BOX, 0, 0.9), (_OTHER, 1, 0.8), (_OTHER, 0, 0.7)], 1, id="one is new"),
        pytest.param([(_BOX, 0, 0.9), (_OTHER, 0, 0.8)], 2, id="other class: gone and new"),
        # 0.2 wide and 0.19 high in 0.2 x 0.2: 0.95; then 0.17: 0.85.
        pytest.param([((0.1, 0.1, 0.3, 0.29), 0, 0.9), (_OTHER, 1, 0.8)], 0, id="overlap 0.95"),
        pytest.param([((0.1, 0.1, 0.3, 0.27), 0, 0.9), (_OTHER, 1, 0.8)], 2, id="overlap 0.85"),
        pytest.param([], 2, id="nothing"),
    ],
)
def test_objects_that_only_one_side_has_are_counted(detected: list[_Object], lost: int) -> None:
    expected = _predictions((_BOX, 0, 0.9), (_OTHER, 1, 0.8))
    assert _STRICT.count(expected, _predictions(*detected)) == Tally(2, lost)


@pytest.mark.parametrize(
    ("slack", "lost"), [pytest.param(0.02, 0, id="within"), pytest.param(0.005, 1, id="beyond")]
)
def test_score_that_the_slack_carries_over_the_threshold_is_not_missed(
    slack: float, lost: int
) -> None:
    comparison = dataclasses.replace(_STRICT, score_slack=slack)
    tally = comparison.count(_predictions((_BOX, 0, 0.31)), _predictions((_BOX, 0, 0.29)))
    assert tally == Tally(1, lost)


def test_small_box_may_move_by_what_all_boxes_may() -> None:
    first = _predictions(((0.1, 0.1, 0.12, 0.12), 0, 0.9))
    second = _predictions(((0.1, 0.1, 0.1235, 0.12), 0, 0.9))
    # They overlap by 200 / 235.
    assert _STRICT.count(first, second).lost == 2
    assert dataclasses.replace(_STRICT, box_slack=1 / 255).count(first, second).lost == 0


def test_object_pushed_over_the_limit_is_not_missed() -> None:
    comparison = dataclasses.replace(_STRICT, nms=dataclasses.replace(_NMS, max_detections=1))
    first = _predictions((_BOX, 0, 0.9), (_OTHER, 1, 0.8999))
    second = _predictions((_BOX, 0, 0.8998), (_OTHER, 1, 0.8999))
    assert comparison.count(first, second) == Tally(1, 0)


def test_one_partner_answers_for_one_object_only() -> None:
    apart = dataclasses.replace(_STRICT, nms=dataclasses.replace(_NMS, iou=1.0))
    assert (
        apart.count(_predictions((_BOX, 0, 0.9), (_BOX, 0, 0.8)), _predictions((_BOX, 0, 0.9))).lost
        == 1
    )


@pytest.mark.parametrize(
    ("precision", "total", "allowed"),
    [
        pytest.param("fp32", 99, 0, id="fp32"),
        pytest.param("fp32", 250, 2, id="many of fp32"),
        pytest.param("int8", 5, 1, id="int8"),
        pytest.param("fp16", 57, 5, id="many of fp16"),
    ],
)
def test_how_many_may_differ(precision: str, total: int, allowed: int) -> None:
    assert dataclasses.replace(_STRICT, precision=precision).tolerance(total) == allowed


def test_contract_without_detections_is_refused(contract: Contract) -> None:
    with pytest.raises(ValueError, match="the task is classification; it has no detections"):
        Comparison.of(contract, {"logits": 0.1})
