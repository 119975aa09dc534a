"""Predictions by class and score, by hand, for both tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from edgetl.data.dataset import Dataset
from edgetl.evaluation import Predictions
from edgetl.tasks import TASKS
from edgetl.types import Split


def test_images_of_a_classifier_by_probability(
    labelled: Callable[[Sequence[int]], Dataset],
) -> None:
    evaluation = TASKS.load("classification").evaluation
    probabilities = np.array(
        [[0.5, 0.3, 0.2], [0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]], np.float32
    )
    predictions = {"logits": np.log(probabilities)}
    ranking = evaluation.ranking(predictions, labelled([0, 1, 0, 1]), Split.TEST)
    assert ranking is not None
    assert (ranking.images, ranking.one_each, ranking.unit) == (4, True, "image")
    nut, bolt, gear = ranking.classes
    assert nut.scores == pytest.approx([0.7, 0.6, 0.5], abs=1e-6)
    assert nut.right.tolist() == [False, True, True]
    assert bolt.scores == pytest.approx([0.8], abs=1e-6)
    assert bolt.right.tolist() == [True]
    assert [row.support for row in ranking.classes] == [2, 2, 0]
    assert (len(gear.scores), gear.label) == (0, "gear")
    assert evaluation.reported(predictions, (0.9, 0.9, 0.9)) is predictions


def test_detections_by_score_where_crowds_count_for_nothing(
    boxed: Callable[..., Dataset], predictions: Callable[..., Predictions]
) -> None:
    evaluation = TASKS.load("detection").evaluation
    dataset = boxed(
        [(0, 0, 20, 20, 0), (40, 0, 60, 20, 1)],
        [(0, 0, 20, 20, 0), (60, 20, 120, 60, 0)],
        crowd={1: [1]},
    )
    predicted = predictions(
        # A nut, the same once more, and a bolt that overlaps by a quarter only.
        [(0, 0, 20, 20, 0, 0.9), (0, 0, 20, 18, 0, 0.4), (50, 0, 70, 10, 1, 0.8)],
        # A nut among the crowd, which is neither right nor wrong, and the other one.
        [(60, 20, 90, 60, 0, 0.95), (0, 0, 20, 19, 0, 0.5)],
    )
    ranking = evaluation.ranking(predicted, dataset, Split.TEST)
    assert ranking is not None
    assert (ranking.images, ranking.one_each, ranking.unit) == (2, False, "object")
    nut, bolt, gear = ranking.classes
    assert nut.scores == pytest.approx([0.9, 0.5, 0.4], abs=1e-6)
    assert nut.right.tolist() == [True, True, False]
    assert bolt.right.tolist() == [False]
    assert [row.support for row in ranking.classes] == [2, 1, 0]
    assert len(gear.scores) == 0


def test_detections_that_are_reported_by_hand(
    predictions: Callable[..., Predictions],
) -> None:
    evaluation = TASKS.load("detection").evaluation
    predicted = predictions(
        [(0, 0, 20, 20, 0, 0.9), (0, 0, 20, 18, 1, 0.5)],
        [],
        [(0, 0, 9, 9, 1, 0.75), (1, 0, 9, 9, 0, 0.25), (2, 0, 9, 9, 1, 0.6)],
    )
    kept = evaluation.reported(predicted, (0.5, 0.6, 0.0))
    assert kept["scores"].tolist() == pytest.approx([0.9, 0.75, 0.6], abs=1e-6)
    assert kept["labels"].tolist() == [0, 1, 1]
    assert kept["boxes"][:, 0].tolist() == [0, 0, 2]
    assert kept["offsets"].tolist() == [0, 1, 1, 3]
