from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgetl.runtime.detections import (
    MAX_CANDIDATES,
    MODES,
    Detections,
    NmsSettings,
    detect,
    non_maximum_suppression,
    overlaps,
)
from edgetl.runtime.preprocess import Preprocess

_Boxes = list[tuple[float, ...]]
_Kept = list[tuple[float, int, tuple[float, ...]]]

_CORNER = st.integers(0, 6).map(float)
_SCORE = st.integers(0, 8).map(lambda eighths: eighths / 8)
_QUARTER = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


def _by_definition(boxes: _Boxes, scores: list[list[float]], nms: NmsSettings) -> _Kept:
    """Compare every candidate with every one that was kept before it."""
    candidates = []
    for location, row in enumerate(scores):
        best = row.index(max(row))
        for label, score in enumerate(row):
            if score >= nms.score_threshold and (nms.mode == "per-class" or label == best):
                candidates.append((-score, location, label))
    kept: list[tuple[float, int, tuple[float, ...]]] = []
    for negative, location, label in sorted(candidates):
        rivals = [box for _, other, box in kept if nms.mode == "class-agnostic" or other == label]
        if all(_iou(boxes[location], rival) <= nms.iou for rival in rivals):
            kept.append((-negative, label, boxes[location]))
    return kept[: nms.max_detections]


def _iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = _area(a) + _area(b) - width * height
    return width * height / union if union > 0 else 0.0


def _area(box: tuple[float, ...]) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _as_rows(kept: Detections) -> _Kept:
    return [
        (score, label, tuple(box))
        for score, label, box in zip(
            kept.scores.tolist(), kept.labels.tolist(), kept.boxes.tolist(), strict=True
        )
    ]


@settings(max_examples=150, deadline=None)
@given(data=st.data(), mode=st.sampled_from(MODES), score=_QUARTER, iou=_QUARTER)
def test_suppression_is_that_of_the_definition(
    data: st.DataObject, mode: str, score: float, iou: float
) -> None:
    # Few corners and scores, so that ties, equal boxes and boxes without area are common.
    count = data.draw(st.integers(0, 14))
    classes = data.draw(st.integers(1, 3))
    boxes = [tuple(data.draw(st.tuples(*[_CORNER] * 4))) for _ in range(count)]
    scores = [[data.draw(_SCORE) for _ in range(classes)] for _ in range(count)]
    nms = NmsSettings(score, iou, data.draw(st.integers(1, 10)), mode)
    detections = non_maximum_suppression(
        np.array(boxes, np.float32).reshape(count, 4),
        np.array(scores, np.float32).reshape(count, classes),
        nms,
    )
    assert _as_rows(detections) == _by_definition(boxes, scores, nms)


@pytest.mark.parametrize("mode", MODES)
def test_suppression_of_a_crowd_is_that_of_the_definition(mode: str) -> None:
    rng = np.random.default_rng(3)
    corners = rng.integers(0, 64, (300, 2))
    boxes = np.concatenate([corners, corners + rng.integers(1, 32, (300, 2))], axis=1)
    scores = rng.integers(0, 128, (300, 4)) / 128
    nms = NmsSettings(0.25, 0.5, 200, mode)
    detections = non_maximum_suppression(boxes.astype(np.float32), scores.astype(np.float32), nms)
    rows: _Boxes = [tuple(map(float, box)) for box in boxes]
    assert _as_rows(detections) == _by_definition(rows, scores.tolist(), nms)


def _two(iou_half: float) -> NDArray[np.float32]:
    """Return two boxes with the intersection over union `iou_half`, one in the other."""
    return np.array([[0, 0, 10, 10], [0, 0, 10, 10 * iou_half]], np.float32)


@pytest.mark.parametrize(
    ("mode", "labels"),
    [
        # The first location leads with class 0, the second with class 1.
        pytest.param("class-aware", [0, 1], id="best class each, apart"),
        pytest.param("per-class", [0, 1], id="every class, apart"),
        pytest.param("class-agnostic", [0], id="best class each, together"),
    ],
)
def test_modes_differ_in_who_suppresses_whom(mode: str, labels: list[int]) -> None:
    scores = np.array([[0.9, 0.5], [0.6, 0.8]], np.float32)
    detections = non_maximum_suppression(_two(0.75), scores, NmsSettings(0.1, 0.5, 10, mode))
    assert detections.labels.tolist() == labels


