"""Average precisions that can be computed by hand, and the other figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgetl.data.dataset import Dataset
from edgetl.evaluation import Predictions
from edgetl.runtime.detections import NmsSettings
from edgetl.tasks import TASKS
from edgetl.types import Split

DETECTION = TASKS.load("detection").evaluation
TEST = Split.TEST

Data = Callable[..., Dataset]
Answer = Callable[..., Predictions]
Found = tuple[float, float, float, float, int, float]

A = (0.0, 0.0, 10.0, 10.0)
B = (40.0, 20.0, 50.0, 30.0)
FAR = (90.0, 40.0, 100.0, 50.0)
CUT = (0.0, 0.0, 10.0, 6.2)
"""Overlaps A by .62: at three of COCO's ten thresholds, .5, .55 and .6."""
HALF = 51 / 101
"""Share of COCO's 101 recall thresholds that are at most one half."""


@pytest.mark.parametrize(
    ("detections", "expected"),
    [
        pytest.param([(*A, 0, 0.9), (*B, 0, 0.8)], 1.0, id="perfect"),
        pytest.param([(*A, 0, 0.9)], HALF, id="one miss"),
        # Beyond a recall of one half, two of three are right.
        pytest.param(
            [(*A, 0, 0.9), (*A, 0, 0.8), (*B, 0, 0.7)],
            HALF + (1 - HALF) * 2 / 3,
            id="duplicate is false",
        ),
        pytest.param(
            [(*A, 0, 0.9), (*B, 0, 0.8), (*B, 0, 0.7)], 1.0, id="duplicate after the last object"
        ),
        # Precision is one third, then two quarters; interpolated it is one half everywhere.
        pytest.param(
            [(*FAR, 0, 0.9), (*FAR, 0, 0.8), (*A, 0, 0.7), (*B, 0, 0.6)], 0.5, id="false ones first"
        ),
        pytest.param([(*A, 1, 0.9), (*B, 1, 0.8)], 0.0, id="wrong class"),
        pytest.param([], 0.0, id="nothing"),
        # At the other seven thresholds only the second is right: one of two, and half the recall.
        pytest.param(
            [(*CUT, 0, 0.9), (*B, 0, 0.8)], (3 + 7 * HALF / 2) / 10, id="box that fits loosely"
        ),
    ],
)
def test_average_precision_of_two_objects_by_hand(
    boxed: Data, predictions: Answer, detections: list[Found], expected: float
) -> None:
    dataset = boxed([(*A, 0), (*B, 0)])
    assert DETECTION.value(predictions(detections), dataset, TEST) == pytest.approx(
        expected, abs=1e-9
    )


def test_detection_in_a_crowd_is_neither_right_nor_wrong(boxed: Data, predictions: Answer) -> None:
    crowd = (60.0, 0.0, 120.0, 60.0, 0)
    dataset = boxed([(*A, 0), crowd], crowd={0: [1]})
    in_crowd = (62.0, 2.0, 70.0, 10.0, 0, 0.9)

    assert DETECTION.value(predictions([in_crowd, (*A, 0, 0.5)]), dataset, TEST) == pytest.approx(
        1.0
    )
    assert DETECTION.score(predictions([(*A, 0, 0.5)]), dataset, TEST).figures["objects"] == 1


def test_image_without_objects_only_adds_false_detections(boxed: Data, predictions: Answer) -> None:
    dataset = boxed([(*A, 0)], [])

    assert DETECTION.value(predictions([(*A, 0, 0.5)], []), dataset, TEST) == pytest.approx(1.0)
    wrong = predictions([(*A, 0, 0.5)], [(*B, 0, 0.9)])
    assert DETECTION.value(wrong, dataset, TEST) == pytest.approx(0.5)


def test_score_distinguishes_overlaps_and_sizes(boxed: Data, predictions: Answer) -> None:
    medium = (60.0, 0.0, 110.0, 50.0)  # 2500 square pixels, above 32 x 32
    dataset = boxed([(*A, 0), (*medium, 1)])

    facts = DETECTION.score(predictions([(*CUT, 0, 0.9), (*medium, 1, 0.8)]), dataset, TEST)

    assert facts.metric == "map"
    assert facts.title == "mAP"
    assert facts.value == pytest.approx((0.3 + 1.0) / 2)
    assert (facts.figures["map50"], facts.figures["map75"]) == (1.0, 0.5)
    sizes = [facts.figures[f"map_{size}"] for size in ("small", "medium", "large")]
    assert sizes == [0.3, 1.0, None]
    assert (facts.images, facts.figures["objects"], facts.figures["detections"]) == (1, 2, 2)


