from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetl.data.dataset import Dataset
from edgetl.facts.scores import Agreement, Score
from edgetl.tasks import TASKS
from edgetl.types import Split

CLASSIFICATION = TASKS.load("classification").evaluation
TEST = Split.TEST

Labelled = Callable[[Sequence[int]], Dataset]


def logits(*chosen: int) -> dict[str, NDArray[np.float32]]:
    """Return the logits of a model that confidently predicts the classes `chosen`."""
    return {"logits": 4 * np.eye(3, dtype=np.float32)[list(chosen)]}


def test_score_is_the_share_of_right_images_with_its_interval(labelled: Labelled) -> None:
    facts = CLASSIFICATION.score(logits(0, 1, 1), labelled([0, 1, 2]), TEST)

    assert facts == Score(
        metric="top1", title="top-1", value=0.666667, low=0.20766, high=0.938508, images=3
    )


def test_confusion_and_classes_by_hand(labelled: Labelled) -> None:
    details = CLASSIFICATION.details(logits(0, 1, 1, 2, 0), labelled([0, 0, 1, 2, 2]), TEST)

    assert details["confusion"] == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
    assert details["classes"] == [
        {"label": "nut", "support": 2, "recall": 0.5, "precision": 0.5},
        {"label": "bolt", "support": 1, "recall": 1.0, "precision": 0.5},
        {"label": "gear", "support": 2, "recall": 0.5, "precision": 1.0},
    ]


def test_class_without_images_and_predictions_has_no_figures(labelled: Labelled) -> None:
    details = CLASSIFICATION.details(logits(0), labelled([0]), TEST)
    assert details["classes"][1] == {
        "label": "bolt",
        "support": 0,
        "recall": None,
        "precision": None,
    }


def test_difference_counts_images_that_only_one_gets_right(labelled: Labelled) -> None:
    dataset = labelled([0, 1, 2, 0])

    facts = CLASSIFICATION.difference(logits(0, 1, 2, 1), logits(0, 0, 0, 0), dataset, TEST)

    assert facts.pp == 25.0
    assert facts.figures == {"only_first_right": 2, "only_second_right": 1}
    assert facts.low_pp < 25.0 < facts.high_pp


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        pytest.param(
            (1, 1, 1, 1, 0),
            "top-1 0.400 is no better than always predicting 'bolt' (0.600)",
            id="below",
        ),
        pytest.param(
            (1, 1, 1, 1, 1),
            "top-1 0.600 is no better than always predicting 'bolt' (0.600)",
            id="equal",
        ),
        pytest.param((0, 1, 1, 1, 1), None, id="above"),
    ],
)
def test_guessing_is_reported_with_the_most_frequent_class(
    labelled: Labelled, chosen: tuple[int, ...], message: str | None
) -> None:
    labels = [0, 2, 1, 1, 1]
    assert CLASSIFICATION.at_chance(logits(*chosen), labelled(labels), TEST) == message


def test_every_image_has_a_prediction() -> None:
    assert CLASSIFICATION.num_predictions(logits(0, 1, 2), None) == 3


def test_first_of_equally_frequent_classes_is_named(labelled: Labelled) -> None:
    message = CLASSIFICATION.at_chance(logits(1, 0), labelled([0, 1]), TEST)
    assert message == "top-1 0.000 is no better than always predicting 'nut' (0.500)"


def test_comparison_counts_equal_predictions() -> None:
    facts = CLASSIFICATION.compare(logits(0, 1, 2, 0), logits(0, 1, 2, 1))

    # The signal is 4 * 16, the noise 2 * 16.
    assert facts == Agreement(max_error=4.0, snr_db=3.0, agreement=0.75)


def test_errors_are_measured_against_the_range_of_the_logits() -> None:
    assert CLASSIFICATION.span({"logits": np.array([[-2, 3], [1, 1]], np.float32)}) == 5.0


def test_worst_errors_show_the_most_confident_errors_first(
    labelled: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgetl.evaluation import image_grid
    from edgetl.tasks.classification import _misclassified

    grids: list[Any] = []

    def grid(tiles: Any, legend: Any) -> Any:
        grids.append((tiles, legend))
        return image_grid.grid(tiles, legend)

    monkeypatch.setattr(_misclassified, "grid", grid)
    predictions = {"logits": np.array([[1, 0, 0], [0, 9, 0], [0, 0, 2]], np.float32)}

    image = CLASSIFICATION.worst_errors(predictions, labelled([1, 0, 2]), TEST, None)

    [(tiles, legend)] = grids
    assert [tile.lines for tile in tiles] == [
        ("predicted bolt 1.00, is nut", "image-1.jpg"),
        ("predicted nut 0.58, is bolt", "image-0.jpg"),
    ]
    assert legend[0][0] == "the 2 most confident of 2 errors on 3 images"
    assert image is not None
    assert image.shape[2] == 3


def test_without_errors_there_is_no_image(labelled: Labelled) -> None:
    assert CLASSIFICATION.worst_errors(logits(0, 1), labelled([0, 1]), TEST, None) is None
