from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from edgetl.data.prefetch import pool_of, prefetched


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_order_whoever_makes_them(threads: int) -> None:
    with pool_of(threads) as pool:
        assert list(prefetched(str, range(20), pool, depth=4)) == [str(i) for i in range(20)]


def test_without_threads_nothing_is_made_before_it_is_asked_for() -> None:
    made: list[int] = []
    with pool_of(0) as pool:
        results = prefetched(made.append, range(5), pool, depth=4)
        next(results)
    assert made == [0]


def test_reader_is_no_more_than_the_allowed_number_behind() -> None:
    taken: list[int] = []

    def given() -> Iterator[int]:
        for one in range(10):
            taken.append(one)
            yield one

    with pool_of(2) as pool:
        results = prefetched(abs, given(), pool, depth=3)
        next(results)
        # The one that was read, and three ahead of it.
        assert taken == [0, 1, 2, 3]
        assert list(results) == list(range(1, 10))


def test_with_threads_others_are_made_while_the_first_is_waited_for() -> None:
    second_begun = threading.Event()

    def make(one: int) -> bool:
        if one == 1:
            second_begun.set()
        return one == 1 or second_begun.wait(10)

    with pool_of(2) as pool:
        assert list(prefetched(make, range(2), pool, depth=1)) == [True, True]


@pytest.mark.parametrize("threads", [0, 2])
def test_failure_reaches_the_reader_in_its_turn(threads: int) -> None:
    with pool_of(threads) as pool:
        results = prefetched(lambda one: 1 // one, [1, 0], pool, depth=1)
        assert next(results) == 1
        with pytest.raises(ZeroDivisionError):
            next(results)
