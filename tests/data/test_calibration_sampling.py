from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from edgetl.config.calibration import Calibration
from edgetl.data.calibration_sampling import sample_calibration
from edgetl.errors import DataError

# 50 images of class 0, 10 of class 1, 2 of class 2
LABELS = np.array([0] * 50 + [1] * 10 + [2] * 2, np.int64)


def calibration(
    count: int, sampling: Literal["random", "balanced"] = "balanced", seed: int = 0
) -> Calibration:
    return Calibration(name="some", split="train", count=count, sampling=sampling, seed=seed)


def classes(count: int, sampling: Literal["random", "balanced"] = "balanced") -> list[int]:
    chosen = sample_calibration(LABELS, calibration(count, sampling))
    return [int(np.count_nonzero(LABELS[chosen] == label)) for label in range(3)]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        pytest.param(6, [2, 2, 2], id="even"),
        pytest.param(12, [5, 5, 2], id="one class runs out"),
        pytest.param(30, [18, 10, 2], id="two classes run out"),
        pytest.param(62, [50, 10, 2], id="all there are"),
    ],
)
def test_balanced_choice_is_as_even_as_the_split_allows(count: int, expected: list[int]) -> None:
    assert classes(count) == expected


def test_random_choice_follows_the_split() -> None:
    assert classes(31, "random")[0] > 20


@pytest.mark.parametrize("sampling", ["random", "balanced"])
def test_choice_is_distinct_seeded_and_grows_by_appending(
    sampling: Literal["random", "balanced"],
) -> None:
    first = sample_calibration(LABELS, calibration(20, sampling)).tolist()
    assert len(set(first)) == 20
    assert sample_calibration(LABELS, calibration(30, sampling)).tolist()[:20] == first
    assert sample_calibration(LABELS, calibration(20, sampling, seed=1)).tolist() != first


def test_more_images_than_there_are_is_refused_with_both_numbers() -> None:
    with pytest.raises(DataError, match=r"'some' needs 63 images of the train split, which has 62"):
        sample_calibration(LABELS, calibration(63))


def test_all_images_are_taken_where_fewer_are_allowed() -> None:
    allowing = calibration(63).model_copy(update={"allow_fewer": True})
    assert sorted(sample_calibration(LABELS, allowing)) == list(range(62))
    few = calibration(6).model_copy(update={"allow_fewer": True})
    assert sample_calibration(LABELS, few).tolist() == (
        sample_calibration(LABELS, calibration(6)).tolist()
    )
