"""Ratios of times that were measured in turns, by hand."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from edgetl.runtime.paired import EQUAL, LEVEL, Ratio, Rounds, least_rounds, ratio, undecided


def quiet(*p50: float) -> Rounds:
    return Rounds(p50, [False] * len(p50))


def test_ratio_is_the_median_of_the_rounds() -> None:
    # Ratios 0.5, 0.25 and 4.
    assert ratio(quiet(1.0, 1.0, 4.0), quiet(2.0, 4.0, 1.0)).value == 0.5


def test_eight_rounds_are_the_least_whose_interval_has_ends() -> None:
    assert least_rounds() == 8
    times = [float(i) for i in range(1, 9)]
    seven, eight = (ratio(quiet(*times[:n]), quiet(*[1.0] * n)) for n in (7, 8))
    assert (seven.low, seven.high) == (0.0, math.inf)
    assert (eight.low, eight.high) == (1.0, 8.0)
    # Both ends are beyond the median if all eight lie on one side: twice in 2**8.
    assert 2 / 2**7 > 1 - LEVEL > 2 / 2**8


@pytest.mark.parametrize(
    ("count", "skipped"), [(8, 0), (11, 0), (12, 1), (14, 1), (15, 2), (24, 5)]
)  # twice the probability that at most `skipped` of `count` coins show heads is below 1 %
def test_interval_leaves_out_rounds_at_both_ends(count: int, skipped: int) -> None:
    times = [float(i) for i in range(count)]
    measured = ratio(quiet(*times), quiet(*[1.0] * count))
    assert (measured.low, measured.high) == (skipped, count - 1 - skipped)
    tail = sum(math.comb(count, k) for k in range(skipped + 1)) / 2**count
    assert 2 * tail <= 1 - LEVEL < 2 * (tail + math.comb(count, skipped + 1) / 2**count)


def test_interval_contains_the_median_ratio_as_often_as_it_promises() -> None:
    rng = random.Random(0)  # noqa: S311 - a simulation
    hits = 0
    for _ in range(2000):
        # Skewed, and both change together from round to round.
        common = [rng.lognormvariate(0.0, 1.0) for _ in range(12)]
        first = quiet(*(each * (1 + rng.expovariate(4.0)) for each in common))
        second = quiet(*(each * (1 + rng.expovariate(4.0)) for each in common))
        measured = ratio(first, second)
        hits += measured.low <= 1.0 <= measured.high
    # 98 % of 2000 with a standard deviation of 4.4, far above chance if it were 95 %.
    assert hits >= 1967


def test_disturbed_rounds_do_not_count_if_enough_others_are_there() -> None:
    slow_twice = Rounds([1.0] * 8 + [9.0, 9.0], [False] * 8 + [True, True])
    assert ratio(slow_twice, quiet(*[1.0] * 10)) == Ratio(1.0, 1.0, 1.0, disturbed=False)
    assert ratio(quiet(*[1.0] * 10), slow_twice) == Ratio(1.0, 1.0, 1.0, disturbed=False)


def test_all_rounds_count_and_it_is_said_if_too_few_are_quiet() -> None:
    slow_twice = Rounds([1.0] * 7 + [9.0, 9.0], [False] * 7 + [True, True])
    assert ratio(slow_twice, quiet(*[1.0] * 9)) == Ratio(1.0, 1.0, 9.0, disturbed=True)


def test_only_common_rounds_count() -> None:
    longer = quiet(*[1.0] * 8, *[50.0] * 8)
    assert ratio(longer, quiet(*[2.0] * 8)) == Ratio(0.5, 0.5, 0.5, disturbed=False)
    with pytest.raises(ValueError, match="have no round in common"):
        ratio(quiet(), quiet(1.0))


@pytest.mark.parametrize(
    ("low", "high", "significant", "decided"),
    [
        (1.01, 1.2, True, True),
        (0.9, 0.999, True, True),
        (1.0, 1.2, False, False),
        (1 - EQUAL, 1 + EQUAL, False, True),
        (0.9, 1.02, False, False),
        (0.98, 1.1, False, False),
        (0.0, math.inf, False, False),
    ],
)
def test_decision_needs_one_side_or_next_to_nothing(
    low: float, high: float, *, significant: bool, decided: bool
) -> None:
    measured = Ratio(1.0, low, high, disturbed=False)
    assert (measured.significant, measured.decided) == (significant, decided)


def test_typical_time_is_that_of_quiet_turns() -> None:
    assert Rounds([1.0, 3.0, 9.0, 9.0], [False, False, True, True]).typical == 2.0
    assert Rounds([1.0, 9.0], [True, True]).typical == 5.0


def test_models_whose_order_is_clear_need_no_more_rounds() -> None:
    noisy = [0.8, 1.2] * 4
    timed = {
        "slow": quiet(*[9.0] * 8),
        "one": quiet(*noisy),
        "other": quiet(*reversed(noisy)),
        "fast": quiet(*[0.1] * 8),
    }
    assert undecided(timed) == {"one", "other"}
    assert undecided({"slow": timed["slow"], "fast": timed["fast"]}) == set()
    assert undecided({"alone": quiet(1.0)}) == set()


def test_every_pair_is_clear_where_neighbours_are() -> None:
    # Neighbours are compared; so are all others, by that.
    timed = {i: quiet(*(1.05**i * each for each in (1.0, 1.01) * 6)) for i in range(5)}
    assert undecided(timed) == set()
    for slower, faster in itertools.combinations(reversed(range(5)), 2):
        assert ratio(timed[slower], timed[faster]).low > 1.0
