"""Evaluation counts the detections of the runtime, with settings that fit every known image."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest

from edgetl.config.recipe import NmsTable
from edgetl.data.dataset import Dataset
from edgetl.evaluation import EVALUATIONS, Outputs, Predictions
from edgetl.runtime.detections import MAX_CANDIDATES, MODES, NmsSettings, detect
from edgetl.runtime.preprocess import place
from edgetl.types import Split

DETECTION = EVALUATIONS.load("detection")
TEST = Split.TEST

Data = Callable[..., Dataset]
Answer = Callable[..., Predictions]
Found = tuple[float, float, float, float, int, float]

A = (0.0, 0.0, 10.0, 10.0)
B = (40.0, 20.0, 50.0, 30.0)
FAR = (90.0, 40.0, 100.0, 50.0)
GRID = [
    (4.0 * x, 2.0 * y, 4.0 * x + 3, 2.0 * y + 1, (x + y) % 3) for x in range(20) for y in range(12)
]
"""240 objects of three classes, 80 of each, that do not touch."""


def outputs_of(dataset: Dataset, *images: list[Found]) -> Outputs:
    """Return the outputs of a network with exactly these detections, equally many per image."""
    boxes, scores = [], []
    for detections, size in zip(images, dataset.image_sizes(TEST), strict=True):
        rows = np.array(detections, np.float32).reshape(-1, 6)
        inside = place(int(size[0]), int(size[1]), dataset.preprocess).to_input(rows[:, :4])
        boxes.append(inside / np.float32(dataset.size))
        scores.append(np.eye(3, dtype=np.float32)[rows[:, 4].astype(int)] * rows[:, 5:])
    return {"boxes": np.stack(boxes), "scores": np.stack(scores)}


def all_of_grid(dataset: Dataset) -> Outputs:
    return outputs_of(dataset, [(*box, 0.99 - i / 1000) for i, box in enumerate(GRID)])


def test_collected_detections_are_those_of_the_runtime_with_a_tiny_threshold(boxed: Data) -> None:
    dataset = boxed(GRID)
    outputs = all_of_grid(dataset)
    nms = NmsSettings(score_threshold=0.9, iou=0.65, max_detections=100, mode="class-aware")

    predictions = DETECTION.collect(outputs, dataset, TEST, 0, nms)

    detections = detect(
        outputs["boxes"][0],
        outputs["scores"][0],
        image_size=(64, 128),
        preprocess=dataset.preprocess,
        nms=NmsSettings(score_threshold=0.001, iou=0.65, max_detections=100, mode="class-aware"),
    )
    assert len(detections) == 100
    assert np.array_equal(predictions["boxes"], detections.boxes)
    assert np.array_equal(predictions["scores"], detections.scores)
    assert np.array_equal(predictions["labels"], detections.labels)


@pytest.mark.parametrize("limit", [30, 60, 239, 240, 300])
def test_objects_beyond_max_detections_are_missed_in_every_figure(boxed: Data, limit: int) -> None:
    dataset = boxed(GRID)
    nms = NmsSettings(score_threshold=0.3, iou=0.65, max_detections=limit, mode="class-aware")

    predictions = DETECTION.collect(all_of_grid(dataset), dataset, TEST, 0, nms)

    # All detections are right, and precision counts up to the recall that is reached.
    labels = np.array([box[4] for box in GRID])
    recalls = [int((labels[:limit] == k).sum()) / 80 for k in range(3)]
    expected = np.mean([(np.arange(101) / 100 <= recall + 1e-9).mean() for recall in recalls])
    assert DETECTION.value(predictions, dataset, TEST) == pytest.approx(expected)
    assert DETECTION.score(predictions, dataset, TEST).value == pytest.approx(expected, abs=1e-6)
    rows = DETECTION.details(predictions, dataset, TEST)["classes"]
    assert [row["recall"] for row in rows] == pytest.approx(recalls, abs=1e-6)


@pytest.mark.parametrize(("mode", "count"), [("class-aware", 2), ("class-agnostic", 1)])
def test_mode_decides_what_is_counted(boxed: Data, mode: str, count: int) -> None:
    dataset = boxed([(*A, 0), (*A, 1)])
    outputs = outputs_of(dataset, [(*A, 0, 0.9), (*A, 1, 0.8)])
    nms = NmsSettings(score_threshold=0.3, iou=0.65, max_detections=100, mode=mode)

    predictions = DETECTION.collect(outputs, dataset, TEST, 0, nms)

    assert len(predictions["scores"]) == count
    # The second class loses its only object if both classes suppress each other.
    assert DETECTION.value(predictions, dataset, TEST) == pytest.approx(count / 2)


def test_overlap_decides_what_is_counted(boxed: Data) -> None:
    dataset = boxed([(*A, 0)])
    shifted = (2.0, 0.0, 12.0, 10.0)  # shares 80 of 120 square pixels
    outputs = outputs_of(dataset, [(*A, 0, 0.9), (*shifted, 0, 0.8)])

    counts = [
        len(DETECTION.collect(outputs, dataset, TEST, 0, nms)["scores"])
        for nms in (NmsSettings(0.3, iou, 100, "class-aware") for iou in (0.6, 0.7))
    ]

    assert counts == [1, 2]


def test_modes_of_a_recipe_are_those_of_the_runtime() -> None:
    assert get_args(NmsTable.model_fields["mode"].annotation) == MODES
    assert NmsTable(max_detections=MAX_CANDIDATES).max_detections == MAX_CANDIDATES
    with pytest.raises(ValueError, match=f"less than or equal to {MAX_CANDIDATES}"):
        NmsTable(max_detections=MAX_CANDIDATES + 1)


@pytest.mark.parametrize(
    ("num_objects", "limit"),
    [(0, 100), (66, 100), (67, 200), (133, 200), (134, 300), (2500, MAX_CANDIDATES)],
)
def test_max_detections_is_one_and_a_half_times_the_fullest_known_image(
    boxed: Data, num_objects: int, limit: int
) -> None:
    dataset = boxed([(*A, 0)], train=[[(*A, 0)] * num_objects, [(*B, 1)]])

    assert DETECTION.nms(dataset) == NmsSettings(0.3, 0.65, limit, "class-aware")


def test_max_detections_does_not_depend_on_test_images(boxed: Data) -> None:
    nms = DETECTION.nms(boxed(GRID, train=[[(*A, 0)]]))

    assert nms is not None
    assert nms.max_detections == 100


def test_settings_follow_the_recipe(boxed: Data) -> None:
    dataset = boxed([(*A, 0)], train=[[(*A, 0)] * 90])

    def nms(**fields: object) -> NmsSettings | None:
        return DETECTION.nms(dataset, NmsTable.model_validate(fields))

    assert nms() == DETECTION.nms(dataset) == NmsSettings(0.3, 0.65, 200, "class-aware")
    assert nms(mode="per-class") == NmsSettings(0.3, 0.65, 200, "per-class")
    assert nms(iou=0.0, score_threshold=0.0) == NmsSettings(0.0, 0.0, 200, "class-aware")
    assert nms(max_detections=7) == NmsSettings(0.3, 0.65, 7, "class-aware")


def test_operating_score_is_that_of_the_best_f1(boxed: Data, predictions: Answer) -> None:
    dataset = boxed([(*A, 0), (*B, 0)])
    detections = predictions([(*A, 0, 0.9), (*B, 0, 0.438), (*FAR, 0, 0.4), (*FAR, 1, 0.3)])
    nms = NmsSettings(score_threshold=0.3, iou=0.5, max_detections=7, mode="per-class")

    # From .438 on every object and nothing else is detected; .44 would lose one again.
    expected = NmsSettings(score_threshold=0.43, iou=0.5, max_detections=7, mode="per-class")
    assert DETECTION.with_selected_threshold(nms, detections, dataset, TEST) == expected


@pytest.mark.parametrize(
    ("detections", "score"),
    [
        pytest.param([(*A, 0, 0.01)], 0.05, id="never below a twentieth"),
        pytest.param([(*FAR, 0, 0.9)], 0.3, id="nothing right"),
    ],
)
def test_operating_score_with_too_little_evidence(
    boxed: Data, predictions: Answer, detections: list[Found], score: float
) -> None:
    with_selected_threshold = DETECTION.with_selected_threshold(
        None, predictions(detections), boxed([(*A, 0)]), TEST
    )

    assert with_selected_threshold is not None
    assert with_selected_threshold.score_threshold == score


def test_images_with_more_objects_than_max_detections_are_reported(boxed: Data) -> None:
    dataset = boxed(GRID, [(*A, 0)] * 5, [(*A, 0)] * 6)

    def message(limit: int) -> str | None:
        return DETECTION.truncated(dataset, TEST, NmsSettings(0.3, 0.65, limit, "class-aware"))

    assert message(240) is None
    assert message(5) == (
        "2 of 3 test images have up to 240 objects, more than nms.max_detections allows (5)"
    )
