"""What is counted is what the runtime hands out, by a rule that has room for every known photo."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest

from edgetl.config.recipe import SuppressionTable
from edgetl.data.dataset import Dataset
from edgetl.evaluation import EVALUATIONS, Answers, Outputs
from edgetl.runtime.detections import MAX_CANDIDATES, MODES, Suppression, detect
from edgetl.runtime.preprocess import place
from edgetl.types import Split

DETECTION = EVALUATIONS.load("detection")
TEST = Split.TEST

Data = Callable[..., Dataset]
Answer = Callable[..., Answers]
Found = tuple[float, float, float, float, int, float]

A = (0.0, 0.0, 10.0, 10.0)
B = (40.0, 20.0, 50.0, 30.0)
FAR = (90.0, 40.0, 100.0, 50.0)
GRID = [
    (4.0 * x, 2.0 * y, 4.0 * x + 3, 2.0 * y + 1, (x + y) % 3) for x in range(20) for y in range(12)
]
"""240 objects of three classes, 80 of each, that do not touch."""


def outputs_of(dataset: Dataset, *photos: list[Found]) -> Outputs:
    """Return what a network would say that finds exactly this, the same number on each photo."""
    boxes, scores = [], []
    for found, size in zip(photos, dataset.photo_sizes(TEST), strict=True):
        rows = np.array(found, np.float32).reshape(-1, 6)
        inside = place(int(size[0]), int(size[1]), dataset.preprocess).to_input(rows[:, :4])
        boxes.append(inside / np.float32(dataset.size))
        scores.append(np.eye(3, dtype=np.float32)[rows[:, 4].astype(int)] * rows[:, 5:])
    return {"boxes": np.stack(boxes), "scores": np.stack(scores)}


def all_of_grid(dataset: Dataset) -> Outputs:
    return outputs_of(dataset, [(*box, 0.99 - i / 1000) for i, box in enumerate(GRID)])


def test_counted_is_what_the_runtime_finds_with_a_threshold_of_next_to_nothing(boxed: Data) -> None:
    dataset = boxed(GRID)
    outputs = all_of_grid(dataset)
    rule = Suppression(score=0.9, iou=0.65, limit=100, mode="class-aware")

    answers = DETECTION.collect(outputs, dataset, TEST, 0, rule)

    found = detect(
        outputs["boxes"][0],
        outputs["scores"][0],
        photo_size=(64, 128),
        preprocess=dataset.preprocess,
        rule=Suppression(score=0.001, iou=0.65, limit=100, mode="class-aware"),
    )
    assert len(found) == 100
    assert np.array_equal(answers["boxes"], found.boxes)
    assert np.array_equal(answers["scores"], found.scores)
    assert np.array_equal(answers["labels"], found.labels)


@pytest.mark.parametrize("limit", [30, 60, 239, 240, 300])
def test_objects_beyond_the_limit_are_missed_in_every_figure(boxed: Data, limit: int) -> None:
    dataset = boxed(GRID)
    rule = Suppression(score=0.3, iou=0.65, limit=limit, mode="class-aware")

    answers = DETECTION.collect(all_of_grid(dataset), dataset, TEST, 0, rule)

    # All that is found is right, and precision counts up to the recall that is reached.
    labels = np.array([box[4] for box in GRID])
    recalls = [int((labels[:limit] == k).sum()) / 80 for k in range(3)]
    expected = np.mean([(np.arange(101) / 100 <= recall + 1e-9).mean() for recall in recalls])
    assert DETECTION.value(answers, dataset, TEST) == pytest.approx(expected)
    assert DETECTION.score(answers, dataset, TEST)["value"] == pytest.approx(expected, abs=1e-6)
    rows = DETECTION.details(answers, dataset, TEST)["classes"]
    assert [row["recall"] for row in rows] == pytest.approx(recalls, abs=1e-6)


@pytest.mark.parametrize(("mode", "count"), [("class-aware", 2), ("class-agnostic", 1)])
def test_mode_decides_what_is_counted(boxed: Data, mode: str, count: int) -> None:
    dataset = boxed([(*A, 0), (*A, 1)])
    outputs = outputs_of(dataset, [(*A, 0, 0.9), (*A, 1, 0.8)])
    rule = Suppression(score=0.3, iou=0.65, limit=100, mode=mode)

    answers = DETECTION.collect(outputs, dataset, TEST, 0, rule)

    assert len(answers["scores"]) == count
    # The second class loses its only object where both drop each other.
    assert DETECTION.value(answers, dataset, TEST) == pytest.approx(count / 2)


def test_overlap_decides_what_is_counted(boxed: Data) -> None:
    dataset = boxed([(*A, 0)])
    shifted = (2.0, 0.0, 12.0, 10.0)  # shares 80 of 120 square pixels
    outputs = outputs_of(dataset, [(*A, 0, 0.9), (*shifted, 0, 0.8)])

    counts = [
        len(DETECTION.collect(outputs, dataset, TEST, 0, rule)["scores"])
        for rule in (Suppression(0.3, iou, 100, "class-aware") for iou in (0.6, 0.7))
    ]

    assert counts == [1, 2]


def test_modes_of_a_recipe_are_those_of_the_runtime() -> None:
    assert get_args(SuppressionTable.model_fields["mode"].annotation) == MODES
    assert SuppressionTable(limit=MAX_CANDIDATES).limit == MAX_CANDIDATES
    with pytest.raises(ValueError, match=f"less than or equal to {MAX_CANDIDATES}"):
        SuppressionTable(limit=MAX_CANDIDATES + 1)


@pytest.mark.parametrize(
    ("num_objects", "limit"),
    [(0, 100), (66, 100), (67, 200), (133, 200), (134, 300), (2500, MAX_CANDIDATES)],
)
def test_limit_has_room_for_half_as_many_again_as_the_fullest_known_photo(
    boxed: Data, num_objects: int, limit: int
) -> None:
    dataset = boxed([(*A, 0)], train=[[(*A, 0)] * num_objects, [(*B, 1)]])

    assert DETECTION.rule(dataset) == Suppression(0.3, 0.65, limit, "class-aware")


def test_limit_does_not_look_at_test_photos(boxed: Data) -> None:
    rule = DETECTION.rule(boxed(GRID, train=[[(*A, 0)]]))

    assert rule is not None
    assert rule.limit == 100


def test_what_a_recipe_asks_for_is_the_rule(boxed: Data) -> None:
    dataset = boxed([(*A, 0)], train=[[(*A, 0)] * 90])

    def rule(**wanted: object) -> Suppression | None:
        return DETECTION.rule(dataset, SuppressionTable.model_validate(wanted))

    assert rule() == DETECTION.rule(dataset) == Suppression(0.3, 0.65, 200, "class-aware")
    assert rule(mode="per-class") == Suppression(0.3, 0.65, 200, "per-class")
    assert rule(iou=0.0, score=0.0) == Suppression(0.0, 0.0, 200, "class-aware")
    assert rule(limit=7) == Suppression(0.3, 0.65, 7, "class-aware")


def test_operating_score_is_that_of_the_best_f1(boxed: Data, answers: Answer) -> None:
    dataset = boxed([(*A, 0), (*B, 0)])
    found = answers([(*A, 0, 0.9), (*B, 0, 0.438), (*FAR, 0, 0.4), (*FAR, 1, 0.3)])
    rule = Suppression(score=0.3, iou=0.5, limit=7, mode="per-class")

    # All is found and nothing false from .438 on; .44 would lose it again.
    expected = Suppression(score=0.43, iou=0.5, limit=7, mode="per-class")
    assert DETECTION.tuned(rule, found, dataset, TEST) == expected


@pytest.mark.parametrize(
    ("found", "score"),
    [
        pytest.param([(*A, 0, 0.01)], 0.05, id="never below a twentieth"),
        pytest.param([(*FAR, 0, 0.9)], 0.3, id="nothing right"),
    ],
)
def test_operating_score_where_the_photos_say_little(
    boxed: Data, answers: Answer, found: list[Found], score: float
) -> None:
    tuned = DETECTION.tuned(None, answers(found), boxed([(*A, 0)]), TEST)

    assert tuned is not None
    assert tuned.score == score


def test_photos_with_more_objects_than_may_be_answered_are_told(boxed: Data) -> None:
    dataset = boxed(GRID, [(*A, 0)] * 5, [(*A, 0)] * 6)

    def told(limit: int) -> str | None:
        return DETECTION.cut_off(dataset, TEST, Suppression(0.3, 0.65, limit, "class-aware"))

    assert told(240) is None
    assert told(5) == (
        "2 of 3 test photos have up to 240 objects, more than the 5 that are answered at most "
        "(suppression.limit)"
    )