def test_per_class_takes_several_classes_of_one_location() -> None:
    scores = np.array([[0.9, 0.5, 0.05]], np.float32)
    detections = non_maximum_suppression(
        _two(1)[:1], scores, NmsSettings(0.1, 0.5, 10, "per-class")
    )
    assert detections.labels.tolist() == [0, 1]
    assert detections.scores.tolist() == pytest.approx([0.9, 0.5])


@pytest.mark.parametrize(
    ("iou", "count"),
    [pytest.param(0.75, 2, id="equal is kept"), pytest.param(0.7499, 1, id="more")],
)
def test_overlap_above_the_limit_drops(iou: float, count: int) -> None:
    scores = np.array([[0.9], [0.8]], np.float32)
    assert (
        len(non_maximum_suppression(_two(0.75), scores, NmsSettings(0.1, iou, 10, "class-aware")))
        == count
    )


def test_a_dropped_box_drops_nothing() -> None:
    boxes = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], np.float32)
    scores = np.array([[0.9], [0.8], [0.7]], np.float32)
    # Neighbours share 6 of 14, the outer ones 2 of 18.
    detections = non_maximum_suppression(boxes, scores, NmsSettings(0.1, 0.4, 10, "class-aware"))
    assert detections.scores.tolist() == pytest.approx([0.9, 0.7])


def test_score_of_the_threshold_is_enough() -> None:
    scores = np.array([[0.5], [0.49]], np.float32)
    detections = non_maximum_suppression(_two(0), scores, NmsSettings(0.5, 0.5, 10, "class-aware"))
    assert detections.scores.tolist() == [0.5]


def test_limit_counts_what_suppression_left() -> None:
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]], np.float32)
    scores = np.array([[0.9], [0.8], [0.7], [0.6]], np.float32)
    detections = non_maximum_suppression(boxes, scores, NmsSettings(0.1, 0.5, 2, "class-agnostic"))
    assert detections.boxes[:, 0].tolist() == [0, 20]


def test_ties_go_to_the_lower_location_and_class() -> None:
    boxes = np.array([[5, 5, 9, 9], [5, 5, 9, 8], [5, 5, 9, 9]], np.float32)
    scores = np.full((3, 2), 0.5, np.float32)
    detections = non_maximum_suppression(boxes, scores, NmsSettings(0.5, 0.5, 10, "class-aware"))
    assert _as_rows(detections) == [(0.5, 0, (5, 5, 9, 9))]


def test_boxes_without_area_overlap_with_nothing() -> None:
    boxes = np.array([[5, 5, 5, 9], [5, 5, 5, 9], [9, 9, 3, 3], [9, 9, 3, 3]], np.float32)
    detections = non_maximum_suppression(
        boxes, np.full((4, 1), 0.5, np.float32), NmsSettings(0.1, 0, 9, MODES[0])
    )
    assert len(detections) == 4


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "shape", [(0, 3), (5, 3), (5, 0)], ids=["no place", "no score", "no class"]
)
def test_nothing_above_the_threshold_gives_nothing(mode: str, shape: tuple[int, int]) -> None:
    boxes = np.zeros((shape[0], 4), np.float32)
    detections = non_maximum_suppression(
        boxes, np.zeros(shape, np.float32), NmsSettings(0.1, 0.5, 9, mode)
    )
    assert len(detections) == 0
    assert detections.boxes.shape == (0, 4)
    kinds = [
        values.dtype.name for values in (detections.boxes, detections.scores, detections.labels)
    ]
    assert kinds == ["float32", "float32", "int64"]


@pytest.mark.parametrize("mode", MODES)
def test_most_candidates_are_the_best_and_ties_the_first(mode: str) -> None:
    count = MAX_CANDIDATES + 500
    boxes = np.zeros((count, 4), np.float32)
    boxes[:, 0] = np.arange(count)
    boxes[:, 2:] = boxes[:, :2] + 1  # side by side
    scores = np.full((count, 1), 0.5, np.float32)
    scores[-10:] = 0.9
    detections = non_maximum_suppression(boxes, scores, NmsSettings(0.1, 0.5, count, mode))
    expected = [*range(count - 10, count), *range(MAX_CANDIDATES - 10)]
    assert detections.boxes[:, 0].tolist() == expected