def test_class_without_objects_is_not_part_of_the_mean(boxed: Data, predictions: Answer) -> None:
    dataset = boxed([(*A, 0), (*B, 1)])
    detections = predictions([(*A, 0, 0.9), (*FAR, 1, 0.8), (*FAR, 2, 0.7)])

    details = DETECTION.details(detections, dataset, TEST)

    assert DETECTION.value(detections, dataset, TEST) == pytest.approx(0.5)
    assert details["classes"] == [
        {"label": "nut", "support": 1, "ap": 1.0, "ap50": 1.0, "recall": 1.0},
        {"label": "bolt", "support": 1, "ap": 0.0, "ap50": 0.0, "recall": 0.0},
        {"label": "gear", "support": 0, "ap": None, "ap50": None, "recall": None},
    ]
    assert list(details["curves"]["precision"]) == ["nut", "bolt"]


def test_curve_is_precision_over_recall_at_an_iou_of_one_half(
    boxed: Data, predictions: Answer
) -> None:
    dataset = boxed([(*A, 0), (*B, 0)])
    detections = predictions([(*A, 0, 0.9), (*FAR, 0, 0.8), (*B, 0, 0.7)])

    curves = DETECTION.details(detections, dataset, TEST)["curves"]

    assert curves["recall"] == [round(i / 20, 2) for i in range(21)]
    assert curves["precision"] == {"nut": [1.0] * 11 + [0.6667] * 10}


def test_collected_detections_are_in_pixels_of_the_image(boxed: Data) -> None:
    # The image is 64 x 128 and fills rows 16 to 48 of the 64 x 64 input: one pixel is two.
    dataset = boxed([], [(*A, 2)])
    boxes = np.array([[[20, 24, 30, 34], [0, 0, 9, 9]]], np.float32) / np.float32(64)
    scores = np.array([[[0.1, 0.2, 0.7], [0.0, 0.0, 0.0005]]], np.float32)

    collected = DETECTION.collect({"boxes": boxes, "scores": scores}, dataset, TEST, 1, None)

    assert collected["boxes"] == pytest.approx(np.array([[40, 16, 60, 36]]), abs=1e-4)
    assert collected["scores"] == pytest.approx([0.7])
    assert collected["labels"].tolist() == [2]
    assert collected["offsets"].tolist() == [0, 1]


def test_noise_of_scores_counts_but_boxes_without_a_score_do_not() -> None:
    before = {
        "boxes": np.array([[[0.1, 0.1, 0.3, 0.3], [0.5, 0.5, 0.6, 0.6]]], np.float32),
        "scores": np.array([[[0.9], [0.01]]], np.float32),
    }
    after = {
        "boxes": np.array([[[0.1, 0.1, 0.3, 0.35], [0.0, 0.0, 1.0, 1.0]]], np.float32),
        "scores": np.array([[[0.81], [0.01]]], np.float32),
    }

    facts = DETECTION.compare(before, after)

    # The signal is .9 ** 2, the noise .09 ** 2, apart from the tiny score: a ratio of 100.
    assert facts.snr_db == 20.0
    assert facts.max_error == pytest.approx(0.09)
    assert facts.figures["max_box_error"] == pytest.approx(0.05)
    assert facts.agreement == 1.0


def test_agreement_is_the_share_of_detections_with_a_partner() -> None:
    boxes = np.array([[[0, 0, 0.2, 0.2], [0.5, 0.5, 0.7, 0.7], [0.8, 0, 1, 0.2]]], np.float32)
    before = {"boxes": boxes, "scores": np.array([[[0.9], [0.8], [0.0]]], np.float32)}
    after = {"boxes": boxes, "scores": np.array([[[0.9], [0.1], [0.7]]], np.float32)}

    # Two on each side; one of each has a partner.
    assert DETECTION.compare(before, after).agreement == 0.5
    low = NmsSettings(score_threshold=0.05, iou=0.65, max_detections=10, mode="class-aware")
    # Now the second one of `after` counts as well: two pairs among two and three.
    assert DETECTION.compare(before, after, low).agreement == 0.8


@pytest.mark.parametrize(
    ("detections", "message"),
    [
        pytest.param([[], []], "detects nothing on any of 2 images", id="nothing"),
        pytest.param(
            [[(*FAR, 0, 0.9)], []], "none of 1 detections meets an object", id="nothing right"
        ),
        # Of four equal scores the first and the last are right, in either order.
        pytest.param(
            [[(*A, 0, 0.9), (*B, 0, 0.9)]] * 2,
            "mAP 0.752 is no better than with the detections of other images (0.752)",
            id="the same on all images",
        ),
        pytest.param([[(*A, 0, 0.9)], [(*B, 0, 0.9)]], None, id="good"),
    ],
)
def test_predictions_at_chance_are_reported(
    boxed: Data, predictions: Answer, detections: list[list[Found]], message: str | None
) -> None:
    dataset = boxed([(*A, 0)], [(*B, 0)])
    assert DETECTION.at_chance(predictions(*detections), dataset, TEST) == message


