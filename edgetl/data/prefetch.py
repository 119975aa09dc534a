"""Compute results in threads, a few ahead of their reader."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def pool_of(threads: int) -> AbstractContextManager[Executor | None]:
    """Return a pool of `threads`; None for 0, so that the reader does the work."""
    return ThreadPoolExecutor(threads) if threads else nullcontext()


def prefetched(
    make: Callable[[Given], Made], given: Iterable[Given], pool: Executor | None, *, depth: int
) -> Iterator[Made]:
    """Yield the result of `make` for each of `given`, in order.

    Args:
        make: Safe to be called from several threads.
        given: Its arguments.
        pool: Runs it; None calls it only when its result is needed.
        depth: Number of results that are computed ahead.
    """
    if pool is None:
        yield from map(make, given)
        return
    waiting: deque[Future[Made]] = deque()
    for one in given:
        waiting.append(pool.submit(make, one))
        if len(waiting) > depth:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