@pytest.mark.parametrize(
    ("boxes", "scores"),
    [
        pytest.param((3, 4), (2, 1), id="counts"),
        pytest.param((3, 5), (3, 1), id="joined"),
        pytest.param((1, 3, 4), (1, 3, 1), id="batch"),
    ],
)
def test_shapes_that_do_not_belong_together_are_refused(
    boxes: tuple[int, ...], scores: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"are not \(M, 4\) and \(M, K\)"):
        non_maximum_suppression(
            np.zeros(boxes, np.float32),
            np.zeros(scores, np.float32),
            NmsSettings(0.1, 0.5, 9, MODES[0]),
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param((0.5, 0.5, 9, "soft"), "unknown mode 'soft'; known: class-aware", id="mode"),
        pytest.param(
            (1.5, 0.5, 9, MODES[0]),
            r"score_threshold 1\.5, iou 0\.5, max_detections 9: needs",
            id="score",
        ),
        pytest.param((0.5, -0.1, 9, MODES[0]), "in 0...1 and max_detections from 1", id="iou"),
        pytest.param((0.5, 0.5, 0, MODES[0]), "max_detections 0", id="limit"),
        pytest.param((float("nan"), 0.5, 9, MODES[0]), "score_threshold nan", id="no number"),
    ],
)
def test_rule_refuses_what_has_no_meaning(
    arguments: tuple[float, float, int, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        NmsSettings(*arguments)


def _detect(box: list[float], size: tuple[int, int], preprocess: Preprocess) -> list[list[float]]:
    detections = detect(
        np.array([box], np.float32),
        np.array([[0.9]], np.float32),
        image_size=size,
        preprocess=preprocess,
        nms=NmsSettings(0.5, 0.5, 9, "class-aware"),
    )
    boxes: list[list[float]] = detections.boxes.tolist()
    return boxes


@pytest.mark.parametrize(
    ("box", "preprocess", "expected"),
    [
        # 40 x 80 becomes 32 x 64, centred with 16 rows above: (0, 16) to (64, 48).
        pytest.param(
            [0, 0.5, 0.5, 0.75],
            Preprocess(64, 64, "letterbox", "area", 0),
            [0, 20, 40, 40],
            id="centred",
        ),
        pytest.param(
            [0, 0, 0.5, 0.25],
            Preprocess(64, 64, "letterbox", "area", 0, "top-left"),
            [0, 0, 40, 20],
            id="top left",
        ),
        pytest.param(
            [0.5, 0.5, 1, 1],
            Preprocess(64, 64, "stretch", "area", 0),
            [40, 20, 80, 40],
            id="stretched",
        ),
        # 40 x 40 of the middle, from column 20.
        pytest.param(
            [0.5, 0.5, 1, 1], Preprocess(64, 64, "crop", "area", 0), [40, 20, 60, 40], id="cropped"
        ),
        pytest.param(
            [0, 0.1, 1, 0.6],
            Preprocess(64, 64, "letterbox", "area", 0),
            [0, 0, 80, 28],
            id="clipped at the border",
        ),
    ],
)
def test_boxes_come_back_in_pixels_of_the_image(
    box: list[float], preprocess: Preprocess, expected: list[float]
) -> None:
    assert _detect(box, (40, 80), preprocess) == [pytest.approx(expected, abs=1e-4)]


def test_what_lies_in_the_border_is_left_out() -> None:
    letterbox = Preprocess(64, 64, "letterbox", "area", 0)
    assert _detect([0, 0, 1, 0.2], (40, 80), letterbox) == []


def test_a_image_of_one_row_has_boxes_too() -> None:
    letterbox = Preprocess(64, 64, "letterbox", "area", 0)
    # Its one row of the input is row 31, 64 columns for 4000.
    assert _detect([0.5, 0.4, 1, 0.6], (1, 4000), letterbox) == [pytest.approx([2000, 0, 4000, 1])]


_SQUARE = [0.0, 0.0, 10.0, 10.0]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        pytest.param(_SQUARE, 1.0, id="the same"),
        # 50 shared of 100 + 100 - 50.
        pytest.param([5.0, 0.0, 15.0, 10.0], 1 / 3, id="half"),
        pytest.param([10.0, 0.0, 20.0, 10.0], 0.0, id="side by side"),
        pytest.param([2.0, 2.0, 4.0, 4.0], 0.04, id="inside"),
        pytest.param([3.0, 3.0, 3.0, 3.0], 0.0, id="without area"),
    ],
)
def test_overlap_by_hand(other: list[float], expected: float) -> None:
    iou = overlaps(np.array([_SQUARE], np.float32), np.array([other], np.float32))
    assert iou[0, 0] == pytest.approx(expected)


def test_boxes_without_area_do_not_overlap() -> None:
    point = np.ones((1, 4), np.float32)
    assert overlaps(point, point)[0, 0] == 0.0