def test_scores_below_the_threshold_count_as_no_predictions(
    boxed: Data, predictions: Answer
) -> None:
    dataset = boxed([(*A, 0)], [(*B, 0)])
    detections = predictions([(*A, 0, 0.2)], [(*B, 0, 0.1)])
    nms = NmsSettings(score_threshold=0.3, iou=0.65, max_detections=100, mode="class-aware")

    message = DETECTION.at_chance(detections, dataset, TEST, nms)

    assert DETECTION.value(detections, dataset, TEST) == pytest.approx(1.0)
    assert (
        DETECTION.num_predictions(detections, nms),
        DETECTION.num_predictions(detections, None),
    ) == (0, 2)
    assert message == (
        "detects nothing on any of 2 images: the best score is 0.200, but the contract requires 0.3"
    )
    assert DETECTION.at_chance(detections, dataset, TEST) is None


def test_single_image_has_no_other_image_to_compare_with(boxed: Data, predictions: Answer) -> None:
    assert DETECTION.at_chance(predictions([(*A, 0, 0.9)]), boxed([(*A, 0)]), TEST) is None


def test_difference_is_paired_and_in_points(boxed: Data, predictions: Answer) -> None:
    dataset = boxed(*[[(*A, 0)]] * 10)
    good = predictions(*[[(*A, 0, 0.9)]] * 10)
    # On two of ten images the box fits loosely.
    worse = predictions(*[[(*A, 0, 0.9)]] * 8, *[[(*CUT, 0, 0.8)]] * 2)

    facts = DETECTION.difference(good, worse, dataset, TEST)

    # At three of ten thresholds nothing is lost, at seven a recall of .8 is left: 81 of 101 steps.
    assert facts.pp == pytest.approx(100 * 0.7 * 20 / 101, abs=1e-3)
    assert 0.0 <= facts.low_pp < facts.pp < facts.high_pp
    turned = DETECTION.difference(worse, good, dataset, TEST)
    assert turned.pp == -facts.pp


def test_worst_errors_show_the_images_with_most_errors_first(
    boxed: Data, predictions: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgetl.evaluation import image_grid
    from edgetl.tasks.detection import _misdetected

    grids: list[Any] = []

    def grid(tiles: Any, legend: Any) -> Any:
        grids.append((tiles, legend))
        return image_grid.grid(tiles, legend)

    monkeypatch.setattr(_misdetected, "grid", grid)
    crowd = (60.0, 0.0, 120.0, 60.0, 0)
    dataset = boxed([(*A, 0)], [(*A, 0), (*B, 1), crowd], [(*A, 0)], crowd={1: [2]})
    detections = predictions(
        [(*FAR, 0, 0.9)],
        [(*A, 1, 0.9), (70.0, 9.0, 80.0, 19.0, 0, 0.8), (*FAR, 0, 0.1)],
        [(*A, 0, 0.9)],
    )
    nms = NmsSettings(score_threshold=0.3, iou=0.65, max_detections=100, mode="class-aware")

    image = DETECTION.worst_errors(detections, dataset, TEST, nms)

    [(tiles, legend)] = grids
    assert [tile.lines for tile in tiles] == [
        ("2 missed, 1 false", "image-1.jpg"),
        ("1 missed, 1 false", "image-0.jpg"),
    ]
    assert [text for text, _ in legend] == [
        "labelled: 3 missed on 3 images",
        "detected with a score from 0.3: 2 false",
    ]
    # An image of 64 x 128 is in the middle of the 64 x 64 input, at half the size.
    assert tiles[1].marks[0].box.tolist() == [0.0, 16.0, 5.0, 21.0]
    assert tiles[1].marks[1].text == "nut 0.90"
    assert image is not None
    assert image.dtype == np.uint8
    again = DETECTION.worst_errors(detections, dataset, TEST, nms)
    assert again is not None
    assert Image.fromarray(image).tobytes() == Image.fromarray(again).tobytes()


def test_without_errors_there_is_no_image(boxed: Data, predictions: Answer) -> None:
    nms = NmsSettings(score_threshold=0.3, iou=0.65, max_detections=100, mode="class-aware")
    assert DETECTION.worst_errors(predictions([(*A, 0, 0.9)]), boxed([(*A, 0)]), TEST, nms) is None


def test_nothing_is_printed(
    boxed: Data, predictions: Answer, capfd: pytest.CaptureFixture[str]
) -> None:
    DETECTION.score(predictions([(*A, 0, 0.9)]), boxed([(*A, 0)]), TEST)
    assert capfd.readouterr() == ("", "")


def test_images_without_boxes_show_nothing(boxed: Data) -> None:
    dataset = boxed([(8, 8, 24, 24, 0)], [], [(8, 8, 24, 24, 2)])
    assert DETECTION.shown(dataset, TEST).tolist() == [True, False, True]
