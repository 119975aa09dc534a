from __future__ import annotations

import math

import numpy as np
import pytest

from edgetl.evaluation.shares import Z_95, Share
from edgetl.tasks.classification._shares import PairedDifference, paired_difference, top1


def test_top1_counts_rows_that_are_largest_at_their_label() -> None:
    logits = np.array([[2, 1, 0], [0, 1, 2], [5, 6, 0], [0, 0, 1]], np.float32)

    assert top1(logits, np.array([0, 2, 0, 2])) == Share(3, 4)


def test_wilson_interval_contains_the_shares_that_a_score_test_accepts() -> None:
    share = Share(9, 10)

    for end in share.interval():
        # By definition the share is 1.96 standard errors from each end, computed at that end.
        assert abs(0.9 - end) == pytest.approx(Z_95 * math.sqrt(end * (1 - end) / 10), rel=1e-9)


@pytest.mark.parametrize(
    ("count", "low", "high"),
    # All right or all wrong of n: one end is exact, the other is z^2 / (n + z^2).
    [(0, 0.0, Z_95**2 / (20 + Z_95**2)), (20, 20 / (20 + Z_95**2), 1.0)],
    ids=["none right", "all right"],
)
def test_wilson_interval_at_the_ends(count: int, low: float, high: float) -> None:
    assert Share(count, 20).interval() == pytest.approx((low, high), abs=1e-12)


def test_facts_of_a_share_are_plain_and_rounded() -> None:
    # Wilson by hand: centre (2/3 + 0.640243) / 2.280486, half width 0.833345 / 2.280486.
    assert Share(2, 3).facts() == {"value": 0.666667, "low": 0.20766, "high": 0.938508, "images": 3}


def test_paired_difference_counts_images_that_only_one_model_gets_right() -> None:
    labels = np.zeros(5, np.int64)
    first = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0]], np.float32)
    second = np.array([[1, 0], [0, 1], [1, 0], [0, 1], [0, 1]], np.float32)

    difference = paired_difference(first, second, labels)

    assert difference == PairedDifference(only_first=2, only_second=1, total=5)
    assert difference.value == pytest.approx(0.2)


def score(pair: PairedDifference, difference: float) -> float:
    """Return the score statistic; the likeliest nuisance parameter comes from a grid search."""
    grid = np.linspace(max(0.0, -difference), (1 - difference) / 2, 400_001)[1:-1]
    neither_or_both = pair.total - pair.only_first - pair.only_second
    likelihood = (
        pair.only_first * np.log(grid + difference)
        + pair.only_second * np.log(grid)
        + neither_or_both * np.log1p(-(2 * grid + difference))
    )
    best = float(grid[likelihood.argmax()])
    variance = pair.total * (2 * best + difference - difference**2)
    return (pair.only_first - pair.only_second - pair.total * difference) / math.sqrt(variance)


@pytest.mark.parametrize(
    ("only_first", "only_second", "total"), [(12, 2, 50), (150, 86, 1600), (3, 0, 50)]
)
def test_interval_of_a_difference_ends_where_the_score_test_would_reject(
    only_first: int, only_second: int, total: int
) -> None:
    pair = PairedDifference(only_first, only_second, total)

    low, high = pair.interval()

    assert low < pair.value < high
    assert score(pair, low) == pytest.approx(Z_95, abs=1e-3)
    assert score(pair, high) == pytest.approx(-Z_95, abs=1e-3)


def test_interval_of_a_difference_is_mirrored_when_models_are_swapped() -> None:
    low, high = PairedDifference(12, 2, 50).interval()

    assert PairedDifference(2, 12, 50).interval() == pytest.approx((-high, -low))


def test_models_that_never_differ_may_still_differ_on_other_images() -> None:
    low, high = PairedDifference(0, 0, 50).interval()

    assert low == pytest.approx(-high)
    assert 0.05 < high < 0.1


def test_interval_of_a_difference_stays_between_minus_one_and_one() -> None:
    low, high = PairedDifference(3, 0, 3).interval()

    assert -1.0 < low < high <= 1.0
